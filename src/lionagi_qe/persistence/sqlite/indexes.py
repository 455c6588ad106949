"""Indexes in SQLite: tables beside the entries."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.indexes import (
    MATCHED_POSTINGS,
    Document,
    Match,
    Posting,
    nearest_codes,
)
from lionagi_qe.persistence.values.packing import packed_integers, unpacked_integers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

    from lionagi_qe.persistence.sqlite.session import SqliteSession

_FIND = "SELECT id, documents, position FROM indexes WHERE fleet = ? AND name = ?"
_MAKE = "INSERT INTO indexes (fleet, name) VALUES (?, ?) RETURNING id, documents, position"
_MOVE = "UPDATE indexes SET documents = documents + ?, position = ? WHERE id = ?"
_OLD = "SELECT terms, weights FROM index_documents WHERE index_id = ? AND number = ?"
_FORGET_POSTING = """
DELETE FROM index_postings WHERE index_id = ? AND term = ? AND lightness = ? AND number = ?
"""
_FORGET_DOCUMENT = "DELETE FROM index_documents WHERE index_id = ? AND number = ?"
_FORGET_CODE = "DELETE FROM index_codes WHERE index_id = ? AND number = ?"
_ADD_DOCUMENT = """
INSERT INTO index_documents (index_id, number, key, terms, weights, vector)
VALUES (?, ?, ?, ?, ?, ?)
"""
_ADD_CODE = "INSERT INTO index_codes (index_id, number, code) VALUES (?, ?, ?)"
_ADD_POSTING = """
INSERT INTO index_postings (index_id, term, lightness, number) VALUES (?, ?, ?, ?)
"""
_COUNT_TERM = """
INSERT INTO index_terms (index_id, term, documents) VALUES (?, ?, ?)
ON CONFLICT (index_id, term) DO UPDATE SET documents = documents + excluded.documents
"""
_FORGET_TERM = "DELETE FROM index_terms WHERE index_id = ? AND term = ? AND documents <= 0"
_HAVING = "SELECT documents FROM index_terms WHERE index_id = ? AND term = ?"
_HEAVIEST = f"""
SELECT * FROM (SELECT -lightness * ? AS score, number FROM index_postings
WHERE index_id = ? AND term = ? ORDER BY lightness, number LIMIT {MATCHED_POSTINGS})
"""
_KEY = "SELECT key FROM index_documents WHERE index_id = ? AND number = ?"
_CODES = "SELECT number, code FROM index_codes WHERE index_id = ?"
_VECTOR = "SELECT vector FROM index_documents WHERE index_id = ? AND number = ?"
_HOLDING = """
SELECT d.number, d.key, d.terms, d.weights, d.vector FROM index_postings p
JOIN index_documents d ON d.index_id = p.index_id AND d.number = p.number
WHERE p.index_id = ? AND p.term = ? ORDER BY p.lightness, p.number LIMIT ?
"""
_SOME = "SELECT number FROM index_documents WHERE index_id = ? LIMIT ?"


class SqliteIndexes:
    """The indexes of the backend's fleet."""

    def __init__(self, session: SqliteSession) -> None:
        self._session = session

    def _find(self, connection: apsw.Connection, index: str) -> Any:  # noqa: ANN401 - a row
        return connection.execute(_FIND, (self._session.fleet, index)).get

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
            if row is None:
                row = connection.execute(_MAKE, (self._session.fleet, index)).get
            number, _, current = row
            if current != expected:
                return False
            counts: Counter[int] = Counter()
            old = {*gone, *(document.number for document in documents)}
            removed = _remove(connection, number, old, counts)
            _add(connection, number, documents, counts)
            _count(connection, number, counts)
            connection.execute(_MOVE, (len(documents) - removed, position, number))
            return True

        return await self._session.transact(change)

    async def frequencies(self, index: str, terms: Sequence[int]) -> tuple[int, list[int]]:
        """Look each term up."""

        def read(connection: apsw.Connection) -> tuple[int, list[int]]:
            row = self._find(connection, index)
            if row is None:
                return 0, [0] * len(terms)
            found = (connection.execute(_HAVING, (row[0], term)).get for term in terms)
            return row[1], [having or 0 for having in found]

        return await self._session.read_snapshot(read)

    async def match(self, index: str, weights: Sequence[Posting], limit: int) -> list[Match]:
        """Add up the heaviest postings of each term."""
        terms = " UNION ALL ".join([_HEAVIEST] * len(weights))
        query = (
            f"SELECT sum(score), number FROM ({terms}) "  # noqa: S608 - only our own text
            "GROUP BY number HAVING sum(score) > 0 ORDER BY 1 DESC, 2 LIMIT ?"
        )

        def read(connection: apsw.Connection) -> list[Match]:
            row = self._find(connection, index)
            if row is None or not weights:
                return []
            bound = [value for term, weight in weights for value in (weight, row[0], term)]
            found: Any = connection.execute(query, (*bound, limit)).fetchall()
            return _with_keys(connection, row[0], found)

        return await self._session.read_snapshot(read)

    async def nearest(self, index: str, code: bytes, limit: int) -> list[Match]:
        """Compare all codes, on the thread that reads."""

        def read(connection: apsw.Connection) -> list[Match]:
            row = self._find(connection, index)
            if row is None:
                return []
            codes: Any = connection.execute(_CODES, (row[0],))
            return _with_keys(connection, row[0], nearest_codes(codes, code, limit))

        return await self._session.read_snapshot(read)

    async def holding(self, index: str, term: int, limit: int) -> list[Document]:
        """Read the documents behind a term's postings."""

        def read(connection: apsw.Connection) -> list[Document]:
            row = self._find(connection, index)
            if row is None:
                return []
            rows: Any = connection.execute(_HOLDING, (row[0], term, limit))
            return [
                Document(number, key, _postings(terms, weights), b"", vector)
                for number, key, terms, weights, vector in rows
            ]

        return await self._session.read_snapshot(read)

    async def vectors(self, index: str, numbers: Sequence[int]) -> list[bytes]:
        """Look each document up."""

        def read(connection: apsw.Connection) -> list[bytes]:
            row = self._find(connection, index)
            if row is None:
                return [b""] * len(numbers)
            found: Any = (connection.execute(_VECTOR, (row[0], number)).get for number in numbers)
            return [vector or b"" for vector in found]

        return await self._session.read_snapshot(read)

    async def drop(self, index: str, limit: int) -> bool:
        """Remove some documents, or the index if none is left."""

        def change(connection: apsw.Connection) -> bool:
            row = self._find(connection, index)
            if row is None:
                return False
            # Whoever is writing to it finds out.
            connection.execute(_MOVE, (0, "", row[0]))
            some = [number for (number,) in connection.execute(_SOME, (row[0], limit))]
            if not some:
                for table in ("index_terms", "index_postings", "index_codes"):
                    connection.execute(f"DELETE FROM {table} WHERE index_id = ?", (row[0],))  # noqa: S608
                connection.execute("DELETE FROM indexes WHERE id = ?", (row[0],))
                return False
            counts: Counter[int] = Counter()
            removed = _remove(connection, row[0], some, counts)
            _count(connection, row[0], counts)
            connection.execute(_MOVE, (-removed, "", row[0]))
            return True

        return await self._session.transact(change)


