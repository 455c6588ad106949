"""The Redis backend: a batch of writes is one Lua call a shard, one of reads one MGET a shard."""

from __future__ import annotations

import asyncio
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.errors import AqeError, BackendFullError, BackendUnavailableError
from lionagi_qe.persistence.contract.backend import Capabilities
from lionagi_qe.persistence.contract.operations import Delete, Operation, Result
from lionagi_qe.persistence.contract.records import KeyPage, Page, PayloadPage, Record, Stats, Sweep
from lionagi_qe.persistence.contract.refused import partly_applied
from lionagi_qe.persistence.redis import scripts
from lionagi_qe.persistence.redis.connection import parse_info
from lionagi_qe.persistence.redis.figures import server_figures
from lionagi_qe.persistence.redis.indexes import RedisIndexes
from lionagi_qe.persistence.redis.lease import RedisLeases
from lionagi_qe.persistence.redis.limits import RedisLimits
from lionagi_qe.persistence.redis.log import RedisLog
from lionagi_qe.persistence.redis.operations import (
    fence_words,
    record_of,
    result_of,
    scatter,
    spare_removals,
    words_of,
)
from lionagi_qe.persistence.redis.queue import RedisJobs
from lionagi_qe.persistence.redis.schedules import RedisSchedules
from lionagi_qe.persistence.redis.schema import LAYOUT, Layout
from lionagi_qe.persistence.redis.server_errors import NOT_ALLOWED
from lionagi_qe.persistence.redis.session import RedisSession

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lionagi_qe.persistence.redis.connection import Link
    from lionagi_qe.persistence.values.keys import KeyRange

MAX_PAGE_BYTES = 8 * 1024 * 1024
EXACT_COUNT_LIMIT = 1_000
_UNKNOWN = "unknown: the server does not let us look"
# With many shards each gives a little more than its share, so that a page is rarely cut short.
_SHARE_MARGIN = 1.5
_SMALLEST_SHARE = 16


