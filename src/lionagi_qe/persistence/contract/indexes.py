"""What a backend offers to recall: the data of indexes, kept beside the entries.

Terms, weights and codes are made by the memory, so that a search ranks alike on every backend; a
backend keeps them, counts, and finds the best. An index follows the entries by the change log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Of a term, the documents with the highest weights that a search looks at.
MATCHED_POSTINGS = 4_096


class Posting(NamedTuple):
    """A term (a signed 64-bit number) of a document, and its weight there (0 to 2**31 - 1)."""

    term: int
    weight: int


class Document(NamedTuple):
    """What an index keeps of an entry.

    Attributes:
        number: what the index calls it, made of its key: 0 to 2**63 - 1.
        key: the entry's key.
        postings: distinct terms with their weights.
        code: a short form of the vector, of which ``nearest`` counts differing bits; or empty.
        vector: the vector, as 32-bit floats; or empty.
    """

    number: int
    key: str
    postings: Sequence[Posting]
    code: bytes = b""
    vector: bytes = b""


class Match(NamedTuple):
    """A document that was found: a sum of weights, or of differing bits, says how well."""

    score: int
    number: int
    key: str


class IndexBackend(Protocol):
    """Keeps indexes. Each is named by a text; one that was never written to is empty."""

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

        Changes nothing and returns False unless the index is at the ``expected`` position.
        """
        ...

    async def frequencies(self, index: str, terms: Sequence[int]) -> tuple[int, list[int]]:
        """Return how many documents there are, and how many have each of the distinct terms."""
        ...

    async def match(self, index: str, weights: Sequence[Posting], limit: int) -> list[Match]:
        """Return the documents with the greatest sums of ``weight * weight of the term there``.

        Greatest first, equal ones by number. Of each term only the MATCHED_POSTINGS documents
        with its greatest weights count (equal ones by number), so that no term costs more.
        """
        ...

    async def nearest(self, index: str, code: bytes, limit: int) -> list[Match]:
        """Return the documents whose codes differ in the fewest bits; equal ones by number."""
        ...

    async def holding(self, index: str, term: int, limit: int) -> list[Document]:
        """Return up to ``limit`` documents that have the term, without their codes."""
        ...

    async def vectors(self, index: str, numbers: Sequence[int]) -> list[bytes]:
        """Return the vectors of documents; empty for those without one."""
        ...

    async def drop(self, index: str, limit: int) -> bool:
        """Remove about ``limit`` documents of the index, and it with the last; is there more?"""
        ...


def nearest_codes(
    codes: Iterable[tuple[int, bytes]], code: bytes, limit: int
) -> list[tuple[int, int]]:
    """Return (differing bits, number) of the codes that are nearest; equal ones by number."""
    wanted = int.from_bytes(code)
    found = ((int.from_bytes(theirs) ^ wanted).bit_count() << 63 | n for n, theirs in codes)
    best = sorted(found)[:limit]
    return [(each >> 63, each & (1 << 63) - 1) for each in best]
