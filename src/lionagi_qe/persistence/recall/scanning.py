"""The codes of an index as a process has them: kept, and read on from where it was written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lionagi_qe.persistence.recall.codes import no_codes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lionagi_qe.persistence.contract.indexes import Frequencies, Written

    Read = Callable[[int, int], Awaitable[list[Written]]]

_READ_AT_ONCE = 4_096
# Codes of what was replaced or removed that are kept beside as many as there are documents.
_SPARE = 1_024
# Bytes of codes beyond which looking at all of them is left to a thread.
_MUCH = 1 << 24


class Scan:
    """Keeps an index' codes, and finds what may be near.

    Costs memory: for each vector an eighth of its dimensions in bytes, and 8, twice in part.

    Args:
        data: what backends call the index.
        dims: numbers in its vectors.
    """

    def __init__(self, data: str, dims: int) -> None:
        self.data = data
        self._dims = dims
        self._lock = asyncio.Lock()
        self._begin()

    def _begin(self) -> None:
        self._codes = no_codes(self._dims)
        self._place = self._documents = 0

    async def catch_up(self, now: Frequencies, read: Read) -> None:
        """Read what was written up to now; those who ask meanwhile share that.

        All is read anew where the index has come to be another, or has half as many documents as
        are kept of it: nobody tells what was removed.
        """
        async with self._lock:
            if now.place < self._place or self._documents > 2 * now.documents + _SPARE:
                self._begin()
            more = self._place < now.place
            while more:
                page = await read(self._place, _READ_AT_ONCE)
                self._add(page)
                more = len(page) == _READ_AT_ONCE
            self._place = max(self._place, now.place)

    def _add(self, page: Sequence[Written]) -> None:
        if page:
            size = self._codes.size
            numbers = [number for _, number, code in page for _ in range(len(code) // size)]
            self._codes.add(numbers, b"".join(code for _, _, code in page))
            self._documents += len(page)
            self._place = page[-1].place

    async def nearest(
        self, vector: bytes, most: int, within: Sequence[int] | None = None
    ) -> list[int]:
        """Return the numbers of up to ``most`` documents that may be nearest, those first.

        Of those whose numbers are ``within``, if it isn't None.
        """
        codes = self._codes
        if len(codes) * codes.size > _MUCH:
            return await asyncio.to_thread(codes.nearest, vector, most, within)
        return codes.nearest(vector, most, within)
