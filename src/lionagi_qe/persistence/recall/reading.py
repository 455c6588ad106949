"""What searches read of an index and of its entries; those of one moment share requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lionagi_qe.persistence.contract.indexes import Frequencies
from lionagi_qe.persistence.recall.gathering import Gathering

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import TypeVar

    from lionagi_qe.persistence.contract.indexes import Document, IndexBackend
    from lionagi_qe.persistence.contract.records import Record
    from lionagi_qe.persistence.scheduling.scheduler import Scheduler

    T = TypeVar("T")

READ_AT_ONCE = 512
_TERMS_AT_ONCE = 1_024


class _Counted(NamedTuple):
    """What an index has, and how many documents have each term."""

    documents: int
    place: int
    having: Mapping[int, int]


class Reader:
    """Reads for all searches in an index.

    Args:
        scheduler: carries what is asked.
        data: what backends call the index.
    """

    def __init__(self, scheduler: Scheduler, data: str) -> None:
        self._scheduler = scheduler
        self._data = data
        self._terms = Gathering(self._count, _TERMS_AT_ONCE)
        self._documents = {
            terms: Gathering(self._documents_by(terms=terms), READ_AT_ONCE)
            for terms in (False, True)
        }
        self._records = Gathering(self._read, READ_AT_ONCE)

    async def frequencies(self, terms: Sequence[int], deadline: float) -> Frequencies:
        """Return how many documents there are, and how many have each of distinct terms."""
        counted = await self._terms.get(terms, deadline)
        return Frequencies(
            counted.documents, counted.place, [counted.having[term] for term in terms]
        )

    async def documents(
        self, numbers: Sequence[int], deadline: float, *, terms: bool
    ) -> list[Document]:
        """Return those documents that are there; their terms if wanted."""
        known = await self._documents[terms].get(numbers, deadline)
        return [known[number] for number in numbers if number in known]

    async def records(self, keys: Sequence[str], deadline: float) -> list[Record | None]:
        """Return live entries, None for what isn't there."""
        known = await self._records.get(keys, deadline)
        return [known[key] for key in keys]

    async def ask(self, question: Callable[[IndexBackend], Awaitable[T]], deadline: float) -> T:
        """Return what an index answers to one search alone."""
        return await self._scheduler.ask(lambda _: question(self._scheduler.indexes), deadline)

    async def _count(self, terms: list[int], deadline: float) -> _Counted:
        found = await self.ask(lambda indexes: indexes.frequencies(self._data, terms), deadline)
        return _Counted(found.documents, found.place, dict(zip(terms, found.having, strict=True)))

    def _documents_by(
        self, *, terms: bool
    ) -> Callable[[list[int], float], Awaitable[dict[int, Document]]]:
        async def read(numbers: list[int], deadline: float) -> dict[int, Document]:
            found = await self.ask(
                lambda indexes: indexes.documents(self._data, numbers, terms=terms), deadline
            )
            return {each.number: each for each in found if each is not None}

        return read

    async def _read(self, keys: list[str], deadline: float) -> dict[str, Record | None]:
        records = await self._scheduler.ask(lambda backend: backend.read_records(keys), deadline)
        return dict(zip(keys, records, strict=True))
