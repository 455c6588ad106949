"""The backend of a cache over a durable memory; see ``hybrid`` for what it promises."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import platform
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lionagi_qe.errors import AqeError, BackendUnavailableError, ConfigurationError
from lionagi_qe.persistence.caching.invalidation import Follower
from lionagi_qe.persistence.contract.cache import Fill
from lionagi_qe.persistence.contract.operations import Put
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.backend import Backend, Capabilities
    from lionagi_qe.persistence.contract.cache import Cache, Reading
    from lionagi_qe.persistence.contract.change_log import ChangeLog
    from lionagi_qe.persistence.contract.indexes import IndexBackend
    from lionagi_qe.persistence.contract.jobs import (
        JobBackend,
        TransactionOperations,
        TransactionResults,
    )
    from lionagi_qe.persistence.contract.leases import LeaseBackend
    from lionagi_qe.persistence.contract.limits import LimitBackend
    from lionagi_qe.persistence.contract.operations import Operation, Result
    from lionagi_qe.persistence.contract.records import (
        KeyPage,
        Page,
        PayloadPage,
        Record,
        Stats,
        Sweep,
    )
    from lionagi_qe.persistence.contract.schedules import ScheduleBackend
    from lionagi_qe.persistence.values.keys import KeyRange

T = TypeVar("T")
# A cache that takes longer than this is slower than what it saves.
CACHE_TIMEOUT = 0.25
# Cached values end a little before their entries do: clocks are read over a network.
_EARLIER_MS = 50
_LARGEST_CACHED = 1024 * 1024
_MAX_FILLS = 64

_log = logging.getLogger(__name__)


@dataclass
class Tally:
    """What the cache did for one handle, in values asked for.

    ``hits`` and ``misses`` of those looked up; ``bypassed``: not looked up, as the cache could not
    be trusted or reached; ``filled``; ``errors``: calls of the cache that failed.
    """

    hits: int = 0
    misses: int = 0
    bypassed: int = 0
    filled: int = 0
    errors: int = 0


class HybridBackend:
    """A durable backend with a cache in front of its values.

    Args:
        durable: holds the entries; must offer a log.
        cache: may lose them.
        max_stale: see HybridMemory.
        cache_ttl: see HybridMemory.
    """

    def __init__(
        self, durable: Backend, cache: Cache, *, max_stale: float, cache_ttl: float
    ) -> None:
        if durable.capabilities.encrypted:
            # It would fill the cache with what it opened.
            msg = (
                "a cache in front of a memory with keys: give the keys to the memory with the cache"
            )
            raise ConfigurationError(msg)
        self._durable = durable
        self._cache = cache
        self._max_stale = max_stale
        self._cache_ttl_ms = int(cache_ttl * 1000)
        self._fills: set[asyncio.Task[None]] = set()
        self._retry_at = -math.inf
        self.tally = Tally()
        log = getattr(durable, "log", None)
        if log is None:
            msg = (
                f"the backend {durable.capabilities.name!r} keeps no log of changes, which a cache "
                "in front of it needs; use SQLite, PostgreSQL or Redis"
            )
            raise ConfigurationError(msg)
        self.log: ChangeLog = log
        self.jobs = cast("JobBackend", _Jobs(self))
        self.follower = Follower(log, cache, poll=max_stale / 4)

    @property
    def where(self) -> str:
        """The durable backend's place and the cache's, for people."""
        place = getattr(self._durable, "where", "") or self._durable.capabilities.name
        cache = getattr(self._cache, "where", "")
        return f"{place}, cached by {cache}" if cache else place

    @property
    def durable(self) -> Backend:
        """The backend that holds the entries."""
        return self._durable

    @property
    def leases(self) -> LeaseBackend:
        """The durable backend's leases."""
        return cast("Any", self._durable).leases

    @property
    def indexes(self) -> IndexBackend:
        """The durable backend's indexes."""
        return cast("Any", self._durable).indexes

    @property
    def schedules(self) -> ScheduleBackend:
        """The durable backend's periodic jobs."""
        return cast("Any", self._durable).schedules

    @property
    def limits(self) -> LimitBackend:
        """The limits of the durable backend's queues."""
        return cast("Any", self._durable).limits

    @property
    def capabilities(self) -> Capabilities:
        """The durable backend's promises, and the bound on staleness."""
        durable = self._durable.capabilities
        return replace(durable, name=f"hybrid-{durable.name}", max_stale=self._max_stale)

    async def open(self, fleet: str, *, migrate: bool) -> None:
        """Open the durable backend; the cache is tried in the background."""
        await self._durable.open(fleet, migrate=migrate)
        facts = await self._durable.describe()
        where = str(facts.get("location", ""))
        if self._durable.capabilities.name == "sqlite":
            where = f"{platform.node()} {where}"
        self._cache.name(f"{where} {facts.get('schema', '')} {fleet}")
        self.follower.start()

    async def close(self) -> None:
        """Stop following, then close both."""
        await self.follower.stop()
        for fill in self._fills:
            fill.cancel()
        await asyncio.gather(*self._fills, return_exceptions=True)
        try:
            await self._cache.close()
        finally:
            await self._durable.close()

    # Writing

    async def write(self, operations: Sequence[Operation], *, atomic: bool) -> list[Result]:
        """Write to the durable backend, then let the cache forget what was changed."""
        try:
            results = await self._durable.write(operations, atomic=atomic)
        except AqeError as error:
            if isinstance(error, BackendUnavailableError):
                self.follower.distrust((operation.key, None) for operation in operations)
            raise
        except BaseException:
            # Cancelled on the way: it may have been applied.
            self.follower.distrust((operation.key, None) for operation in operations)
            raise
        await self._forget(
            [
                (operation.key, result if type(operation) is Put and type(result) is int else None)
                for operation, result in zip(operations, results, strict=True)
                if not isinstance(result, AqeError)
            ]
        )
        return results

    async def _forget(self, changes: Sequence[tuple[str, int | None]]) -> None:
        if not changes:
            return
        try:
            await self._ask(lambda: self._cache.mark(changes))
        except BaseException as error:
            # Unless the log has been read from here on, our own write could be missed.
            self.follower.distrust(changes)
            if not isinstance(error, BackendUnavailableError):
                raise

    async def clear_partition(self, partition: str, batch: int) -> int:
        """Clear the durable backend's, and wait until the cache knows of it."""
        try:
            return await self._durable.clear_partition(partition, batch)
        finally:
            await self._catch_up()

    async def _catch_up(self) -> None:
        """Distrust the cache until the log has been read on, and wait for that a little."""
        self.follower.distrust(())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CACHE_TIMEOUT):
                await self.follower.caught_up()

    async def transact(self, step: TransactionOperations) -> TransactionResults:
        """Apply entries and jobs durably, then let the cache forget the entries."""
        try:
            return await cast("Any", self._durable).jobs.transact(step)
        finally:
            await self._forget([(operation.key, None) for operation in step.operations])

    async def claim_sweep(self, interval_ms: int) -> bool:
        """Ask the durable backend."""
        return await self._durable.claim_sweep(interval_ms)

    async def sweep(self, limit: int) -> Sweep:
        """Sweep the durable backend; the cache expires by itself."""
        return await self._durable.sweep(limit)

    # Reading

    async def read_payloads(self, keys: Sequence[str]) -> list[bytes | str | None]:
        """Read from the cache what it may tell, and the rest from the durable backend."""
        found: list[bytes | str | None] | None = None
        if self._usable():
            with contextlib.suppress(BackendUnavailableError):
                found = list(await self._ask(lambda: self._cache.read(keys)))
        if found is None:
            self.tally.bypassed += len(keys)
            return await self._durable.read_payloads(keys)
        missing = [at for at, payload in enumerate(found) if payload is None]
        self.tally.hits += len(keys) - len(missing)
        self.tally.misses += len(missing)
        if missing:
            records = await self._read_and_fill([keys[at] for at in missing])
            for at, record in zip(missing, records, strict=True):
                found[at] = None if record is None else record.payload
        return found

    def _usable(self) -> bool:
        loop = asyncio.get_running_loop()
        return loop.time() >= self._retry_at and self.follower.age() <= self._max_stale

    async def _read_and_fill(self, keys: Sequence[str]) -> list[Record | None]:
        reading: Reading | None = None
        with contextlib.suppress(BackendUnavailableError):
            reading = await self._ask(self._cache.begin)
        records = await self._durable.read_records(keys)
        if reading is not None and len(self._fills) < _MAX_FILLS:
            entries = self._fills_of(records)
            if entries:
                # The caller need not wait for it.
                task = asyncio.create_task(self._fill(reading, entries))
                self._fills.add(task)
                task.add_done_callback(self._fills.discard)
        return records

    def _fills_of(self, records: Sequence[Record | None]) -> list[Fill]:
        now = self.follower.durable_ms()
        entries: list[Fill] = []
        for record in records:
            if record is None or len(record.payload) > _LARGEST_CACHED:
                continue
            life = float(self._cache_ttl_ms)
            if record.expires_ms is not None:
                life = min(life, record.expires_ms - now - _EARLIER_MS)
            if life >= 1:
                entries.append(Fill(record.key, record.revision, record.payload, int(life)))
        return entries

    async def _fill(self, reading: Reading, entries: Sequence[Fill]) -> None:
        with contextlib.suppress(BackendUnavailableError):
            await self._ask(lambda: self._cache.fill(reading, entries))
            self.tally.filled += len(entries)

    async def _ask(self, action: Callable[[], Awaitable[T]]) -> T:
        """Ask the cache; leave it alone for a while if it fails or is slow."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._retry_at:
            msg = "the cache failed a moment ago"
            raise BackendUnavailableError(msg)
        try:
            async with asyncio.timeout(CACHE_TIMEOUT):
                return await action()
        except (AqeError, TimeoutError) as error:
            self.tally.errors += 1
            self._retry_at = loop.time() + self._max_stale
            reason = str(error) or "no answer in time"
            _log.warning(
                "the cache is left alone for a while: %s", reason, extra=log_fields(error=error)
            )
            msg = f"the cache can't be reached: {reason}"
            raise BackendUnavailableError(msg) from error

    async def read_records(self, keys: Sequence[str]) -> list[Record | None]:
        """Ask the durable backend."""
        return await self._durable.read_records(keys)

    async def page(self, keys: KeyRange, limit: int, partition: str | None) -> Page:
        """Ask the durable backend."""
        return await self._durable.page(keys, limit, partition)

    async def page_payloads(self, keys: KeyRange, limit: int, partition: str | None) -> PayloadPage:
        """Ask the durable backend."""
        return await self._durable.page_payloads(keys, limit, partition)

    async def page_keys(self, keys: KeyRange, limit: int, partition: str | None) -> KeyPage:
        """Ask the durable backend."""
        return await self._durable.page_keys(keys, limit, partition)

    async def stats(self) -> Stats:
        """Ask the durable backend."""
        return await self._durable.stats()

    async def describe(self) -> dict[str, Any]:
        """Tell about the durable backend, and the bound."""
        facts = await self._durable.describe()
        return {**facts, "max_stale": self._max_stale, "cache_trusted": self._usable()}


class _Jobs:
    """The durable backend's queues; a transaction's entries are forgotten by the cache."""

    def __init__(self, hybrid: HybridBackend) -> None:
        self._hybrid = hybrid

    async def transact(self, step: TransactionOperations) -> TransactionResults:
        return await self._hybrid.transact(step)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the durable one offers
        return getattr(cast("Any", self._hybrid.durable).jobs, name)
