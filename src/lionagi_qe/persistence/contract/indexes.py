"""What a backend offers to recall: the data of indexes, kept beside the entries.

Terms and weights are made by the memory, so that a search ranks alike on every backend; a backend
keeps them, counts, and adds up. An index follows the entries by the change log, see ``recall``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Posting(NamedTuple):
    """A term (0 to 2**63 - 1) of a document, and its weight there (0 to 2**31 - 1)."""

    term: int
    weight: int


class Document(NamedTuple):
    """What an index keeps of an entry.

    Attributes:
        number: what the index calls it, made of its key: 0 to 2**63 - 1.
        key: the entry's key.
        revision: the entry's, when it was indexed.
        postings: its terms, and what each weighs in it.
        vector: of one vector or several, and of what texts they are, see ``recall.vectors``; or
            empty.
        code: bits that tell of each vector roughly where it points, see ``recall.codes``; or empty.
            What is read back has none.
    """

    number: int
    key: str
    revision: int
    postings: Mapping[int, int]
    vector: bytes = b""
    code: bytes = b""


class Written(NamedTuple):
    """A document's code.

    Attributes:
        place: counts up with each document that is written, whether new or not; by the server's
            clock, so that a place that was taken back (a restored server, an index made anew) is
            never another's.
        number: the document's.
        code: as it was written.
    """

    place: int
    number: int
    code: bytes


class Frequencies(NamedTuple):
    """How many documents an index has, the place of the last, and how many have each term."""

    documents: int
    place: int
    having: list[int]


class Match(NamedTuple):
    """A document that was found; a sum of weights says how well."""

    score: int
    number: int


class IndexBackend(Protocol):
    """Keeps indexes. Each is named by a text; one that was never written to is empty.

    Each call is one round trip, and costs what it is given and returns: never what an index holds.
    """

    async def position(self, index: str) -> str:
        """Return how far the index has come, as ``write`` was told last; "" before that."""
        ...

    async def write(
        self,
        index: str,
        expected: str,
        position: str,
        documents: Sequence[Document],
        gone: Sequence[int],
    ) -> bool:
        """Replace or add documents, remove those that are gone, and move on: one atomic step.

        Changes nothing and returns False unless the index is at the ``expected`` position. No
        number is given twice.
        """
        ...

    async def frequencies(self, index: str, terms: Sequence[int]) -> Frequencies:
        """Return how many documents there are, and how many have each of distinct terms."""
        ...

    async def match(
        self, index: str, weights: Sequence[Posting], most: int, limit: int
    ) -> list[Match]:
        """Return the documents with the greatest sums of ``weight * weight of the term there``.

        Greatest first, equal ones by number; none whose sum is 0. Of each term only the ``most``
        documents with its greatest weights count (equal ones by number), so that none costs more.
        """
        ...

    async def codes(self, index: str, after: int, limit: int) -> list[Written]:
        """Return up to ``limit`` documents with codes, of those written behind a place the first.

        In the order of their places, each document where it was written last.
        """
        ...

    async def documents(
        self, index: str, numbers: Sequence[int], *, terms: bool
    ) -> list[Document | None]:
        """Return documents by their numbers, None for what isn't there; their terms if wanted."""
        ...

    async def holding(self, index: str, term: int, limit: int, *, terms: bool) -> list[Document]:
        """Return up to ``limit`` documents that have the term, heaviest first."""
        ...

    async def numbers(self, index: str, term: int, limit: int) -> list[int]:
        """Return the numbers of up to ``limit`` documents that have the term, heaviest first."""
        ...

    async def drop(self, index: str, limit: int) -> bool:
        """Remove up to ``limit`` documents, and the index with the last; whether more are left.

        Whoever is writing to it finds it moved.
        """
        ...
