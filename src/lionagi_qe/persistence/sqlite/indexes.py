"""Indexes in SQLite: tables beside the entries."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from lionagi_qe.persistence.contract.indexes import Document, Frequencies, Match, Written
from lionagi_qe.persistence.sqlite import index_statements as sql
from lionagi_qe.persistence.values.packing import packed_integers, unpacked_integers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

    from lionagi_qe.persistence.contract.indexes import Posting
    from lionagi_qe.persistence.sqlite.session import SqliteSession


class SqliteIndexes:
    """The indexes of the backend's fleet."""

    def __init__(self, session: SqliteSession) -> None:
        self._session = session

    def _find(self, connection: apsw.Connection, index: str) -> Any:  # noqa: ANN401 - a row
        return connection.execute(sql.FIND, (self._session.fleet, index)).get

    async def position(self, index: str) -> str:
        """Read the index's row."""

        def read(connection: apsw.Connection) -> str:
            row = self._find(connection, index)
            return "" if row is None else row[2]

        return await self._session.read(read)

    async def write(
        self,
        index: str,
        expected: str,
        position: str,
        documents: Sequence[Document],
        gone: Sequence[int],
    ) -> bool:
        """Take the old documents apart and put the new ones in, in one transaction."""

        def change(connection: apsw.Connection) -> bool:
            row = self._find(connection, index)
            if (row[2] if row else "") != expected:
                return False
            if row is None:
                row = connection.execute(sql.MAKE, (self._session.fleet, index)).get
            counts: Counter[int] = Counter()
            old = {*gone, *(document.number for document in documents)}
            removed = _remove(connection, row[0], old, counts)
            place = _add(connection, row[0], documents, counts, row[3])
            _count(connection, row[0], counts)
            connection.execute(sql.MOVE, (len(documents) - removed, position, place, row[0]))
            return True

        return await self._session.transact(change)

    async def frequencies(self, index: str, terms: Sequence[int]) -> Frequencies:
        """Look each term up."""

        def read(connection: apsw.Connection) -> Frequencies:
            row = self._find(connection, index)
            if row is None:
                return Frequencies(0, 0, [0] * len(terms))
            found = (connection.execute(sql.HAVING, (row[0], term)).get for term in terms)
            return Frequencies(row[1], row[3], [having or 0 for having in found])

        return await self._session.read_snapshot(read)

    async def match(
        self, index: str, weights: Sequence[Posting], most: int, limit: int
    ) -> list[Match]:
        """Add up the heaviest postings of each term."""

        def read(connection: apsw.Connection) -> list[Match]:
            row = self._find(connection, index)
            if row is None:
                return []
            sums = _sums(connection, row[0], weights, most)
            best = heapq.nsmallest(limit, ((-score, number) for number, score in sums.items()))
            return [Match(-score, number) for score, number in best if score]

        return await self._session.read_snapshot(read)

    async def codes(self, index: str, after: int, limit: int) -> list[Written]:
        """Read the rows behind a place."""

        def read(connection: apsw.Connection) -> list[Written]:
            row = self._find(connection, index)
            if row is None:
                return []
            found: Any = connection.execute(sql.CODES, (row[0], after, limit))
            return [Written(*each) for each in found]

        return await self._session.read_snapshot(read)

    async def documents(
        self, index: str, numbers: Sequence[int], *, terms: bool
    ) -> list[Document | None]:
        """Look each document up."""

        def read(connection: apsw.Connection) -> list[Document | None]:
            row = self._find(connection, index)
            if row is None:
                return [None] * len(numbers)
            wanted = orjson.dumps(numbers).decode()
            found: Any = connection.execute(sql.documents(terms=terms), (wanted, row[0]))
            known = {each[0]: _document(each) for each in found}
            return [known.get(number) for number in numbers]

        return await self._session.read_snapshot(read)

    async def holding(self, index: str, term: int, limit: int, *, terms: bool) -> list[Document]:
        """Read the documents behind a term's postings."""

        def read(connection: apsw.Connection) -> list[Document]:
            row = self._find(connection, index)
            if row is None:
                return []
            found: Any = connection.execute(sql.holding(terms=terms), (row[0], term, limit))
            return [_document(each) for each in found]

        return await self._session.read_snapshot(read)

    async def numbers(self, index: str, term: int, limit: int) -> list[int]:
        """Read a term's postings."""

        def read(connection: apsw.Connection) -> list[int]:
            row = self._find(connection, index)
            if row is None:
                return []
            found: Any = connection.execute(sql.NUMBERS, (row[0], term, limit))
            return [number for (number,) in found]

        return await self._session.read_snapshot(read)

    async def drop(self, index: str, limit: int) -> bool:
        """Remove some documents, or the index if none is left."""

        def change(connection: apsw.Connection) -> bool:
            row = self._find(connection, index)
            if row is None:
                return False
            some: list[Any] = connection.execute(sql.SOME, (row[0], limit)).fetchall()
            counts: Counter[int] = Counter()
            removed = _remove(connection, row[0], [number for (number,) in some], counts)
            _count(connection, row[0], counts)
            connection.execute(sql.MOVE, (-removed, "", row[3], row[0]))
            if len(some) == limit:
                return True
            connection.execute(sql.FORGET_INDEX, (row[0],))
            return False

        return await self._session.transact(change)


