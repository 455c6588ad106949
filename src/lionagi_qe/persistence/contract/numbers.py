"""Sums of stored numbers, where a server does not add them up itself."""

from __future__ import annotations

from lionagi_qe.errors import InvalidValueError
from lionagi_qe.persistence.values.codec import decode

_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1


def add_to(key: str, payload: bytes | str | None, amount: float) -> int | float:
    """Return stored number plus ``amount``; integers stay exact and within 64 bits."""
    value = 0 if payload is None else decode(payload)
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{key!r}: holds {type(value).__name__}, not a number; increment changed nothing"
        raise InvalidValueError(msg)
    total = value + amount
    if isinstance(total, int) and not (
        value <= _MAX_INTEGER and _MIN_INTEGER <= total <= _MAX_INTEGER
    ):
        msg = f"{key!r}: the sum does not fit 64 bits; increment changed nothing"
        raise InvalidValueError(msg)
    if isinstance(total, float) and total - total != 0:
        msg = f"{key!r}: the sum is beyond the range of a float; increment changed nothing"
        raise InvalidValueError(msg)
    return total
