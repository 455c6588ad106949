"""A cache of another memory's entries on Redis; losing all of it, or values, does no harm.

Marks of changes last ten seconds, and keep out values that were read before. A server that evicts
them sooner (as with ``maxmemory-policy volatile-ttl``) may let one reader that was slow bring an
old value back, for as long as the cache keeps values.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Self, cast

from lionagi_qe.persistence.contract.cache import Reading
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.redis import scripts
from lionagi_qe.persistence.redis.connection import run
from lionagi_qe.persistence.redis.memory import RedisMemory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lionagi_qe.persistence.contract.cache import Fill
    from lionagi_qe.persistence.redis.backend import RedisBackend
    from lionagi_qe.persistence.redis.connection import Link


class RedisCache:
    """The cache that all handles on one memory share; it lies in one hash slot.

    Args:
        link: the connections.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._prefix = ""
        self.where = link.where
        self._opening = asyncio.Lock()
        self._open = False

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Make a cache on the server that a memory's URL names; nothing is connected yet."""
        return cls(cast("RedisBackend", parts_of(RedisMemory.from_url(url)).backend).session.link)

    def name(self, memory: str) -> None:
        """Tell whose entries these are: the same text in all handles on one memory."""
        digest = hashlib.blake2b(memory.encode(), digest_size=10).hexdigest()
        self._prefix = f"aqe:{{cache/{digest}}}"

    async def close(self) -> None:
        """Close the connections."""
        self._open = False
        await self._link.close()

    async def _ready(self) -> None:
        if self._open:
            return
        async with self._opening:
            if not self._open:
                try:
                    await self._link.open()
                except BaseException:
                    await self._link.close()
                    raise
                self._open = True

    async def _run(self, *words: Any) -> Any:  # noqa: ANN401 - what the script answers
        await self._ready()
        route = f"{self._prefix}:g"
        return await run(self._link, scripts.CACHE, route, self._prefix, *words)

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the payloads held; None for what isn't, or not any more."""
        await self._ready()
        names = [f"{self._prefix}:g", *(f"{self._prefix}:c:{key}" for key in keys)]
        generation, *values = await self._link.command(names[0], "MGET", *names)
        head = b"v " + (generation or b"") + b" "
        return [
            value[value.index(b"\n") + 1 :] if value and value.startswith(head) else None
            for value in values
        ]

    async def begin(self) -> Reading:
        """Note the moment before the memory itself is read."""
        moment, generation = await self._run("begin")
        return Reading(int(moment), generation.decode())

    async def fill(self, reading: Reading, entries: Iterable[Fill]) -> None:
        """Keep what was read, unless it was changed since the reading began."""
        words: list[Any] = [reading.moment, reading.generation]
        for entry in entries:
            words += (entry.key, entry.revision, entry.life_ms, entry.payload)
        await self._run("fill", *words)

    async def mark(self, changes: Iterable[tuple[str, int | None]]) -> None:
        """Forget keys that were changed, to a revision or (None) to an unknown one."""
        words: list[Any] = []
        for key, revision in changes:
            words += (key, "" if revision is None else revision)
        if words:
            await self._run("mark", *words)

    async def position(self) -> str | None:
        """Return the position up to which changes were marked, if it is known."""
        kept = await self._run("position")
        return kept.decode() if kept else None

    async def keep_position(self, reading: Reading, position: str, life_ms: int) -> None:
        """Note that all changes up to ``position`` are marked."""
        await self._run("keep", reading.generation, position, life_ms)

    async def renew(self) -> None:
        """Empty the cache, at once and for all handles."""
        await self._run("renew")
