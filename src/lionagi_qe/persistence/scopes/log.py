"""Changes of which only those in a scope are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.change_log import ChangeLog, LogPage
    from lionagi_qe.persistence.scopes.scope import Scope


class ScopedLog:
    """The changes of keys that may be read.

    Positions are the log's own: they go on with changes outside the scope too, and PostgreSQL's
    may hold the key that was looked at last.
    """

    def __init__(self, whole: ChangeLog, scope: Scope) -> None:
        self._whole = whole
        self._scope = scope

    async def start(self, *, oldest: bool, removals: bool = True) -> str:
        """Return the position before all, or of now."""
        return await self._whole.start(oldest=oldest, removals=removals)

    async def check(self, position: str) -> None:
        """Raise InvalidArgumentError if it is no position."""
        await self._whole.check(position)

    async def clock(self) -> int:
        """Return the server's time."""
        return await self._whole.clock()

    async def read(
        self, position: str, prefix: str, limit: int, *, values: bool, bury: bool = True
    ) -> LogPage:
        """Return changes of keys with this prefix that may be read."""
        narrower = self._scope.readable.common_prefix(prefix)
        if narrower is None:
            raise self._scope.refusal(f"watching keys that start with {prefix!r}")
        page = await self._whole.read(position, narrower, limit, values=values, bury=bury)
        return replace(
            page, records=[each for each in page.records if self._scope.readable.allow(each.key)]
        )

    async def finish(self, position: str, limit: int) -> bool:
        """Let go what is kept for a copy."""
        return await self._whole.finish(position, limit)
