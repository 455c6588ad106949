"""Discounts and rounding."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Protocol

CENT = Decimal("0.01")


def rounded(amount: Decimal) -> Decimal:
    """Return an amount in whole cents, halves up."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


class Discount(Protocol):
    """Something that lowers an amount."""

    def apply(self, amount: Decimal) -> Decimal:
        """Return what is left to pay."""
        ...


@dataclass(frozen=True)
class Percentage:
    """A share of the amount."""

    percent: Decimal

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100:
            raise ValueError(f"{self.percent} % is no discount")

    def apply(self, amount: Decimal) -> Decimal:
        """Return the amount less the share."""
        return amount * (100 - self.percent) / 100


@dataclass(frozen=True)
class Voucher:
    """A fixed sum, from a least amount on."""

    value: Decimal
    least: Decimal = Decimal(0)

    def apply(self, amount: Decimal) -> Decimal:
        """Return the amount less the voucher, if it is large enough."""
        return amount - self.value if amount >= self.least else amount
