"""The layout of a fleet's keys: which version it has, and over how many shards it is spread."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from lionagi_qe.errors import ConfigurationError, SchemaMissingError, SchemaTooNewError

if TYPE_CHECKING:
    from lionagi_qe.persistence.redis.connection import Link

LAYOUT = 1
CLUSTER_SHARDS = 16
MAX_SHARDS = 1024


class Shards:
    """Where the entries of a fleet lie: each shard's keys share a hash tag, and so a slot."""

    def __init__(self, fleet: str, count: int) -> None:
        self.count = count
        tags = [fleet] if count == 1 else [f"{fleet}/{at}" for at in range(count)]
        self.prefixes = [f"aqe:{{{tag}}}" for tag in tags]

    def of(self, key: str) -> int:
        """Return the number of the shard that holds ``key``."""
        return 0 if self.count == 1 else zlib.crc32(key.encode()) % self.count

    def name(self, key: str) -> str:
        """Return the Redis key of an entry."""
        return f"{self.prefixes[self.of(key)]}:e:{key}"


async def enter(
    link: Link, fleet: str, wanted: int | None, default: int, *, migrate: bool
) -> Shards:
    """Read the fleet's layout, or lay it down if it is new; the first of several to come wins."""
    meta = f"aqe:{{{fleet}}}:meta"
    layout, shards = await link.command(meta, "HMGET", meta, "layout", "shards")
    if layout is None:
        if not migrate:
            msg = f"{link.where}: the fleet {fleet!r} is not there; open with migrate=True once"
            raise SchemaMissingError(msg)
        # The count first: a layout without one is then never seen.
        await link.command(meta, "HSETNX", meta, "shards", wanted or default, mutates=True)
        await link.command(meta, "HSETNX", meta, "layout", LAYOUT, mutates=True)
        layout, shards = await link.command(meta, "HMGET", meta, "layout", "shards")
    if int(layout) > LAYOUT:
        msg = (
            f"{link.where}: the fleet {fleet!r} has key layout {int(layout)}, this "
            f"lionagi-qe-fleet knows up to {LAYOUT}; upgrade the package"
        )
        raise SchemaTooNewError(msg)
    if wanted is not None and int(shards) != wanted:
        msg = (
            f"{link.where}: the fleet {fleet!r} was made with {int(shards)} shards, not {wanted}; "
            "leave shards out, or copy it to a new fleet"
        )
        raise ConfigurationError(msg)
    return Shards(fleet, int(shards))