def _sums(
    connection: apsw.Connection, index: int, weights: Sequence[Posting], most: int
) -> dict[int, int]:
    """Return what the heaviest postings of terms add up to, by documents."""
    sums: dict[int, int] = {}
    terms = orjson.dumps([term for term, _ in weights]).decode()
    long: Any = {at for (at,) in connection.execute(sql.LONG, (terms, index, most))}
    short = [each for at, each in enumerate(weights) if at not in long]
    terms = orjson.dumps([term for term, _ in short]).decode()
    found: Any = connection.execute(sql.ALL, (terms, index))
    for at, number, theirs in found:
        sums[number] = sums.get(number, 0) + short[at].weight * theirs
    bound = [(weights[at].weight, index, weights[at].term, most) for at in long]
    heaviest: Any = connection.executemany(sql.HEAVIEST, bound)
    for number, score in heaviest:
        sums[number] = sums.get(number, 0) + score
    return sums


def _remove(
    connection: apsw.Connection, index: int, numbers: Iterable[int], counts: Counter[int]
) -> int:
    """Remove documents and all that is of them; return how many were there."""
    # One statement for all: most documents are new, and looking for each took as long as adding it.
    wanted = orjson.dumps([*numbers]).decode()
    old: list[Any] = connection.execute(sql.OLD, (wanted, index)).fetchall()
    postings: list[tuple[int, int, int, int]] = []
    for number, _, *packs in old:
        theirs = _postings(*packs)
        counts.subtract(theirs.keys())
        postings += [(index, term, -weight, number) for term, weight in theirs.items()]
    connection.executemany(sql.FORGET_CODE, [(index, place) for _, place, *_ in old if place])
    connection.executemany(sql.FORGET_POSTING, sorted(postings))
    connection.executemany(sql.FORGET_DOCUMENT, [(index, number) for number, *_ in old])
    return len(old)


def _add(
    connection: apsw.Connection,
    index: int,
    documents: Sequence[Document],
    counts: Counter[int],
    place: int,
) -> int:
    """Add documents behind a place; return the place of the last with a code."""
    postings: list[tuple[int, int, int, int]] = []
    rows: list[tuple[int, int, str, int, bytes, bytes, bytes, int]] = []
    codes: list[tuple[int, int, int, bytes]] = []
    now = time.time_ns() // 1_000
    for number, key, revision, theirs, vector, code in documents:
        counts.update(theirs.keys())
        terms, weights = packed_integers(theirs, 8), packed_integers(theirs.values(), 4)
        if code:
            place = max(place + 1, now)
            codes.append((index, place, number, code))
        own = place if code else 0
        rows.append((index, number, key, revision, terms, weights, vector, own))
        postings += [(index, term, -weight, number) for term, weight in theirs.items()]
    connection.executemany(sql.ADD_DOCUMENT, rows)
    connection.executemany(sql.ADD_CODE, codes)
    # In the order of the table.
    connection.executemany(sql.ADD_POSTING, sorted(postings))
    return place


def _count(connection: apsw.Connection, index: int, counts: Counter[int]) -> None:
    changed = [(index, term, change) for term, change in sorted(counts.items()) if change]
    connection.executemany(sql.COUNT_TERM, changed)
    connection.executemany(
        sql.FORGET_TERM, [(index, term) for _, term, change in changed if change < 0]
    )


def _postings(terms: bytes, weights: bytes) -> dict[int, int]:
    return dict(zip(unpacked_integers(terms, 8), unpacked_integers(weights, 4), strict=True))


def _document(row: Any) -> Document:  # noqa: ANN401 - a row of a document
    number, key, revision, vector, *packs = row
    return Document(number, key, revision, _postings(*packs) if packs else {}, vector)
