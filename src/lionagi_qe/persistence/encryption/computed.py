"""What servers compute on plain values, computed here: sums, and steps of learned values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.persistence.contract.learned import SCHEMA, advance
from lionagi_qe.persistence.contract.numbers import add_to
from lionagi_qe.persistence.contract.operations import Add, Learn, Put
from lionagi_qe.persistence.values.codec import encode

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.operations import Learned, Operation
    from lionagi_qe.persistence.contract.records import Record

Computed = Add | Learn


def is_computed(operation: Operation) -> bool:
    """Whether a server would have to read the value."""
    return type(operation) is Add or type(operation) is Learn


def compute(operation: Computed, record: Record | None) -> tuple[Put, int | float | Learned]:
    """Return the compare-and-set that comes to the same, in clear, and the operation's result."""
    revision = 0 if record is None else record.revision
    if isinstance(operation, Add):
        payload = None if record is None else record.payload
        total = add_to(operation.key, payload, operation.amount)
        put = Put(operation.key, encode(total), if_revision=revision, keep=True)
        return put._replace(fence=operation.fence), total
    learned = advance(operation, None if record is None else record.payload)
    value = {"schema": SCHEMA, "q": learned.q, "visits": learned.visits}
    put = Put(operation.key, encode(value), operation.partition, None, revision, keep=True)
    return put._replace(fence=operation.fence), learned
