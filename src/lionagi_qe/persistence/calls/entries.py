"""Calls on one entry."""

from __future__ import annotations

import asyncio
import inspect
import random
import weakref
from typing import TYPE_CHECKING, Any, TypeVar, overload

from lionagi_qe.errors import (
    BackendTimeoutError,
    InvalidArgumentError,
    RevisionConflictError,
)
from lionagi_qe.persistence.calls.base import Calls
from lionagi_qe.persistence.contract.leases import fence_of
from lionagi_qe.persistence.contract.operations import Add, Delete, Put, Touch
from lionagi_qe.persistence.contract.records import entry_of
from lionagi_qe.persistence.values import keys as naming
from lionagi_qe.persistence.values.codec import check_number, decode, decode_as, encode
from lionagi_qe.persistence.values.entry import INHERIT, Entry, check_revision, check_ttl
from lionagi_qe.persistence.values.keys import DEFAULT_PARTITION

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Unpack

    from lionagi_qe.persistence.calls.base import Limits
    from lionagi_qe.persistence.contract.leases import Fenced
    from lionagi_qe.persistence.contract.operations import Fence, Operation
    from lionagi_qe.persistence.scheduling.scheduler import Scheduler
    from lionagi_qe.persistence.values.entry import Inherit

T = TypeVar("T")
_LONGEST_RETRY_PAUSE = 0.05