def _remove(
    connection: apsw.Connection, index: int, numbers: Iterable[int], counts: Counter[int]
) -> int:
    """Remove documents and all that is of them; return how many were there."""
    removed = 0
    for number in numbers:
        row: Any = connection.execute(_OLD, (index, number)).get
        if row is None:
            continue
        removed += 1
        postings = _postings(*row)
        counts.subtract(posting.term for posting in postings)
        connection.executemany(
            _FORGET_POSTING, [(index, term, -weight, number) for term, weight in postings]
        )
        connection.execute(_FORGET_DOCUMENT, (index, number))
        connection.execute(_FORGET_CODE, (index, number))
    return removed


def _add(
    connection: apsw.Connection, index: int, documents: Sequence[Document], counts: Counter[int]
) -> None:
    postings: list[tuple[int, int, int, int]] = []
    for document in documents:
        counts.update(posting.term for posting in document.postings)
        terms = packed_integers((posting.term for posting in document.postings), 8)
        weights = packed_integers((posting.weight for posting in document.postings), 4)
        connection.execute(
            _ADD_DOCUMENT,
            (index, document.number, document.key, terms, weights, document.vector),
        )
        if document.code:
            connection.execute(_ADD_CODE, (index, document.number, document.code))
        postings += [(index, term, -weight, document.number) for term, weight in document.postings]
    # In the order of the table.
    connection.executemany(_ADD_POSTING, sorted(postings))


def _count(connection: apsw.Connection, index: int, counts: Counter[int]) -> None:
    changed = [(index, term, change) for term, change in sorted(counts.items()) if change]
    connection.executemany(_COUNT_TERM, changed)
    connection.executemany(
        _FORGET_TERM, [(index, term) for _, term, change in changed if change < 0]
    )


def _postings(terms: bytes, weights: bytes) -> list[Posting]:
    pairs = zip(unpacked_integers(terms, 8), unpacked_integers(weights, 4), strict=True)
    return [Posting(*pair) for pair in pairs]


def _with_keys(
    connection: apsw.Connection, index: int, found: Iterable[tuple[int, int]]
) -> list[Match]:
    matches: list[Match] = []
    for score, number in found:
        key: Any = connection.execute(_KEY, (index, number)).get
        if key is not None:
            matches.append(Match(score, number, key))
    return matches
