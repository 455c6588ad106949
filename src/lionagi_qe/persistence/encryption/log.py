"""Changes whose values are opened."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lionagi_qe.persistence.contract.forwarding_log import ForwardingLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.persistence.contract.change_log import ChangeLog, LogPage
    from lionagi_qe.persistence.contract.records import Record


class EncryptedLog(ForwardingLog):
    """The log of a backend that stores sealed values."""

    def __init__(self, inner: ChangeLog, open_record: Callable[[Record], Record]) -> None:
        super().__init__(inner)
        self._open = open_record

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
