"""Operations and entries in the words of the scripts, and back."""

from __future__ import annotations

import asyncio
import json
from itertools import compress
from typing import TYPE_CHECKING, Any, TypeVar

from lionagi_qe.errors import AqeError, BackendFullError
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
from lionagi_qe.persistence.contract.records import Record
from lionagi_qe.persistence.contract.refused import (
    PartlyRefused,
    changed_nothing,
    is_worth_retrying,
    partly_applied,
)
from lionagi_qe.persistence.server_support.rejections import refusal_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.jobs import JobOperation


T = TypeVar("T")


def words_of(operations: Sequence[Operation]) -> list[Any]:
    """Return operations as a script reads them."""
    words: list[Any] = []
    for operation in operations:
        words += _words(operation)
    return words


def fence_words(operations: Sequence[Operation | JobOperation]) -> list[Any]:
    """Return the fences of those that have one: position, name and token of each."""
    words: list[Any] = []
    for at, operation in enumerate(operations, 1):
        if operation.fence is not None:
            words += at, operation.fence.name, operation.fence.token
    return words


async def scatter(
    operations: Sequence[T],
    shard_of: Callable[[T], int],
    send: Callable[[int, list[T]], Awaitable[Sequence[Any]]],
    *,
    share_errors: bool,
) -> list[Any]:
    """Send each shard its operations; return the results in the operations' order.

    With ``share_errors`` the failure of one of several shards is the result of its operations,
    else it is raised, as an unknown outcome if others may have applied theirs; all shards end
    before that.
    """
    groups: dict[int, list[int]] = {}
    for at, operation in enumerate(operations):
        groups.setdefault(shard_of(operation), []).append(at)
    answers = await asyncio.gather(
        *(send(shard, [operations[at] for at in places]) for shard, places in groups.items()),
        return_exceptions=True,
    )
    results: list[Any] = [None] * len(operations)
    for places, answer in zip(groups.values(), answers, strict=True):
        if isinstance(answer, BaseException):
            if len(groups) == 1:
                raise answer
            if not (share_errors and isinstance(answer, AqeError)):
                raise answer if all(map(changed_nothing, answers)) else partly_applied(answer)
            kind = PartlyRefused if is_worth_retrying(answer) else list
            answer = kind([answer] * len(places))  # noqa: PLW2901 - each its copy
        if isinstance(answer, PartlyRefused):
            results = PartlyRefused(results)
        for at, result in zip(places, answer, strict=True):
            results[at] = result
    return results


async def spare_removals(
    operations: Sequence[T],
    removes: Callable[[T], bool],
    send: Callable[[Sequence[T]], Awaitable[list[Any]]],
) -> list[Any]:
    """Send operations; what a full server refuses as a whole, send without what needs room."""
    try:
        return await send(operations)
    except BackendFullError as error:
        spared = [removes(operation) for operation in operations]
        if all(spared) or not any(spared):
            raise
        full = error
    removed = iter(await send([*compress(operations, spared)]))
    return PartlyRefused(next(removed) if is_spared else full for is_spared in spared)


def _words(operation: Operation) -> tuple[Any, ...]:
    """Return the operation as the script's arguments."""
    if isinstance(operation, Put):
        ttl = "" if operation.ttl_ms is None else operation.ttl_ms
        expected = "" if operation.if_revision is None else operation.if_revision
        keep = "1" if operation.keep else ""
        return "p", operation.key, operation.payload, operation.partition, ttl, expected, keep
    if isinstance(operation, Add):
        return "a", operation.key, json.dumps(operation.amount), "default", "", "", "1"
    if isinstance(operation, Learn):
        return "l", operation.key, learning(operation), operation.partition, "", "", "1"
    if isinstance(operation, Delete):
        expected = "" if operation.if_revision is None else operation.if_revision
        return "d", operation.key, "", "", "", expected, ""
    ttl = "" if operation.ttl_ms is None else operation.ttl_ms
    return "t", operation.key, "", "", ttl, "", ""


def result_of(operation: Operation, status: bytes, figure: bytes) -> Result:
    """Turn what the script answered into the operation's result or error."""
    if status != b"ok":
        refusal = refusal_of(operation, status.decode(), figure.decode())
        if refusal is not None:
            return refusal
    if isinstance(operation, Put):
        return int(figure)
    if isinstance(operation, Add):
        return json.loads(figure)
    if isinstance(operation, Learn):
        value = json.loads(figure)
        return Learned(value["q"], value["visits"])
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
