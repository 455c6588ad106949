"""Changes whose keys are read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lionagi_qe.errors import DecryptionError
from lionagi_qe.persistence.contract.forwarding_log import ForwardingLog
from lionagi_qe.persistence.values.keys import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.persistence.contract.change_log import ChangeLog, LogPage, LogRecord
    from lionagi_qe.persistence.contract.records import Record
    from lionagi_qe.persistence.hidden_names.names import Names


class HiddenNamesLog(ForwardingLog):
    """The log of a backend that stores hidden names."""

    def __init__(
        self, inner: ChangeLog, names: Names, read_record: Callable[[Record], Record]
    ) -> None:
        super().__init__(inner)
        self._names = names
        self._read_record = read_record

    async def read(
        self, position: str, prefix: str, limit: int, *, values: bool, bury: bool = True
    ) -> LogPage:
        """Return changes of keys with this prefix; passes those of its whole segments."""
        level = prefix[: prefix.rfind("/") + 1]
        stored = self._names.prefix(level) if level.startswith(ROOT) else ROOT
        page = await self._inner.read(position, stored, limit, values=values, bury=bury)
        found = map(self._read, page.records)
        return replace(
            page,
            records=[each for each in found if each is not None and each.key.startswith(prefix)],
        )

    def _read(self, record: LogRecord) -> LogRecord | None:
        try:
            key = self._names.read_key(record.key)
        except DecryptionError:
            # Of an entry that was there in clear, before names were hidden.
            if record.kind != "stored":
                return None
            raise
        entry = None if record.entry is None else self._read_record(record.entry)
        return replace(record, key=key, entry=entry)
