"""Orders and what may become of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from storefront.basket import Basket
from storefront.pricing import Discount
from storefront.stock import Stock


class Status(Enum):
    """Where an order stands."""

    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"


_NEXT = {
    Status.PLACED: {Status.PAID, Status.CANCELLED},
    Status.PAID: {Status.SHIPPED, Status.CANCELLED},
    Status.SHIPPED: set(),
    Status.CANCELLED: set(),
}


@dataclass
class Order:
    """A sale; ``history`` holds every status that it had."""

    customer: str
    lines: list[tuple[str, int, Decimal]]
    total: Decimal
    status: Status = Status.PLACED
    history: list[Status] = field(default_factory=list)

    def move_to(self, status: Status) -> None:
        """Change the status, if that is a step that orders take."""
        if status not in _NEXT[self.status]:
            raise ValueError(f"an order can't go from {self.status.value} to {status.value}")
        self.history.append(self.status)
        self.status = status


def place(customer: str, basket: Basket, stock: Stock, *discounts: Discount) -> Order:
    """Turn a basket into an order and take the goods out of stock, all or nothing."""
    if basket.is_empty():
        raise ValueError("an order needs something in the basket")
    taken: list[tuple[str, int]] = []
    try:
        for sku, quantity, _ in basket.lines():
            stock.take(sku, quantity)
            taken.append((sku, quantity))
    except Exception:
        for sku, quantity in taken:
            stock.restock(sku, quantity)
        raise
    return Order(customer, basket.lines(), basket.total(*discounts))
