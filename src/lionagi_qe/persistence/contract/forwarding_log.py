"""A log of changes that is another's, but for what a subclass reads of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lionagi_qe.persistence.contract.change_log import ChangeLog


class ForwardingLog:
    """Passes on to a log all that has no keys or values in it; ``read`` is the subclass's."""

    def __init__(self, inner: ChangeLog) -> None:
        self._inner = inner

    async def start(self, *, oldest: bool, removals: bool = True) -> str:
        """Return the position before all, or of now."""
        return await self._inner.start(oldest=oldest, removals=removals)

    async def check(self, position: str) -> None:
        """Raise InvalidArgumentError if it is no position."""
        await self._inner.check(position)

    async def clock(self) -> int:
        """Return the server's time."""
        return await self._inner.clock()

    async def finish(self, position: str, limit: int) -> bool:
        """Let go what is kept for a copy."""
        return await self._inner.finish(position, limit)
