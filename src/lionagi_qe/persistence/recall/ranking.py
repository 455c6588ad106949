"""Several rankings of the same entries to one, and what a search returns."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lionagi_qe.persistence.values.entry import Entry

# Reciprocal rank fusion with the constant that its authors found best (Cormack, Clarke and Büttcher,
# Reciprocal rank fusion outperforms Condorcet and individual rank learning methods, 2009).
RANK_CONSTANT = 60


@dataclass(frozen=True, slots=True)
class Rank:
    """Where an entry stands in one ranking.

    Attributes:
        rank: from 1 on, among the entries that meet the search's conditions.
        score: by words, BM25 (0 and more); by meaning, the cosine (-1 to 1).
    """

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Recalled:
    """An entry that was found, and why.

    Attributes:
        entry: as it is stored now.
        score: the sum of 1 / (60 + rank) over both rankings; compares within one search alone.
        text: its rank by words; None if it has none of the query's.
        vector: its rank by meaning; None if it wasn't near, or the index has no vectors.
    """

    entry: Entry
    score: float
    text: Rank | None
    vector: Rank | None

    @property
    def key(self) -> str:
        """The entry's key."""
        return self.entry.key

    @property
    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """The entry's value."""
        return self.entry.value

    @property
    def why(self) -> str:
        """Tell in words by which ranks it was found."""
        ranks = (("words", self.text), ("meaning", self.vector))
        return ", ".join(
            f"{name}: rank {rank.rank} ({rank.score:.3f})" for name, rank in ranks if rank
        )


class Ranked(NamedTuple):
    """A document in one ranking."""

    number: int
    key: str
    score: float


def best_first(found: Iterable[Ranked]) -> list[Ranked]:
    """Return documents by score; equal ones by their numbers, as all backends have them."""
    return sorted(found, key=lambda each: (-each.score, each.number))


def fuse(
    by_text: Sequence[Ranked], by_vector: Sequence[Ranked], entries: dict[str, Entry], limit: int
) -> list[Recalled]:
    """Return the best of both rankings; only of what is among the entries."""
    scores: dict[str, float] = defaultdict(float)
    rankings: list[dict[str, Rank]] = []
    for ranking in (by_text, by_vector):
        ranks = {
            each.key: Rank(rank, each.score)
            for rank, each in enumerate((each for each in ranking if each.key in entries), 1)
        }
        rankings.append(ranks)
        for key, rank in ranks.items():
            scores[key] += 1 / (RANK_CONSTANT + rank.rank)
    best = sorted(scores, key=lambda key: (-scores[key], key))[:limit]
    texts, vectors = rankings
    return [
        Recalled(entries[key], scores[key], texts.get(key), vectors.get(key)) for key in best
    ]
