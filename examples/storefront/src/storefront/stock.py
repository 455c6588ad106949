"""What is in the warehouse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class OutOfStockError(Exception):
    """There is less of a product than was asked for."""


class Stock:
    """Quantities by SKU; watchers hear of products that come back."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._watchers: list[Callable[[str], None]] = []

    def restock(self, sku: str, quantity: int) -> None:
        """Add some of a product, and tell the watchers if there was none."""
        was_out = self._held[sku] == 0
        self._held[sku] += quantity
        if was_out:
            for watcher in self._watchers:
                watcher(sku)

    def available(self, sku: str) -> int:
        """Return how many there are."""
        return self._held[sku]

    def take(self, sku: str, quantity: int) -> None:
        """Take some of a product, or none of it."""
        if self._held[sku] < quantity:
            raise OutOfStockError(f"{sku}: {self._held[sku]} left, {quantity} wanted")
        self._held[sku] -= quantity

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Call ``watcher`` with the SKU of each product that comes back."""
        self._watchers.append(watcher)

    @contextmanager
    def reserved(self, sku: str, quantity: int) -> Iterator[None]:
        """Hold some of a product; put it back if the block fails."""
        self.take(sku, quantity)
        try:
            yield
        except BaseException:
            self._held[sku] += quantity
            raise