class EntryCalls(Calls):
    """Store, read, change and remove one entry; calls made at the same moment travel together."""

    def __init__(self, scheduler: Scheduler, **limits: Unpack[Limits]) -> None:
        super().__init__(scheduler, **limits)
        self._update_locks: weakref.WeakValueDictionary[str, asyncio.Lock]
        self._update_locks = weakref.WeakValueDictionary()

    async def store(  # noqa: PLR0913 - the contract's own arguments
        self,
        key: str,
        value: Any,  # noqa: ANN401 - any JSON value
        ttl: float | timedelta | Inherit | None = INHERIT,
        partition: str = DEFAULT_PARTITION,
        *,
        if_revision: int | None = None,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> int:
        """Store ``value`` under ``key``, replacing the whole entry; return its new revision.

        Args:
            key: ``aqe/...``, see ``keys``.
            value: JSON data, a dataclass or a pydantic model.
            ttl: seconds (or timedelta) until it expires by the server's clock; None for ever. If
                it isn't given, the memory's ``default_ttl``, which is for ever unless it was set.
            partition: the group that ``clear_partition`` and searches can name.
            if_revision: store only if the entry has this revision (0: only if there is none).
            fence: a Lease, or the Fence of one: store only while it is held, checked by the server.
            timeout: seconds for this call instead of the memory's own.

        Raises:
            InvalidKeyError, InvalidValueError, InvalidArgumentError: nothing was sent.
            RevisionConflictError: the entry has another revision; nothing was changed.
            StaleFenceError: the lease has ended, or is another's; nothing was changed.
            BackendUnavailableError: see its ``outcome``.

        """
        naming.check_key(key)
        ttl_ms = self._default_ttl_ms if ttl is INHERIT else check_ttl(ttl)
        if partition != DEFAULT_PARTITION:
            naming.check_partition(partition)
        expected = None if if_revision is None else check_revision(if_revision)
        held = None if fence is None else fence_of(fence)

        limit, deadline = self._max_value_bytes, self._scheduler.deadline(timeout)
        return await self._scheduler.write(
            key, _put, deadline, key, value, limit, partition, ttl_ms, expected, held
        )

    @overload
    async def retrieve(
        self,
        key: str,
        default: Any = None,  # noqa: ANN401
        *,
        timeout: float | None = None,
    ) -> Any: ...  # noqa: ANN401
    @overload
    async def retrieve(
        self, key: str, default: T | None = None, *, as_type: type[T], timeout: float | None = None
    ) -> T | None: ...
    async def retrieve(
        self,
        key: str,
        default: Any = None,
        *,
        as_type: type[Any] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Return the value under ``key``, or ``default`` if there is none or it has expired.

        With ``as_type`` (a dataclass, a pydantic model, anything pydantic validates) the value is
        validated and returned as that; InvalidValueError if it does not fit.
        """
        naming.check_key(key)
        payload = await self._scheduler.read(key, self._scheduler.deadline(timeout))
        if payload is None:
            return default
        return decode(payload) if as_type is None else decode_as(payload, as_type)

    async def entry(
        self,
        key: str,
        *,
        timeout: float | None = None,
    ) -> Entry | None:
        """Return the entry with revision, partition and times; None if missing or expired."""
        naming.check_key(key)
        record = await self._scheduler.read_record(key, self._scheduler.deadline(timeout))
        return None if record is None else entry_of(record)

    async def exists(self, key: str, *, timeout: float | None = None) -> bool:
        """Whether a live entry is stored under ``key``; costs what ``retrieve`` costs."""
        naming.check_key(key)
        return await self._scheduler.read(key, self._scheduler.deadline(timeout)) is not None

    async def delete(
        self,
        key: str,
        *,
        if_revision: int | None = None,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Remove the entry; return whether there was a live one.

        With ``if_revision`` it is removed only at that revision; else, and if it is missing,
        RevisionConflictError.
        """
        naming.check_key(key)
        operation = Delete(key, check_revision(if_revision), fence_of(fence))
        return await self._scheduler.write(
            key, _as_it_is, self._scheduler.deadline(timeout), operation
        )

    async def touch(
        self,
        key: str,
        ttl: float | timedelta | None,
        *,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Let a live entry expire ``ttl`` seconds from now (None: never); return whether it is.

        Value and revision stay as they are.
        """
        naming.check_key(key)
        operation = Touch(key, check_ttl(ttl), fence_of(fence))
        return await self._scheduler.write(
            key, _as_it_is, self._scheduler.deadline(timeout), operation
        )

    async def increment(
        self,
        key: str,
        amount: float = 1,
        *,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> int | float:
        """Add ``amount`` to the number under ``key`` on the server and return the sum.

        A missing entry counts as 0, and the new one never expires; partition and expiry of one
        that is there stay. Integers are exact; beyond 64 bits
        and for anything but a number it raises InvalidValueError and changes nothing.
        """
        naming.check_key(key)
        operation = Add(key, check_number(amount), fence_of(fence))
        return await self._scheduler.write(
            key, _as_it_is, self._scheduler.deadline(timeout), operation
        )

    async def update(
        self,
        key: str,
        fn: Callable[[Any], Any],
        default: Any = None,  # noqa: ANN401
        *,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> Any:  # noqa: ANN401
        """Replace the value by ``fn(value)`` so that no other writer's change is lost.

        ``fn`` gets the value, or ``default`` if there is none; it may be a coroutine function and
        may be called again when another writer came first. Partition and expiry stay; an entry that
        it makes never expires. An exception from ``fn`` changes nothing. Returns what ``fn``
        returned. Two round trips, and two more for each time that it lost a race;
        RevisionConflictError when ``timeout`` ends.
        """
        naming.check_key(key)
        if not callable(fn):
            msg = f"fn {fn!r}: give a function that takes the value and returns the new one"
            raise InvalidArgumentError(msg)
        held = fence_of(fence)
        deadline = self._scheduler.deadline(timeout)
        loop = asyncio.get_running_loop()
        lock = self._update_locks.get(key)
        if lock is None:
            lock = self._update_locks[key] = asyncio.Lock()
        attempt = 0
        # Coroutines of this process take turns; only other processes can make us try again.
        await _take_turn(lock, key, deadline)
        try:
            while True:
                record = await self._scheduler.read_record(key, deadline)
                value = fn(default if record is None else decode(record.payload))
                if inspect.isawaitable(value):
                    value = await value
                payload = encode(value, self._max_value_bytes)
                revision = 0 if record is None else record.revision
                put = Put(key, payload, if_revision=revision, keep=True, fence=held)
                try:
                    await self._scheduler.write(key, _as_it_is, deadline, put)
                except RevisionConflictError:
                    pause = random.uniform(0, min(0.001 * 2**attempt, _LONGEST_RETRY_PAUSE))  # noqa: S311
                    if loop.time() + pause >= deadline:
                        raise
                    await asyncio.sleep(pause)
                    attempt += 1
                else:
                    return value
        finally:
            lock.release()


def _put(  # noqa: PLR0913, PLR0917 - all of a store, on the way of each
    key: str,
    value: object,
    limit: int,
    partition: str,
    ttl_ms: int | None,
    expected: int | None,
    held: Fence | None,
) -> Put:
    return Put(key, encode(value, limit), partition, ttl_ms, expected, False, held)  # noqa: FBT003


def _as_it_is(operation: Operation) -> Operation:
    return operation


async def _take_turn(lock: asyncio.Lock, key: str, deadline: float) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await lock.acquire()
    except TimeoutError as error:
        msg = (
            f"update of {key!r}: another one in this process did not end in time (its function "
            "may be slow, or have called this); nothing was changed"
        )
        raise BackendTimeoutError(msg) from error
