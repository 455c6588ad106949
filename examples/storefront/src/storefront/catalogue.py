"""What the shop sells."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal


class UnknownProductError(LookupError):
    """No product has that SKU."""


@dataclass(frozen=True)
class Product:
    """Something on sale; the price is in the shop's currency, weight in grams."""

    sku: str
    name: str
    price: Decimal
    weight: int = 0
    tags: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.price < 0:
            raise ValueError(f"{self.sku}: the price {self.price} is negative")
        if not self.sku:
            raise ValueError("a product needs a SKU")


@dataclass
class Catalogue:
    """Products by SKU."""

    _products: dict[str, Product] = field(default_factory=dict)

    def add(self, product: Product) -> None:
        """Put a product on sale; replacing one needs ``remove`` first."""
        if product.sku in self._products:
            raise ValueError(f"{product.sku} is on sale already")
        self._products[product.sku] = product

    def remove(self, sku: str) -> Product:
        """Take a product off sale and return it."""
        product = self.get(sku)
        del self._products[sku]
        return product

    def get(self, sku: str) -> Product:
        """Return a product, or raise UnknownProductError."""
        try:
            return self._products[sku]
        except KeyError:
            raise UnknownProductError(sku) from None

    def tagged(self, tag: str) -> list[Product]:
        """Return the products with a tag, the cheapest first."""
        found = [product for product in self._products.values() if tag in product.tags]
        return sorted(found, key=lambda product: (product.price, product.sku))

    def search(self, text: str) -> list[Product]:
        """Return the products whose names hold every word of ``text``, in any case."""
        words = text.casefold().split()
        return [
            product
            for product in self._products.values()
            if all(word in product.name.casefold() for word in words)
        ]

    def __len__(self) -> int:
        return len(self._products)
