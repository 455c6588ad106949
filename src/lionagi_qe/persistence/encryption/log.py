"""Changes whose values are opened."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.persistence.contract.change_log import ChangeLog, LogPage
    from lionagi_qe.persistence.contract.records import Record


class EncryptedLog:
    """The log of a backend that stores sealed values."""

    def __init__(self, inner: ChangeLog, open_record: Callable[[Record], Record]) -> None:
        self._inner = inner
        self._open = open_record

    async def start(self, *, oldest: bool, removals: bool = True) -> str:
        """Return the position before all, or of now."""
        return await self._inner.start(oldest=oldest, removals=removals)

    async def check(self, position: str) -> None:
        """Raise InvalidArgumentError if it is no position."""
        await self._inner.check(position)

    async def clock(self) -> int:
        """Return the server's time."""
        return await self._inner.clock()

    async def read(
        self, position: str, prefix: str, limit: int, *, values: bool, bury: bool = True
    ) -> LogPage:
        """Return changes, their values opened."""
        page = await self._inner.read(position, prefix, limit, values=values, bury=bury)
        return replace(
            page,
            records=[
                each if each.entry is None else replace(each, entry=self._open(each.entry))
                for each in page.records
            ],
        )

    async def finish(self, position: str, limit: int) -> bool:
        """Let go what is kept for a copy."""
        return await self._inner.finish(position, limit)
