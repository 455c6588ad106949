"""The shared memory: one contract over every backend.

Keys, values, TTL and limits are checked here, once, before anything leaves the process; calls are
batched here; a backend only sees checked keys and encoded values.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import weakref
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, overload

from lionagi_qe.errors import (
    BatchTooLargeError,
    InvalidArgumentError,
    RevisionConflictError,
)
from lionagi_qe.persistence import keys as naming
from lionagi_qe.persistence.backend import Add, Delete, Page, Put, Touch
from lionagi_qe.persistence.codec import MAX_VALUE_BYTES, check_number, decode, decode_as, encode
from lionagi_qe.persistence.dispatch import Dispatcher
from lionagi_qe.persistence.entry import (
    INHERIT,
    Entry,
    Item,
    check_count,
    check_revision,
    check_seconds,
    check_ttl,
    entry_of,
)
from lionagi_qe.persistence.glob import compile_glob
from lionagi_qe.persistence.keys import DEFAULT_FLEET, DEFAULT_PARTITION, KeyRange

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from lionagi_qe.persistence.backend import Backend, Capabilities
    from lionagi_qe.persistence.glob import Glob

T = TypeVar("T")

DEFAULT_TIMEOUT = 10.0
DEFAULT_CLEANUP_INTERVAL = 60.0
MAX_BATCH = 10_000
MAX_BATCH_BYTES = 64 * 1024 * 1024
SEARCH_PAGE = 1_000
SCAN_PAGE = 500
KEY_PAGE = 5_000
_LONGEST_RETRY_PAUSE = 0.05


class MemorySettings(TypedDict, total=False):
    """The settings that every memory takes by keyword; see Memory."""

    fleet: str
    timeout: float
    max_value_bytes: int
    max_batch: int
    migrate: bool
    cleanup_interval: float | None


class Memory:
    """A durable key-value memory that agents share.

    Use it as ``async with open_memory(url) as memory``; it also opens itself on the first call,
    and then wants ``await memory.close()``. One Memory serves many coroutines of one event loop.

    Args:
        backend: where the data lives.
        fleet: fleets that share a server don't see each other.
        timeout: seconds after which a call fails with BackendUnavailableError.
        max_value_bytes: largest JSON encoding of one value, in bytes.
        max_batch: most items of one batch call.
        migrate: apply missing schema migrations on opening; False raises SchemaMissingError.
        cleanup_interval: seconds between sweeps of expired entries (one member of the fleet is
            elected for each); None for none.
    """

    def __init__(  # noqa: PLR0913 - keyword-only settings with defaults
        self,
        backend: Backend,
        *,
        fleet: str = DEFAULT_FLEET,
        timeout: float = DEFAULT_TIMEOUT,
        max_value_bytes: int = MAX_VALUE_BYTES,
        max_batch: int = MAX_BATCH,
        migrate: bool = True,
        cleanup_interval: float | None = DEFAULT_CLEANUP_INTERVAL,
    ) -> None:
        self._fleet = naming.check_fleet(fleet)
        self._timeout = check_seconds("timeout", timeout)
        self._max_value_bytes = check_count("max_value_bytes", max_value_bytes)
        self._max_batch = check_count("max_batch", max_batch)
        interval = cleanup_interval
        if interval is not None:
            interval = check_seconds("cleanup_interval", interval)
        self._dispatcher = Dispatcher(
            backend, self._fleet, migrate=migrate, timeout=self._timeout, cleanup_interval=interval
        )
        self._update_locks: weakref.WeakValueDictionary[str, asyncio.Lock]
        self._update_locks = weakref.WeakValueDictionary()

    @property
    def fleet(self) -> str:
        """The fleet whose entries this memory sees."""
        return self._fleet

    @property
    def capabilities(self) -> Capabilities:
        """What the backend promises: its name, atomicity of batches, durability."""
        return self._dispatcher.backend.capabilities

    # Life

    async def open(self) -> Self:
        """Connect and prepare the schema; calls do it by themselves. May be called twice."""
        await self._dispatcher.open()
        return self

    async def close(self) -> None:
        """Let the calls under way end, then release everything. May be called twice."""
        await self._dispatcher.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # One entry

    async def store(  # noqa: PLR0913 - the contract's own arguments
        self,
        key: str,
        value: Any,  # noqa: ANN401 - any JSON value
        ttl: float | timedelta | None = None,
        partition: str = DEFAULT_PARTITION,
        *,
        if_revision: int | None = None,
        timeout: float | None = None,
    ) -> int:
        """Store ``value`` under ``key``, replacing the whole entry; return its new revision.

        Args:
            key: ``aqe/...``, see ``keys``.
            value: JSON data, a dataclass or a pydantic model.
            ttl: seconds (or timedelta) until it expires by the server's clock; None for ever.
            partition: the group that ``clear_partition`` and searches can name.
            if_revision: store only if the entry has this revision (0: only if there is none).
            timeout: seconds for this call instead of the memory's own.

        Raises:
            InvalidKeyError, InvalidValueError, InvalidArgumentError: nothing was sent.
            RevisionConflictError: the entry has another revision; nothing was changed.
            BackendUnavailableError: see its ``outcome``.

        """
        naming.check_key(key)
        ttl_ms = check_ttl(ttl)
        if partition != DEFAULT_PARTITION:
            naming.check_partition(partition)
        expected = check_revision(if_revision)

        def put() -> Put:
            payload = encode(value, self._max_value_bytes)
            return Put(key, payload, partition, ttl_ms, expected)

        return await self._dispatcher.write(key, put, self._limit(timeout))

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
        payload = await self._dispatcher.read_payload(key, self._limit(timeout))
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
        record = await self._dispatcher.read_record(key, self._limit(timeout))
        return None if record is None else entry_of(record)

    async def exists(self, key: str, *, timeout: float | None = None) -> bool:
        """Whether a live entry is stored under ``key``; costs what ``retrieve`` costs."""
        naming.check_key(key)
        return await self._dispatcher.read_payload(key, self._limit(timeout)) is not None

    async def delete(
        self,
        key: str,
        *,
        if_revision: int | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Remove the entry; return whether there was a live one.

        With ``if_revision`` it is removed only at that revision; else, and if it is missing,
        RevisionConflictError.
        """
        naming.check_key(key)
        operation = Delete(key, check_revision(if_revision))
        return await self._dispatcher.write(key, lambda: operation, self._limit(timeout))

    async def touch(
        self,
        key: str,
        ttl: float | timedelta | None,
        *,
        timeout: float | None = None,
    ) -> bool:
        """Let a live entry expire ``ttl`` seconds from now (None: never); return whether it is.

        Value and revision stay as they are.
        """
        naming.check_key(key)
        operation = Touch(key, check_ttl(ttl))
        return await self._dispatcher.write(key, lambda: operation, self._limit(timeout))

    async def increment(
        self,
        key: str,
        amount: float = 1,
        *,
        timeout: float | None = None,
    ) -> int | float:
        """Add ``amount`` to the number under ``key`` on the server and return the sum.

        A missing entry counts as 0; partition and expiry stay. Integers are exact; beyond 64 bits
        and for anything but a number it raises InvalidValueError and changes nothing.
        """
        naming.check_key(key)
        operation = Add(key, check_number(amount))
        return await self._dispatcher.write(key, lambda: operation, self._limit(timeout))

    async def update(
        self,
        key: str,
        fn: Callable[[Any], Any],
        default: Any = None,  # noqa: ANN401
        *,
        timeout: float | None = None,
    ) -> Any:  # noqa: ANN401
        """Replace the value by ``fn(value)`` so that no other writer's change is lost.

        ``fn`` gets the value, or ``default`` if there is none; it may be a coroutine function and
        may be called again when another writer came first. Partition and expiry stay. An
        exception from ``fn`` changes nothing. Returns what ``fn`` returned. Two round trips, and
        two more for each time that it lost a race; RevisionConflictError when ``timeout`` ends.
        """
        naming.check_key(key)
        limit = self._limit(timeout)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        lock = self._update_locks.get(key)
        if lock is None:
            lock = self._update_locks[key] = asyncio.Lock()
        attempt = 0
        # Coroutines of this process take turns; only other processes can make us try again.
        async with lock:
            while True:
                remaining = max(deadline - loop.time(), 0.001)
                record = await self._dispatcher.read_record(key, remaining)
                value = fn(default if record is None else decode(record.payload))
                if inspect.isawaitable(value):
                    value = await value
                payload = encode(value, self._max_value_bytes)
                revision = 0 if record is None else record.revision
                put = Put(key, payload, if_revision=revision, keep=True)
                try:
                    remaining = max(deadline - loop.time(), 0.001)
                    await self._dispatcher.write(key, lambda put=put: put, remaining)
                except RevisionConflictError:
                    pause = random.uniform(0, min(0.001 * 2**attempt, _LONGEST_RETRY_PAUSE))  # noqa: S311
                    if loop.time() + pause >= deadline:
                        raise
                    await asyncio.sleep(pause)
                    attempt += 1
                else:
                    return value

    # Many entries

    async def store_many(
        self,
        items: Mapping[str, Any],
        ttl: float | timedelta | None = None,
        partition: str = DEFAULT_PARTITION,
        *,
        timeout: float | None = None,
    ) -> dict[str, int]:
        """Store all items in one atomic step (per shard on Redis Cluster); return the revisions.

        A value may be an ``Item`` with its own ttl, partition and if_revision; one conflict and
        nothing is stored. One round trip. BatchTooLargeError above ``max_batch``.
        """
        self._check_batch(len(items))
        ttl_ms = check_ttl(ttl)
        naming.check_partition(partition)
        puts = [
            self._put(key, items[key], ttl_ms, partition)
            for key in sorted(map(naming.check_key, items))
        ]
        size = sum(len(put.payload) for put in puts)
        if size > MAX_BATCH_BYTES:
            msg = f"batch of {size} bytes: the limit is {MAX_BATCH_BYTES}; store it in parts"
            raise BatchTooLargeError(msg)
        revisions = await self._dispatcher.write_batch(puts, size, self._limit(timeout))
        return dict(zip([put.key for put in puts], revisions, strict=True))

    def _put(self, key: str, value: object, ttl_ms: int | None, partition: str) -> Put:
        if not isinstance(value, Item):
            return Put(key, encode(value, self._max_value_bytes), partition, ttl_ms)
        return Put(
            key,
            encode(value.value, self._max_value_bytes),
            partition if value.partition is INHERIT else naming.check_partition(value.partition),
            ttl_ms if value.ttl is INHERIT else check_ttl(value.ttl),
            check_revision(value.if_revision),
        )

    async def retrieve_many(
        self,
        keys: Iterable[str],
        *,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Return the values of those keys that exist, in the order asked. One round trip."""
        wanted = self._distinct(keys)
        payloads = await self._dispatcher.read_batch(wanted, self._limit(timeout))
        return {
            key: decode(payload)
            for key, payload in zip(wanted, payloads, strict=True)
            if payload is not None
        }

    async def delete_many(
        self,
        keys: Iterable[str],
        *,
        timeout: float | None = None,
    ) -> int:
        """Remove the entries in one atomic step (per shard on Redis Cluster); return how many."""
        wanted = sorted(self._distinct(keys))
        deleted = await self._dispatcher.write_batch(
            [Delete(key) for key in wanted], 0, self._limit(timeout)
        )
        return sum(deleted)

    def _distinct(self, keys: Iterable[str]) -> list[str]:
        if isinstance(keys, str):
            msg = f"keys {keys!r}: give a list of keys, not one string"
            raise InvalidArgumentError(msg)
        wanted = list(dict.fromkeys(map(naming.check_key, keys)))
        self._check_batch(len(wanted))
        return wanted

    def _check_batch(self, size: int) -> None:
        if size > self._max_batch:
            msg = f"batch of {size} items: the limit is {self._max_batch}; send it in parts"
            raise BatchTooLargeError(msg)

    # Ranges

    async def search(
        self,
        pattern: str,
        limit: int | None = None,
        partition: str | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Return the live values whose keys match a glob pattern, in key order.

        See ``glob`` for the dialect. Costs what shares the pattern's literal prefix (and the
        partition, if given). Reads in pages of at most 1,000 entries, each a consistent snapshot.
        """
        glob = compile_glob(pattern)
        if limit is not None:
            check_count("limit", limit)
        if partition is not None:
            naming.check_partition(partition)
        deadline = self._deadline(timeout)
        found: dict[str, Any] = {}
        keys: KeyRange | None = KeyRange.of_prefix(glob.prefix)
        while keys is not None and (limit is None or len(found) < limit):
            most = SEARCH_PAGE if limit is None else min(SEARCH_PAGE, limit - len(found))
            page = await self._page_of(glob, keys, most, partition, deadline)
            found.update((record.key, decode(record.payload)) for record in page.records)
            keys = None if page.after is None else keys.after(page.after)
        return found

    async def _page_of(
        self, glob: Glob, keys: KeyRange, most: int, partition: str | None, deadline: float
    ) -> Page:
        """Read the next matches; a pattern that is more than a prefix looks at the keys first."""
        if glob.whole == "prefix":
            return await self._dispatcher.page(keys, most, partition, deadline)
        candidates = await self._dispatcher.page_keys(keys, KEY_PAGE, partition, deadline)
        matching = [key for key in candidates.keys if glob.matches(key)]
        chosen = matching[:most]
        after = chosen[-1] if len(chosen) < len(matching) else candidates.after
        records = await self._dispatcher.read_records(chosen, deadline)
        return Page(
            [
                record
                for record in records
                if record is not None and partition in {None, record.partition}
            ],
            after,
        )

    async def list_keys(
        self,
        prefix: str | None = None,
        partition: str | None = None,
        *,
        timeout: float | None = None,
    ) -> list[str]:
        """Return the live keys that start with ``prefix`` (plain text), sorted."""
        if partition is not None:
            naming.check_partition(partition)
        deadline = self._deadline(timeout)
        found: list[str] = []
        keys: KeyRange | None = KeyRange.of_prefix(naming.check_prefix(prefix))
        while keys is not None:
            page = await self._dispatcher.page_keys(keys, KEY_PAGE, partition, deadline)
            found += page.keys
            keys = None if page.after is None else keys.after(page.after)
        return found

    async def scan(
        self,
        prefix: str | None = None,
        batch: int = SCAN_PAGE,
        partition: str | None = None,
        *,
        timeout: float | None = None,
    ) -> AsyncGenerator[Entry, None]:
        """Yield the live entries whose keys start with ``prefix``, in key order.

        Keyset paging: ``batch`` entries a round trip, constant memory at any size, ``timeout``
        seconds for each page. An entry stored or deleted meanwhile may be seen or not; every
        entry that stays is seen once.
        """
        check_count("batch", batch, self._max_batch)
        if partition is not None:
            naming.check_partition(partition)
        keys: KeyRange | None = KeyRange.of_prefix(naming.check_prefix(prefix))
        while keys is not None:
            page = await self._dispatcher.page(keys, batch, partition, self._deadline(timeout))
            for record in page.records:
                yield entry_of(record)
            keys = None if page.after is None else keys.after(page.after)

    async def clear_partition(
        self,
        partition: str,
        *,
        timeout: float | None = None,
    ) -> int:
        """Delete the entries that the partition holds now; return how many.

        Goes in bounded batches, each atomic; what is stored meanwhile is spared. Costs what the
        partition holds.
        """
        naming.check_partition(partition)
        return await self._dispatcher.clear_partition(partition, self._deadline(timeout))

    # The whole fleet

    async def get_stats(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Return counts and sizes of the fleet as a plain dict.

        ``total_keys`` (live), ``total_expired`` (expired, not swept yet), ``partitions`` {name:
        live keys}, ``size_bytes`` (of the values), ``exact`` (False where figures are estimates),
        ``backend``, ``fleet`` and the server's own figures under ``server``.
        """
        stats = await self._dispatcher.stats(self._deadline(timeout))
        return {
            "backend": self.capabilities.name,
            "fleet": self._fleet,
            "total_keys": stats.total_keys,
            "total_expired": stats.total_expired,
            "partitions": dict(sorted(stats.partitions.items())),
            "size_bytes": stats.size_bytes,
            "exact": stats.exact,
            "server": stats.server,
        }

    async def cleanup_expired(self, *, timeout: float | None = None) -> int:
        """Remove expired entries for good, in bounded batches; return how many.

        Runs by itself every ``cleanup_interval`` seconds; no call ever sees an expired entry,
        swept or not.
        """
        return await self._dispatcher.sweep(self._deadline(timeout))

    async def describe(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Return what a person should know of the server: version, schema, durability."""
        return await self._dispatcher.describe(self._deadline(timeout))

    def _limit(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else check_seconds("timeout", timeout)

    def _deadline(self, timeout: float | None) -> float:
        return asyncio.get_running_loop().time() + self._limit(timeout)
