"""Figures for the owner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from storefront.orders import Order, Status


def revenue(orders: Iterable[Order]) -> Decimal:
    """Return what was paid for."""
    counted = {Status.PAID, Status.SHIPPED}
    return sum((order.total for order in orders if order.status in counted), Decimal(0))


def sales_report(orders: Iterable[Order], top: int = 5) -> str:
    """Return a page: revenue, orders by status, best customers and best products."""
    listed = list(orders)
    if not listed:
        return "No orders.\n"
    kept = [order for order in listed if order.status is not Status.CANCELLED]
    statuses = Counter(order.status for order in listed)
    spent: Counter[str] = Counter()
    sold: Counter[str] = Counter()
    for order in kept:
        spent[order.customer] += int(order.total * 100)
        sold.update({sku: quantity for sku, quantity, _ in order.lines})
    total = revenue(listed)
    average = total / max(len(kept), 1)
    lines = ["Sales report"]
    lines.append("============")
    lines.append("")
    lines.append(f"Orders:     {len(listed)}")
    lines.append(f"Placed:     {statuses[Status.PLACED]}")
    lines.append(f"Paid:       {statuses[Status.PAID]}")
    lines.append(f"Shipped:    {statuses[Status.SHIPPED]}")
    lines.append(f"Cancelled:  {statuses[Status.CANCELLED]}")
    lines.append(f"Revenue:    {total:.2f}")
    lines.append(f"Per order:  {average:.2f}")
    lines.append("")
    lines.append("Best customers")
    lines.append("--------------")
    for customer, cents in spent.most_common(top):
        amount = Decimal(cents) / 100
        lines.append(f"{amount:>10.2f}  {customer}")
    lines.append("")
    lines.append("Best products")
    lines.append("-------------")
    for sku, quantity in sold.most_common(top):
        lines.append(f"{quantity:>10}  {sku}")
    lines.append("")
    return "\n".join(lines)