class RedisBackend:
    """Entries of a fleet on one Redis server or spread over the shards of a cluster.

    Args:
        link: the connections.
        shards: over how many hash slots a new fleet is spread; None for the usual number.
        colocate: how many leading segments of a key choose its slot in a new fleet; None for all.
    """

    def __init__(
        self, link: Link, *, shards: int | None = None, colocate: int | None = None
    ) -> None:
        self.session = RedisSession(link, Layout(shards, colocate))
        self.leases = RedisLeases(self.session)
        self.jobs = RedisJobs(self.session)
        self.schedules = RedisSchedules(self.session)
        self.limits = RedisLimits(self.session)
        self.log = RedisLog(self.session)
        self.indexes = RedisIndexes(self.session)

    @property
    def where(self) -> str:
        """The server, for people; without user and password."""
        return self.session.link.where

    @property
    def capabilities(self) -> Capabilities:
        """The promises of Redis."""
        return Capabilities(
            "redis",
            atomic_batches="shard"
            if self.session.shards.count > 1 or self.session.is_clustered
            else "all",
            max_concurrent_batches=2,
            # The server works on one batch while we pack the next and hand out the last's answers.
            max_batch_calls=256,
            durability="as the server's AOF policy says; none across an asynchronous failover",
            learns=True,
        )

    async def open(self, fleet: str, *, migrate: bool) -> None:
        """Connect and read the fleet's layout."""
        await self.session.open(fleet, migrate=migrate)

    async def close(self) -> None:
        """Close the connections."""
        await self.jobs.close()
        await self.session.close()

    def _by_shard(self, keys: Sequence[str]) -> dict[int, list[int]]:
        """Return the positions of the keys that each shard holds."""
        if self.session.shards.count == 1:
            return {0: list(range(len(keys)))}
        groups: dict[int, list[int]] = {}
        for at, key in enumerate(keys):
            groups.setdefault(self.session.shards.of(key), []).append(at)
        return groups

    # Writing

    async def write(self, operations: Sequence[Operation], *, atomic: bool) -> list[Result]:
        """Send each shard its operations; without ``atomic``, a shard's failure is its callers'."""
        if self.session.shards.count == 1:
            return await self._apply(0, operations, atomic=atomic)
        return await scatter(
            operations,
            lambda operation: self.session.shards.of(operation.key),
            partial(self._apply, atomic=atomic),
            share_errors=not atomic,
        )

    async def _apply(
        self, shard: int, operations: Sequence[Operation], *, atomic: bool
    ) -> list[Result]:
        """Apply operations in one shard; a full server does what removes by itself."""
        if atomic:
            return await self._run_apply(shard, operations, atomic=True)
        return await spare_removals(
            operations,
            lambda operation: isinstance(operation, Delete),
            lambda chosen: self._run_apply(shard, chosen, atomic=False),
        )

    async def _run_apply(
        self, shard: int, operations: Sequence[Operation], *, atomic: bool
    ) -> list[Result]:
        answer = await self.session.run(
            scripts.APPLY,
            shard,
            "1" if atomic else "",
            len(operations),
            *words_of(operations),
            *fence_words(operations),
            mutates=True,
        )
        if isinstance(answer[0], int):
            at, status, figure = answer
            raise cast("Exception", result_of(operations[at - 1], status, figure))
        pairs = zip(answer[::2], answer[1::2], strict=True)
        return [
            result_of(operation, status, figure)
            for operation, (status, figure) in zip(operations, pairs, strict=True)
        ]

    async def clear_partition(self, partition: str, batch: int) -> int:
        """Bury in keyset order what was stored up to each shard's revision at the start."""

        async def clear(shard: int) -> None:
            counter = f"{self.session.shards.prefixes[shard]}:n"
            newest = await self.session.link.command(counter, "GET", counter) or b"0"
            bound = "-"
            while bound:
                count, last = await self.session.run(
                    scripts.CLEAR, shard, partition, bound, newest, batch, mutates=True
                )
                deleted[shard] += count
                bound = "(" + last.decode() if last else ""

        deleted = [0] * self.session.shards.count
        try:
            await self.session.on_all(clear)
        except BackendUnavailableError as error:
            raise partly_applied(error) if any(deleted) else error from error.__cause__
        return sum(deleted)

    async def claim_sweep(self, interval_ms: int) -> bool:
        """Whoever first sets a key that lasts for the interval sweeps."""
        turn = f"{self.session.shards.prefixes[0]}:sweep"
        try:
            claimed = await self.session.link.command(
                turn, "SET", turn, "1", "NX", "PX", interval_ms, mutates=True
            )
        except BackendFullError:
            # No room to tell others; that several sweep does no harm.
            return True
        return claimed is not None

    async def sweep(self, limit: int) -> Sweep:
        """Clear the indexes of expired entries, and let old tombstones go."""

        async def sweep(shard: int) -> tuple[int, bytes]:
            return await self.session.run(
                scripts.SWEEP, shard, limit, scripts.TOMBSTONE_MS, mutates=True
            )

        answers = await self.session.on_all(sweep)
        return Sweep(sum(count for count, _ in answers), more=any(more for _, more in answers))

    # Reading

    async def _values(self, keys: Sequence[str]) -> list[bytes | None]:
        names = self.session.shards.names(keys)
        if len(names) == 1:
            return [await self.session.link.command(names[0], "GET", names[0])]
        groups = list(self._by_shard(keys).values())
        if len(groups) == 1:
            return await self.session.link.command(names[0], "MGET", *names)

        async def read(positions: list[int]) -> list[bytes | None]:
            wanted = [names[at] for at in positions]
            return await self.session.link.command(wanted[0], "MGET", *wanted)

        values: list[bytes | None] = [None] * len(keys)
        answers = await asyncio.gather(*map(read, groups))
        for positions, answer in zip(groups, answers, strict=True):
            for at, value in zip(positions, answer, strict=True):
                values[at] = value
        return values

    async def read_payloads(self, keys: Sequence[str]) -> list[bytes | str | None]:
        """Read values and cut their headers off."""
        # What ``_payload_of`` does, without a call for each.
        return [
            None if raw is None else raw[raw.index(b"\n") + 1 :] for raw in await self._values(keys)
        ]

    async def read_records(self, keys: Sequence[str]) -> list[Record | None]:
        """Read values with their headers."""
        values = await self._values(keys)
        return [
            None if raw is None else record_of(key, raw)
            for key, raw in zip(keys, values, strict=True)
        ]

    async def page(self, keys: KeyRange, limit: int, partition: str | None) -> Page:
        """Merge the shards' pages in key order."""
        found, after = await self._page_values(keys, limit, partition)
        return Page([record_of(key, raw) for key, raw in found], after)

    async def page_payloads(self, keys: KeyRange, limit: int, partition: str | None) -> PayloadPage:
        """Merge the shards' pages in key order, and cut the headers off."""
        found, after = await self._page_values(keys, limit, partition)
        return PayloadPage([(key, _payload_of(raw)) for key, raw in found], after)

    async def _page_values(
        self, keys: KeyRange, limit: int, partition: str | None
    ) -> tuple[list[tuple[str, bytes]], str | None]:
        async def read(shard: int) -> tuple[list[tuple[str, bytes]], str]:
            after, *flat = await self._page(shard, keys, limit, partition, values=True)
            names = [key.decode() for key in flat[::2]]
            return list(zip(names, flat[1::2], strict=True)), after.decode()

        return _merge(await self.session.on_all(read), limit, itemgetter(0))

    async def page_keys(self, keys: KeyRange, limit: int, partition: str | None) -> KeyPage:
        """Merge the shards' keys in order."""

        async def read(shard: int) -> tuple[list[str], str]:
            after, *found = await self._page(shard, keys, limit, partition, values=False)
            return [key.decode() for key in found], after.decode()

        pages = await self.session.on_all(read)
        found, after = _merge(pages, limit, str)
        return KeyPage(found, after)

    async def _page(
        self, shard: int, keys: KeyRange, limit: int, partition: str | None, *, values: bool
    ) -> list[bytes]:
        share = limit
        if self.session.shards.count > 1:
            share = min(
                limit, max(_SMALLEST_SHARE, int(limit / self.session.shards.count * _SHARE_MARGIN))
            )
        return await self.session.run(
            scripts.PAGE,
            shard,
            partition or "",
            ("(" if keys.exclusive else "[") + keys.first,
            "(" + keys.before,
            share,
            MAX_PAGE_BYTES // self.session.shards.count,
            "1" if values else "",
            mutates=False,
        )

    # Looking at it

    async def stats(self) -> Stats:
        """Count by the indexes; sizes of large fleets are estimated from a sample."""

        async def count(shard: int) -> list[Any]:
            return await self.session.run(
                scripts.COUNT, shard, EXACT_COUNT_LIMIT, EXACT_COUNT_LIMIT, mutates=False
            )

        partitions: dict[str, int] = {}
        total, total_expired, size, exact = 0, 0, 0, True
        for (
            indexed,
            expired,
            shard_exact,
            sampled,
            number_of_bytes,
            *flat,
        ) in await self.session.on_all(count):
            live = indexed - expired
            total += live
            total_expired += expired
            exact = exact and bool(shard_exact)
            size += number_of_bytes if shard_exact else number_of_bytes * live // max(1, sampled)
            for name, held in zip(flat[::2], flat[1::2], strict=True):
                if held > 0:
                    partition = name.decode()
                    partitions[partition] = partitions.get(partition, 0) + held
        try:
            server = server_figures(await self.session.link.info())
        except NOT_ALLOWED:
            server = {}
        pool = self.session.link.figures()
        return Stats(total, total_expired, partitions, size, exact, server, pool)

    async def _info(self, section: str) -> dict[str, Any]:
        """Return what the server tells of itself; nothing where it does not let us look."""
        route = f"{self.session.shards.prefixes[0]}:n"
        try:
            answer = await self.session.link.command(route, "INFO", section)
        except NOT_ALLOWED:
            return {}
        return answer if isinstance(answer, dict) else parse_info(answer)

    async def describe(self) -> dict[str, Any]:
        """Tell the version, the layout, and what the persistence settings promise."""
        server = await self._info("server")
        persistence = await self._info("persistence")
        policy = await self._setting("appendfsync")
        told = persistence.get("aof_enabled")
        aof = None if told is None else str(told) == "1"
        name = "Valkey" if "valkey_version" in server else "Redis"
        version = server.get("valkey_version") or server.get("redis_version", "?")
        eviction = await self._setting("maxmemory-policy")
        return {
            "server": f"{name} {version}",
            "location": self.session.link.where,
            "schema_version": LAYOUT,
            "shards": self.session.shards.count,
            "colocate": self.session.shards.colocate,
            "aof_enabled": aof,
            "appendfsync": policy,
            "maxmemory_policy": eviction,
            "durability": _durability(policy, aof=aof),
            "atomic_batches": self.capabilities.atomic_batches,
        }

    async def _setting(self, name: str) -> str:
        route = f"{self.session.shards.prefixes[0]}:n"
        try:
            answer = await self.session.link.command(route, "CONFIG", "GET", name)
        except AqeError:
            return _UNKNOWN
        # The cluster client answers with a dict, one server with a flat list.
        value = next(iter(answer.values())) if isinstance(answer, dict) else answer[1]
        return value.decode() if isinstance(value, bytes) else str(value)


def _durability(policy: str, *, aof: bool | None) -> str:
    if aof is None:
        return _UNKNOWN
    if not aof:
        return "AOF is off: a crash takes all writes since the last snapshot"
    return {
        "always": "every acknowledged write survives a crash (appendfsync always)",
        "everysec": "a crash may take about the last second of writes (appendfsync everysec)",
        "no": "a crash may take what the kernel had not written yet (appendfsync no)",
    }.get(policy, f"appendfsync {policy}")


def _payload_of(raw: bytes) -> bytes:
    """Return a stored value without its header."""
    return raw[raw.index(b"\n") + 1 :]


def _merge(
    pages: list[tuple[list[Any], str]], limit: int, key: Callable[[Any], str]
) -> tuple[list[Any], str | None]:
    """Merge sorted pages up to where the first unfinished shard's page ends."""
    unfinished = [after for _, after in pages if after]
    end = min(unfinished, default=None)
    found = [item for items, _ in pages for item in items]
    if len(pages) > 1:
        found.sort(key=key)
        if end is not None:
            found = [item for item in found if key(item) <= end]
    if len(found) > limit:
        found = found[:limit]
        end = key(found[-1])
    return found, end
