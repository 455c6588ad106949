"""Several rankings of the same entries to one, and what a search returns."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lionagi_qe.persistence.values.entry import Entry

# Reciprocal rank fusion with the constant that its authors found best (Cormack, Clarke, Büttcher:
# Reciprocal rank fusion outperforms Condorcet and individual rank learning methods, 2009).
RANK_CONSTANT = 60


@dataclass(frozen=True, slots=True)
class Rank:
    """Where an entry stands in one ranking.

    Attributes:
        rank: from 1 on, among the entries that meet the search's conditions.
        score: by words, BM25 (above 0); by meaning, the cosine (up to 1; above 0 where words count
            too).
    """

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Recalled:
    """An entry that was found, and why.

    Attributes:
        entry: as it is stored now.
        score: the sum of 1 / (60 + rank) over both rankings; compares within one search alone.
            Where there are both, the rank by words counts by the share of the query's weight in
            words that the entry has.
        text: its rank by words; None if it has none of the query's.
        vector: its rank by meaning; None if it isn't near, or the index has no vectors.
        words: those of the query that it has.
        stale: it was changed after it was indexed: the ranks are those of what it was before.
        relevance: how much of what the query says it says, which compares between searches: the
            share of the query's words that it has, by what they weigh, or its cosine if that is
            greater. From 0 to 1; below 0 where vectors alone count and it points away.
    """

    entry: Entry
    score: float
    text: Rank | None = None
    vector: Rank | None = None
    words: tuple[str, ...] = ()
    stale: bool = False
    relevance: float = 0.0

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
        """Tell in words what it was found by."""
        found: list[str] = []
        if self.text:
            found.append(f"words {' '.join(self.words)}: rank {_shown(self.text)}")
        if self.vector:
            found.append(f"meaning: rank {_shown(self.vector)}")
        return "; ".join(found) + ("; changed since" if self.stale else "")


def _shown(rank: Rank) -> str:
    return f"{rank.rank} ({rank.score:.3f})"


class Candidate(NamedTuple):
    """A document that may be among the best, and why.

    ``by_text`` is 0 where it has none of the words, ``by_vector`` None where it isn't near.
    ``share``: what its rank by words counts; of what the query's words weigh, those that it has.
    ``relevance``: see Recalled.
    """

    key: str
    number: int
    revision: int
    by_vector: float | None
    by_text: float
    share: float
    words: tuple[str, ...]
    relevance: float


class Ranked(NamedTuple):
    """A candidate among the best, with its ranks."""

    candidate: Candidate
    score: float
    text: Rank | None
    vector: Rank | None

    def recalled(self, entry: Entry) -> Recalled:
        """Return what a search tells of it."""
        found = self.candidate
        return Recalled(
            entry,
            self.score,
            self.text,
            self.vector,
            found.words,
            entry.revision != found.revision,
            found.relevance,
        )


def fuse(candidates: Iterable[Candidate], limit: int) -> list[Ranked]:
    """Return the best of both rankings; equal ones by key."""
    known = {each.key: each for each in candidates}
    texts = _ranks((-each.by_text, key) for key, each in known.items() if each.by_text > 0)
    vectors = _ranks(
        (-each.by_vector, key) for key, each in known.items() if each.by_vector is not None
    )
    scores = {key: 1 / (RANK_CONSTANT + rank) for key, rank in vectors.items()}
    for key, rank in texts.items():
        scores[key] = scores.get(key, 0.0) + known[key].share / (RANK_CONSTANT + rank)
    best = heapq.nsmallest(limit, [(-score, key) for key, score in scores.items()])
    return [_ranked(known[key], -score, texts.get(key), vectors.get(key)) for score, key in best]


def _ranks(scores: Iterable[tuple[float, str]]) -> dict[str, int]:
    return {key: at for at, (_, key) in enumerate(sorted(scores), 1)}


def _ranked(candidate: Candidate, score: float, text: int | None, vector: int | None) -> Ranked:
    return Ranked(
        candidate,
        score,
        None if text is None else Rank(text, candidate.by_text),
        None if vector is None else Rank(vector, candidate.by_vector or 0.0),
    )
