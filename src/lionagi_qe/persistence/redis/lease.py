"""Fenced leases in Redis: a string a lease; on a cluster, a copy of it in each shard.

A fenced change must be checked in the shard of its entry. So the lease's home shard decides who
holds it and gives the token, and ``acquire`` returns once every other shard knows it too: from then
on no shard takes the token of a former holder, whatever the nodes' clocks say. An acquisition that
can't reach a shard fails. Tokens come from the home shard's counter of revisions.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.leases import Tenure
from lionagi_qe.persistence.contract.refused import partly_applied
from lionagi_qe.persistence.redis import scripts

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.operations import Fence
    from lionagi_qe.persistence.redis.session import RedisSession


class RedisLeases:
    """The leases of the backend's fleet."""

    def __init__(self, session: RedisSession) -> None:
        self._session = session

    async def _at_home(self, action: str, name: str, *arguments: Any) -> Any:  # noqa: ANN401
        home = self._session.shards.of(name)
        return await self._session.run(scripts.LEASE, home, action, name, *arguments, mutates=True)

    async def _copy(self, fence: Fence | Tenure, name: str, holder: str, ends: int) -> bool:
        """Tell all other shards; False if one knows a later token.

        What one of them refuses is an unknown outcome: the home shard has changed the lease.
        """
        home = self._session.shards.of(name)
        others = [shard for shard in range(self._session.shards.count) if shard != home]
        words = ("copy", name, fence.token, holder, ends)
        answers = await asyncio.gather(
            *(self._session.run(scripts.LEASE, shard, *words, mutates=True) for shard in others),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise partly_applied(answer)
        return all(answers)

    async def acquire(self, name: str, holder: str, ttl_ms: int) -> Tenure:
        """Ask the home shard, then tell the others."""
        while True:
            token, held_by, remaining, ends = await self._at_home("acquire", name, holder, ttl_ms)
            tenure = Tenure(int(token), held_by.decode(), int(remaining))
            if tenure.holder != holder or await self._copy(tenure, name, holder, int(ends)):
                return tenure
            # Somebody came after us while we told the shards: ask who it is.

    async def renew(self, fence: Fence, ttl_ms: int) -> bool:
        """Move the end at home, then in the other shards."""
        return await self._extend(fence, ttl_ms)

    async def release(self, fence: Fence) -> bool:
        """Let the end be now, everywhere."""
        return await self._extend(fence, 0)

    async def _extend(self, fence: Fence, ttl_ms: int) -> bool:
        ends = await self._at_home("extend", fence.name, fence.token, ttl_ms)
        if not ends:
            return False
        copied = await self._copy(fence, fence.name, "-", int(ends))
        return copied or ttl_ms == 0

    async def exchange(self, name: str, old: str, new: str) -> bool:
        """Ask the home shard: nobody reads the holder elsewhere."""
        return bool(await self._at_home("exchange", name, old, new))

    async def look(self, name: str) -> Tenure | None:
        """Ask the home shard."""
        answer = await self._at_home("look", name)
        if not answer:
            return None
        token, holder, remaining = answer
        return Tenure(int(token), holder.decode(), int(remaining))

    async def list_held(self, after: str, limit: int) -> list[tuple[str, Tenure]]:
        """Ask each shard for those at home in it."""

        async def held(shard: int) -> list[Any]:
            return await self._session.run(scripts.LEASE_LIST, shard, after, limit, mutates=False)

        found: list[tuple[str, Tenure]] = []
        for flat in await self._session.on_all(held):
            for at in range(0, len(flat), 4):
                name, token, holder, remaining = flat[at : at + 4]
                tenure = Tenure(int(token), holder.decode(), int(remaining))
                found.append((name.decode(), tenure))
        return sorted(found, key=lambda each: each[0])[:limit]
