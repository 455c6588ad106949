"""The layout of a fleet's keys: which version it has, and over how many shards it is spread."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lionagi_qe.errors import ConfigurationError, SchemaTooNewError
from lionagi_qe.persistence.server_support.migrations import not_there
from lionagi_qe.persistence.values.keys import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.redis.connection import Link

LAYOUT = 1
CLUSTER_SHARDS = 16
MAX_SHARDS = 1024


@dataclass(frozen=True, slots=True)
class Layout:
    """How the keys of a fleet are spread; None where it doesn't matter to the caller."""

    shards: int | None = None
    colocate: int | None = None


class Shards:
    """Where a fleet's entries and queues lie: each shard's keys share a hash tag, and so a slot.

    With ``colocate`` those whose names agree in so many leading segments (after ``aqe/``, which a
    queue's name may lack) lie in one shard, and can change in one atomic step. 0: spread evenly.
    """

    def __init__(self, fleet: str, count: int, colocate: int = 0) -> None:
        self.count = count
        self.colocate = colocate
        tags = [fleet] if count == 1 else [f"{fleet}/{at}" for at in range(count)]
        self.prefixes = [f"aqe:{{{tag}}}" for tag in tags]

    def of(self, name: str) -> int:
        """Return the number of the shard that holds the entry, the queue or the lease."""
        if self.count == 1:
            return 0
        if self.colocate:
            segments = name.removeprefix(ROOT).split("/", self.colocate)
            name = "/".join(segments[: self.colocate])
        return zlib.crc32(name.encode()) % self.count

    def name(self, key: str) -> str:
        """Return the Redis key of an entry."""
        return f"{self.prefixes[self.of(key)]}:e:{key}"

    def names(self, keys: Sequence[str]) -> list[str]:
        """Return the Redis keys of entries."""
        if self.count > 1:
            return [self.name(key) for key in keys]
        prefix = f"{self.prefixes[0]}:e:"
        return [prefix + key for key in keys]


async def enter(link: Link, fleet: str, wanted: Layout, default: int, *, migrate: bool) -> Shards:
    """Read the fleet's layout, or lay it down if it is new; the first of several to come wins."""
    meta = f"aqe:{{{fleet}}}:meta"
    fields = ("layout", "shards", "colocate")
    layout, shards, colocate = await link.command(meta, "HMGET", meta, *fields)
    if layout is None:
        if not migrate:
            raise not_there(link.where, f"fleet {fleet!r}")
        # The layout's version last: one that isn't whole is then never seen.
        for name, value in zip(
            ("shards", "colocate", "layout"),
            (wanted.shards or default, wanted.colocate or 0, LAYOUT),
            strict=True,
        ):
            await link.command(meta, "HSETNX", meta, name, value, mutates=True)
        layout, shards, colocate = await link.command(meta, "HMGET", meta, *fields)
    if int(layout) > LAYOUT:
        msg = (
            f"{link.where}: the fleet {fleet!r} has key layout {int(layout)}, this "
            f"aqe-fleet knows up to {LAYOUT}; upgrade the package"
        )
        raise SchemaTooNewError(msg)
    found = Shards(fleet, int(shards), int(colocate or 0))
    for name, asked, is_ in (
        ("shards", wanted.shards, found.count),
        ("colocate", wanted.colocate, found.colocate),
    ):
        if asked is not None and asked != is_:
            msg = (
                f"{link.where}: the fleet {fleet!r} was made with {name}={is_}, not {asked}; "
                f"leave {name} out, or copy it to a new fleet"
            )
            raise ConfigurationError(msg)
    return found
