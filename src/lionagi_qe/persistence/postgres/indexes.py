"""Indexes in PostgreSQL: tables beside the entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.indexes import Document, Frequencies, Match, Written
from lionagi_qe.persistence.postgres.columns import NULL, column, columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lionagi_qe.persistence.contract.indexes import Posting
    from lionagi_qe.persistence.postgres.session import PostgresSession


# Columns of a document that is read without its terms.
_BARE = 4
_NO_TERMS: dict[int, int] = {}


class PostgresIndexes:
    """The indexes of the backend's fleet; each call is one statement."""

    def __init__(self, session: PostgresSession) -> None:
        self._session = session

    async def position(self, index: str) -> str:
        """Read the index's row."""
        rows = await self._fetch("index_position", index)
        return rows[0][0] if rows else ""

    async def write(
        self,
        index: str,
        expected: str,
        position: str,
        documents: Sequence[Document],
        gone: Sequence[int],
    ) -> bool:
        """Call the server's function."""
        heads = [
            (
                str(each.number),
                each.key,
                str(each.revision),
                each.vector.hex() or NULL,
                each.code.hex() or NULL,
            )
            for each in documents
        ]
        postings = [
            (str(each.number), str(term), str(weight))
            for each in documents
            for term, weight in each.postings.items()
        ]
        ((written,),) = await self._fetch(
            "write_index",
            index,
            expected,
            position,
            *columns(heads, 5),
            *columns(postings, 3),
            _numbers(gone),
            mutates=True,
        )
        return written

    async def frequencies(self, index: str, terms: Sequence[int]) -> Frequencies:
        """Look each term up."""
        rows = await self._fetch("index_frequencies", index, _numbers(terms))
        return Frequencies(*rows[0]) if rows else Frequencies(0, 0, [0] * len(terms))

    async def match(
        self, index: str, weights: Sequence[Posting], most: int, limit: int
    ) -> list[Match]:
        """Add up the heaviest postings of each term."""
        wanted = columns([(str(term), str(weight)) for term, weight in weights], 2)
        rows = await self._fetch("index_match", index, *wanted, most, limit)
        return [Match(*row) for row in rows]

    async def codes(self, index: str, after: int, limit: int) -> list[Written]:
        """Read the rows behind a place."""
        return [Written(*row) for row in await self._fetch("index_codes", index, after, limit)]

    async def documents(
        self, index: str, numbers: Sequence[int], *, terms: bool
    ) -> list[Document | None]:
        """Look each document up."""
        name = "index_documents" if terms else "index_documents_bare"
        rows = await self._fetch(name, index, _numbers(numbers))
        found = {row[0]: _document(row) for row in rows}
        return [found.get(number) for number in numbers]

    async def holding(self, index: str, term: int, limit: int, *, terms: bool) -> list[Document]:
        """Read the documents behind a term's postings."""
        name = "index_holding" if terms else "index_holding_bare"
        return [_document(row) for row in await self._fetch(name, index, term, limit)]

    async def numbers(self, index: str, term: int, limit: int) -> list[int]:
        """Read a term's postings."""
        return [number for (number,) in await self._fetch("index_numbers", index, term, limit)]

    async def drop(self, index: str, limit: int) -> bool:
        """Call the server's function."""
        ((more,),) = await self._fetch("drop_index", index, limit, mutates=True)
        return more

    async def _fetch(self, name: str, *arguments: Any, mutates: bool = False) -> list[Any]:  # noqa: ANN401
        self._session.check_whole("recall")
        async with self._session.connection(mutates=mutates) as connection:
            return await connection.fetch(self._session.sql[name], self._session.fleet, *arguments)


def _numbers(numbers: Iterable[int]) -> str:
    return column([*map(str, numbers)])


def _document(row: Any) -> Document:  # noqa: ANN401 - a row of the driver's
    if len(row) == _BARE:
        number, key, revision, vector = row
        return Document(number, key, revision, _NO_TERMS, vector)
    number, key, revision, vector, terms, weights = row
    return Document(number, key, revision, dict(zip(terms, weights, strict=True)), vector)
