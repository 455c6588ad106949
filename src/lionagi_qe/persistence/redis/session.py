"""A fleet's place on a Redis server or in the shards of a cluster."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.redis.cluster import ClusterLink
from lionagi_qe.persistence.redis.connection import parse_info, run
from lionagi_qe.persistence.redis.schema import CLUSTER_SHARDS, Layout, Shards, enter
from lionagi_qe.persistence.redis.server_errors import NOT_ALLOWED
from lionagi_qe.persistence.server_support.server_versions import refuse_older

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lionagi_qe.persistence.redis.connection import Link
    from lionagi_qe.persistence.redis.scripts import Script


class RedisSession:
    """How the backend's parts get at their fleet.

    Attributes:
        link: the connections.
        shards: where the fleet's keys lie; known once it is opened.
        is_clustered: the link leads to a cluster.
    """

    def __init__(self, link: Link, wanted: Layout) -> None:
        self.link = link
        self.shards = Shards("", 1)
        self.is_clustered = isinstance(link, ClusterLink)
        self._wanted = wanted

    async def open(self, fleet: str, *, migrate: bool) -> None:
        """Connect and read the fleet's layout."""
        await self.link.open()
        await _refuse_older_server(self.link, fleet)
        default = CLUSTER_SHARDS if self.is_clustered else 1
        self.shards = await enter(self.link, fleet, self._wanted, default, migrate=migrate)

    async def close(self) -> None:
        """Close the connections."""
        await self.link.close()

    async def run(self, script: Script, shard: int, *arguments: Any, mutates: bool) -> Any:  # noqa: ANN401
        """Run a script on a shard; its arguments follow the shard's prefix."""
        prefix = self.shards.prefixes[shard]
        return await run(self.link, script, f"{prefix}:n", prefix, *arguments, mutates=mutates)

    async def on_all(self, action: Callable[[int], Awaitable[Any]]) -> list[Any]:
        """Do ``action`` on every shard; all end before the first error is raised."""
        if self.shards.count == 1:
            return [await action(0)]
        answers = await asyncio.gather(
            *(action(shard) for shard in range(self.shards.count)), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers


async def _refuse_older_server(link: Link, fleet: str) -> None:
    """Raise ConfigurationError if the server lacks what scripts need; one round trip.

    Where INFO is not allowed, or switched off, nobody is told: whatever the server lacks, calls
    then say.
    """
    try:
        answer = await link.command(f"aqe:{{{fleet}}}:meta", "INFO", "server")
    except NOT_ALLOWED:
        return
    told = answer if isinstance(answer, dict) else parse_info(answer)
    refuse_older("Redis", str(told.get("redis_version", "")), link.where)
