"""What a customer is about to buy."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from storefront.catalogue import Catalogue
from storefront.pricing import Discount, rounded

MOST_OF_ONE = 99


class Basket:
    """Quantities by SKU, priced from a catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._quantities: Counter[str] = Counter()

    def add(self, sku: str, quantity: int = 1) -> None:
        """Add some of a product; at most 99 of one."""
        if quantity < 1:
            raise ValueError(f"can't add {quantity} of {sku}")
        self._catalogue.get(sku)
        if self._quantities[sku] + quantity > MOST_OF_ONE:
            raise ValueError(f"at most {MOST_OF_ONE} of {sku}")
        self._quantities[sku] += quantity

    def remove(self, sku: str, quantity: int | None = None) -> None:
        """Remove some, or all, of a product."""
        held = self._quantities[sku]
        if quantity is None or quantity >= held:
            del self._quantities[sku]
        else:
            self._quantities[sku] = held - quantity

    def lines(self) -> list[tuple[str, int, Decimal]]:
        """Return SKU, quantity and price of each line, by SKU."""
        return [
            (sku, quantity, self._catalogue.get(sku).price * quantity)
            for sku, quantity in sorted(self._quantities.items())
        ]

    def subtotal(self) -> Decimal:
        """Return the sum before discounts."""
        return sum((price for _, _, price in self.lines()), Decimal(0))

    def total(self, *discounts: Discount) -> Decimal:
        """Return the sum after discounts, each on what the one before left; never below 0."""
        total = self.subtotal()
        for discount in discounts:
            total = discount.apply(total)
        return rounded(max(total, Decimal(0)))

    def weight(self) -> int:
        """Return the weight in grams."""
        return sum(
            self._catalogue.get(sku).weight * quantity
            for sku, quantity in self._quantities.items()
        )

    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return not self._quantities
