"""Made-up notes, vectors and queries: the same for all contenders, from one seed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DIMS = 384
TOP = 10
WORDS = 20_000
WORDS_OF_A_TEXT = 20
NAMESPACES = 100
# A cluster has about so many notes, scattered around its centre by so much of the centre's length.
NOTES_OF_A_CLUSTER = 50
SCATTER = 0.8
QUERY_SCATTER = 0.4
SEED = 19
# LangGraph's store on SQLite may embed all of a value as JSON.
_NUMBER = re.compile(r"(?P<kind>note|query) (?P<at>\d+)")


@dataclass(frozen=True, slots=True)
class Notes:
    """Notes by number, queries by number, and what makes the vectors of both.

    A text begins with its number, by which its vector is looked up: no model takes time.
    """

    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    texts: Sequence[str]
    query_texts: Sequence[str]

    def value(self, at: int) -> dict[str, Any]:
        """Return what is stored of a note."""
        return {"text": self.texts[at], "at": at}

    def namespace(self, at: int) -> tuple[str, str]:
        """Return where a note is stored."""
        return ("notes", f"user{at % NAMESPACES}")

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return [self._vector(text).tolist() for text in texts]

    def _vector(self, text: str) -> NDArray[np.float32]:
        found = _NUMBER.search(text)
        assert found is not None, text
        return (self.vectors if found["kind"] == "note" else self.queries)[int(found["at"])]

    def exact(self, query: int, entries: int) -> set[str]:
        """Return the keys of the TOP notes among the first ``entries`` by their cosines."""
        cosines = self.vectors[:entries] @ self.queries[query]
        return {str(at) for at in np.argpartition(-cosines, TOP)[:TOP]}


def made(entries: int, queries: int) -> Notes:
    """Make notes in clusters, and queries near some of them."""
    random = np.random.default_rng(SEED)
    clusters = max(1, entries // NOTES_OF_A_CLUSTER)
    centres = _of_length_one(random.standard_normal((clusters, DIMS), dtype=np.float32))
    at = random.integers(clusters, size=entries)
    vectors = _scattered(random, centres[at], SCATTER)
    near = random.integers(entries, size=queries)
    return Notes(
        vectors,
        _scattered(random, vectors[near], QUERY_SCATTER),
        [f"note {each} {_words(random)}" for each in range(entries)],
        [f"query {each} {_words(random, 5)}" for each in range(queries)],
    )


def _scattered(
    random: np.random.Generator, around: NDArray[np.float32], by: float
) -> NDArray[np.float32]:
    noise = _of_length_one(random.standard_normal(around.shape, dtype=np.float32))
    return _of_length_one(around + by * noise)


def _of_length_one(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _words(random: np.random.Generator, count: int = WORDS_OF_A_TEXT) -> str:
    # As words are in texts: the n-th is about 1/n as frequent as the first.
    ranks = np.exp(random.random(count) * np.log(WORDS)).astype(int)
    return " ".join(f"w{rank}" for rank in ranks)
