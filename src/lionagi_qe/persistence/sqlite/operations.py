"""Applying operations on entries, inside a transaction of the writer's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import (
    AqeError,
    RevisionConflictError,
    StaleFenceError,
)
from lionagi_qe.persistence.contract.learned import SCHEMA, advance
from lionagi_qe.persistence.contract.numbers import add_to
from lionagi_qe.persistence.contract.operations import (
    Add,
    Delete,
    Learn,
    Learned,
    Operation,
    Put,
    Result,
)
from lionagi_qe.persistence.sqlite import statements as sql
from lionagi_qe.persistence.values.codec import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from lionagi_qe.persistence.contract.operations import Fence

DELETED, EXPIRED = 1, 2


def reserve(connection: apsw.Connection, fleet: int, count: int) -> int:
    """Take ``count`` revisions of the fleet; return the one before the first."""
    bound = {"fleet": fleet, "count": count}
    connection.execute(sql.NEXT_REVISIONS, bound)
    newest = connection.execute(sql.CURRENT_REVISION, bound).get
    return int(newest) - count


def apply(
    connection: apsw.Connection,
    fleet: int,
    operations: Sequence[Operation],
    moment: int,
    *,
    atomic: bool,
) -> list[Result]:
    """Apply the operations in order; the first error is raised if ``atomic``, else a result."""
    revision = reserve(connection, fleet, len(operations))
    results: list[Result] = []
    for operation in operations:
        revision += 1
        bound = {"fleet": fleet, "key": operation.key, "now": moment, "revision": revision}
        try:
            if operation.fence is not None:
                check_fence(connection, fleet, operation.fence, moment)
            results.append(_apply_one(connection, operation, bound))
        except AqeError as error:
            if atomic:
                raise
            results.append(error)
    return results


def check_fence(connection: apsw.Connection, fleet: int, fence: Fence, moment: int) -> None:
    """Raise StaleFenceError unless the fence's token is its lease's current, unexpired one."""
    bound = {"fleet": fleet, "name": fence.name, "now": moment}
    if connection.execute(sql.HELD_LEASE, bound).get != fence.token:
        raise StaleFenceError(fence.name, fence.token)


def _apply_one(
    connection: apsw.Connection, operation: Operation, bound: dict[str, Any]
) -> int | float | bool | Learned:
    if isinstance(operation, Put):
        return _put(connection, operation, bound)
    if isinstance(operation, Add):
        return _add(connection, operation, bound)
    if isinstance(operation, Learn):
        return _learn(connection, operation, bound)
    if isinstance(operation, Delete):
        found = connection.execute(sql.FIND_REVISION, bound).get
        if operation.if_revision not in {None, found}:
            raise RevisionConflictError(operation.key, operation.if_revision or 0, found)
        if found is not None:
            bury(connection, bound, DELETED)
        return found is not None
    connection.execute(sql.TOUCH, {**bound, "ttl": operation.ttl_ms})
    return connection.changes() == 1


def _put(connection: apsw.Connection, put: Put, bound: dict[str, Any]) -> int:
    bound["value"] = put.payload
    found = None
    if put.if_revision is not None or put.keep:
        found = connection.execute(sql.FIND_REVISION, bound).get
        _expect(put.key, put.if_revision, found)
    if put.keep and found is not None:
        connection.execute(sql.REPLACE_VALUE, bound)
    else:
        bound["partition"] = put.partition
        bound["ttl"] = put.ttl_ms
        connection.execute(sql.PUT_AGAIN, bound)
        if not connection.changes():
            connection.execute(sql.PUT, bound)
    return int(bound["revision"])


def _expect(key: str, expected: int | None, found: int | None) -> None:
    if expected is not None and (found or 0) != expected:
        raise RevisionConflictError(key, expected, found)


def _add(connection: apsw.Connection, add: Add, bound: dict[str, Any]) -> int | float:
    payload = connection.execute(sql.FIND_VALUE, bound).get
    total = add_to(add.key, payload, add.amount)
    _put(connection, Put(add.key, encode(total), keep=True), bound)
    return total


def _learn(connection: apsw.Connection, learn: Learn, bound: dict[str, Any]) -> Learned:
    value = advance(learn, connection.execute(sql.FIND_VALUE, bound).get)
    payload = encode({"schema": SCHEMA, "q": value.q, "visits": value.visits})
    _put(connection, Put(learn.key, payload, learn.partition, keep=True), bound)
    return value


def bury(connection: apsw.Connection, bound: dict[str, Any], gone: int) -> None:
    """Turn an entry into a tombstone; ``bound`` names fleet, key, now and revision."""
    connection.execute(sql.BURY, {**bound, "gone": gone, "keep": sql.TOMBSTONE_MS})
