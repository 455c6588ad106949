"""A cache over a durable memory: reads that are fast, writes that are safe, a bound on staleness.

Writes go to the durable memory, and are acknowledged by it; then the cache is told to forget the
keys. ``retrieve``, ``retrieve_many`` and ``exists`` look into the cache first. All else (entries
with their revisions, compare-and-set, updates, scans, searches, queues, leases) is asked of the
durable memory alone.

How old may a value be that the cache gave? Each handle follows the log of the durable memory and
marks in the cache what others changed. It trusts the cache only while it has read the log to its
end, and marked all of it, within the last ``max_stale`` seconds; else it asks the durable memory.
So whatever was acknowledged ``max_stale`` seconds before a call is seen by it. A handle's own
writes are seen by its own next calls: where the cache could not be told, it isn't trusted until
the log has been read on.

What fills the cache was read after the fill announced itself; a mark made since then keeps it out,
and a flushed cache refuses fills announced before. So no fill, however late, brings an old value
back. A dead, cold or flushed cache costs time and nothing else.

One limit: ``touch`` and a store's new expiry are marked by the handle that makes them. Where
another program shortens an entry's life with ``touch`` past all hybrid handles, a cached value may
outlive it by up to ``cache_ttl``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.caching.backend import HybridBackend
from lionagi_qe.persistence.memory import Memory
from lionagi_qe.persistence.values.entry import check_seconds

if TYPE_CHECKING:
    from typing import Unpack

    from lionagi_qe.persistence.contract.backend import Backend
    from lionagi_qe.persistence.contract.cache import Cache
    from lionagi_qe.persistence.memory import MemorySettings

DEFAULT_MAX_STALE = 1.0
DEFAULT_CACHE_TTL = 60.0


class HybridMemory(Memory):
    """A durable memory with a cache in front; see this module for what it promises.

    Args:
        durable: where the entries live.
        cache: where copies of values live, shared by all handles on the same memory.
        max_stale: seconds; what was acknowledged longer ago, by whomever, is seen. Each handle
            looks at the log four times as often.
        cache_ttl: most seconds that a value stays in the cache.
        settings: see Memory.
    """

    def __init__(
        self,
        durable: Backend,
        cache: Cache,
        *,
        max_stale: float = DEFAULT_MAX_STALE,
        cache_ttl: float = DEFAULT_CACHE_TTL,
        **settings: Unpack[MemorySettings],
    ) -> None:
        self._hybrid = HybridBackend(
            durable,
            cache,
            max_stale=check_seconds("max_stale", max_stale),
            cache_ttl=check_seconds("cache_ttl", cache_ttl),
        )
        super().__init__(self._hybrid, **settings)

    async def get_stats(self, *, timeout: float | None = None) -> dict[str, Any]:
        """As Memory.get_stats, and under ``cache`` what the cache did for this handle.

        ``hits``, ``misses``, ``bypassed`` (not looked up), ``filled``, ``errors``, ``hit_rate`` of
        all values asked for (None before the first), ``trusted`` now.
        """
        stats = await super().get_stats(timeout=timeout)
        tally = self._hybrid.tally
        asked = tally.hits + tally.misses + tally.bypassed
        stats["cache"] = {
            "hits": tally.hits,
            "misses": tally.misses,
            "bypassed": tally.bypassed,
            "filled": tally.filled,
            "errors": tally.errors,
            "hit_rate": tally.hits / asked if asked else None,
            "trusted": self._hybrid.follower.age() <= self._hybrid.capabilities.max_stale,
        }
        return stats
