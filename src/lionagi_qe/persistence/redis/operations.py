"""Operations and entries in the words of the scripts, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.backend import Add, Delete, Operation, Put, Record, Result
from lionagi_qe.persistence.refusal import refusal_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def words_of(operations: Sequence[Operation]) -> list[Any]:
    """Return operations as a script reads them: their number, they, and their fences."""
    words: list[Any] = [len(operations)]
    for operation in operations:
        words += _words(operation)
    for at, operation in enumerate(operations, 1):
        if operation.fence is not None:
            words += at, operation.fence.name, operation.fence.token
    return words


def _words(operation: Operation) -> tuple[Any, ...]:
    """Return the operation as the script's arguments."""
    if isinstance(operation, Put):
        ttl = "" if operation.ttl_ms is None else operation.ttl_ms
        expected = "" if operation.if_revision is None else operation.if_revision
        keep = "1" if operation.keep else ""
        return "p", operation.key, operation.payload, operation.partition, ttl, expected, keep
    if isinstance(operation, Add):
        return "a", operation.key, json.dumps(operation.amount), "default", "", "", "1"
    if isinstance(operation, Delete):
        expected = "" if operation.if_revision is None else operation.if_revision
        return "d", operation.key, "", "", "", expected, ""
    ttl = "" if operation.ttl_ms is None else operation.ttl_ms
    return "t", operation.key, "", "", ttl, "", ""


def result_of(operation: Operation, status: bytes, figure: bytes) -> Result:
    """Turn what the script answered into the operation's result or error."""
    refusal = refusal_of(operation, status.decode(), figure.decode())
    if refusal is not None:
        return refusal
    if isinstance(operation, Put):
        return int(figure)
    if isinstance(operation, Add):
        return json.loads(figure)
    return figure == b"1"


def record_of(key: str, raw: bytes) -> Record:
    """Read a stored value: a line of header and the payload."""
    head, payload = raw.split(b"\n", 1)
    revision, created, updated, expires, partition = head.split(b" ", 4)
    return Record(
        key,
        payload,
        int(revision),
        partition.decode(),
        int(created),
        int(updated),
        None if expires == b"-" else int(expires),
    )
