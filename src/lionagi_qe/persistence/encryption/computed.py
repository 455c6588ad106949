"""What servers compute on plain values, computed here: sums, and steps of learned values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidValueError
from lionagi_qe.persistence.contract.learned import SCHEMA, advance
from lionagi_qe.persistence.contract.operations import Add, Learn, Put
from lionagi_qe.persistence.values.codec import decode, encode

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.operations import Learned, Operation
    from lionagi_qe.persistence.contract.records import Record

Computed = Add | Learn
_MOST, _LEAST = 2**63 - 1, -(2**63)


def is_computed(operation: Operation) -> bool:
    """Whether a server would have to read the value."""
    return type(operation) is Add or type(operation) is Learn


def compute(operation: Computed, record: Record | None) -> tuple[Put, int | float | Learned]:
    """Return the compare-and-set that comes to the same, in clear, and the operation's result."""
    revision = 0 if record is None else record.revision
    if isinstance(operation, Add):
        total = _sum(operation, 0 if record is None else decode(record.payload))
        put = Put(operation.key, encode(total), if_revision=revision, keep=True)
        return put._replace(fence=operation.fence), total
    learned = advance(operation, None if record is None else record.payload)
    value = {"schema": SCHEMA, "q": learned.q, "visits": learned.visits}
    put = Put(operation.key, encode(value), operation.partition, None, revision, keep=True)
    return put._replace(fence=operation.fence), learned


def _sum(operation: Add, number: object) -> int | float:
    if isinstance(number, bool) or not isinstance(number, int | float):
        msg = f"{operation.key!r}: holds no number; nothing was changed"
        raise InvalidValueError(msg)
    if isinstance(number, int) and isinstance(operation.amount, int):
        total = number + operation.amount
        fits = number <= _MOST and _LEAST <= total <= _MOST
    else:
        total = float(number) + float(operation.amount)
        fits = math.isfinite(total)
    if not fits:
        msg = f"{operation.key!r}: the sum does not fit 64 bits (or a float); nothing was changed"
        raise InvalidValueError(msg)
    return total
