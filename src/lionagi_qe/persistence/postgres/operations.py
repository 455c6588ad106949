"""Operations on entries as the arguments of the server's functions, and their answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.persistence.contract.learned import learning
from lionagi_qe.persistence.contract.operations import (
    Add,
    Delete,
    Learn,
    Learned,
    Operation,
    Put,
    Result,
)
from lionagi_qe.persistence.postgres.columns import NULL, column, columns, number
from lionagi_qe.persistence.server_support.rejections import refusal_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from lionagi_qe.persistence.contract.operations import Fence

    class Fenceable(Protocol):
        """An operation on an entry or on a job."""

        @property
        def fence(self) -> Fence | None:
            """What must be held for it to be applied."""
            ...


# The SQLSTATE of an atomic call that applied nothing, "position:status:figure" its message.
REFUSED = "AQE01"


def locking_order(operations: Sequence[Operation]) -> list[int]:
    """Return the operations' positions by key: concurrent calls lock their rows in one order."""
    keys = [operation.key for operation in operations]
    return sorted(range(len(keys)), key=keys.__getitem__)


def put_columns(puts: Sequence[Put]) -> list[Any]:
    """Return plain puts as the columns of an upsert, then what all have in common.

    Partition and ttl of a whole batch are told once, where they are the same for all.
    """
    keys = column([put.key for put in puts])
    payloads = column([put.payload.decode() for put in puts])
    shared = {(put.partition, put.ttl_ms) for put in puts}
    if len(shared) == 1:
        return [keys, payloads, "", "", *shared.pop()]
    partitions = column([put.partition for put in puts])
    return [keys, payloads, partitions, column([number(put.ttl_ms) for put in puts]), None, None]


def entry_columns(operations: Sequence[Operation]) -> list[str]:
    """Return the operations as the columns that the function takes."""
    return columns([_cells(operation) for operation in operations], 7)


def _cells(operation: Operation) -> tuple[str, ...]:
    """Return the operation as a row of the function's columns."""
    if isinstance(operation, Put):
        put = operation
        expected, keep = number(put.if_revision), "t" if put.keep else "f"
        return "p", put.key, put.payload.decode(), put.partition, number(put.ttl_ms), expected, keep
    if isinstance(operation, Add):
        return "a", operation.key, json.dumps(operation.amount), "default", NULL, NULL, "t"
    if isinstance(operation, Learn):
        return "l", operation.key, learning(operation), operation.partition, NULL, NULL, "t"
    if isinstance(operation, Delete):
        return "d", operation.key, NULL, NULL, NULL, number(operation.if_revision), "f"
    return "t", operation.key, NULL, NULL, number(operation.ttl_ms), NULL, "f"


def fence_columns(operations: Sequence[Fenceable]) -> list[str]:
    """Return names and tokens of the operations' fences, as columns."""
    fences = [operation.fence for operation in operations]
    cells = [(NULL, NULL) if fence is None else (fence.name, str(fence.token)) for fence in fences]
    return columns(cells, 2)


def results_of(
    operations: Sequence[Operation], order: Sequence[int], rows: Sequence[Any]
) -> list[Result]:
    """Put the answers, which came in ``order``, in the operations' own order."""
    results: list[Result] = [False] * len(operations)
    for at, (status, figure) in zip(order, rows, strict=True):
        results[at] = _result_of(operations[at], status, figure)
    return results


def refused(ordered: Sequence[Operation], error: Exception) -> Exception:
    """Return the error of the operation for which an atomic call was refused."""
    at, status, figure = str(error).split(":")
    return cast("Exception", _result_of(ordered[int(at) - 1], status, figure or None))


def _result_of(operation: Operation, status: str, figure: str | None) -> Result:
    """Turn what the function answered into the operation's result or error."""
    refusal = refusal_of(operation, status, figure)
    if refusal is not None:
        return refusal
    if isinstance(operation, Put):
        return int(figure or 0)
    if isinstance(operation, Add):
        return json.loads(figure or "0")
    if isinstance(operation, Learn):
        value = json.loads(figure or "null")
        return Learned(value["q"], value["visits"])
    return figure == "1"
