"""One search in an index: candidates by words and by meaning, the entries themselves, one ranking.

A backend finds the best candidates; whether they are still stored and meet the conditions is
asked of the entries, so a search shows nothing that is gone. Where conditions leave too few, it
looks at more, up to a bound. Where the rarest condition that the index knows holds for few
entries, it looks at all of those instead, and misses none.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.indexes import MATCHED_POSTINGS, Posting
from lionagi_qe.persistence.contract.records import entry_of
from lionagi_qe.persistence.recall.ranking import Ranked, best_first, fuse
from lionagi_qe.persistence.recall.terms import (
    SCORE_SCALE,
    field_term,
    narrowest_level,
    prefix_term,
    query_weight,
    word_term,
)
from lionagi_qe.persistence.recall.vectors import code_of, similarity, unpacked
from lionagi_qe.persistence.recall.words import words_of
from lionagi_qe.persistence.values.filters import meets, operators_in
from lionagi_qe.persistence.values.glob import compile_glob

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lionagi_qe.persistence.contract.indexes import IndexBackend
    from lionagi_qe.persistence.recall.declaration import Declaration
    from lionagi_qe.persistence.recall.ranking import Recalled
    from lionagi_qe.persistence.scheduling.scheduler import Scheduler
    from lionagi_qe.persistence.values.entry import Entry

MOST_QUERY_WORDS = 32
_MOST_ASKED_WORDS = 512
# Entries under a condition that are all looked at.
EXHAUSTIVE = 512
_SMALLEST_POOL = 64
_POOL_SHARE = 4
_GROWTH = 8
# Codes are coarse: so many candidates for each vector that is wanted.
_CODES_SHARE = 4


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for.

    Attributes:
        text: the words; any text.
        vector: what they mean, if the index has vectors.
        prefix: what the keys start with.
        conditions: a checked filter.
        limit: most entries.
        deadline: by the loop's clock.
    """

    text: str
    vector: list[float] | None
    prefix: str
    conditions: dict[str, Any]
    limit: int
    deadline: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to.

    Attributes:
        recalled: the entries, best first.
        gone: numbers of documents whose entries aren't there any more.
    """

    recalled: list[Recalled]
    gone: list[int]


class Search:
    """A search in an index.

    Args:
        scheduler: carries what is asked.
        declaration: the index.
        query: what is looked for.
    """

    def __init__(self, scheduler: Scheduler, declaration: Declaration, query: Query) -> None:
        self._scheduler = scheduler
        self._declaration = declaration
        self._query = query
        self._root = compile_glob(declaration.pattern).prefix
        self._entries: dict[str, Entry] = {}
        self._looked_at: dict[str, int] = {}
        self._gone: list[int] = []

    @property
    def _indexes(self) -> IndexBackend:
        return self._scheduler.indexes

    async def find(self) -> Found:
        """Find the best entries."""
        words = list(dict.fromkeys(map(word_term, words_of(self._query.text))))[:_MOST_ASKED_WORDS]
        labels = self._labels()
        asked = list(dict.fromkeys([*words, *labels]))
        total, counts = await self._ask(
            lambda backend: backend.frequencies(self._declaration.data, asked)
        )
        having = dict(zip(asked, counts, strict=True))
        weights = _weights([(word, having[word]) for word in words], total)
        if not total or any(not having[label] for label in labels):
            return Found([], [])
        rarest = min(labels, key=lambda label: having[label], default=None)
        if rarest is not None and having[rarest] <= EXHAUSTIVE:
            by_text, by_vector = await self._rank_all(rarest, weights)
            await self._look_at([*by_text, *by_vector])
        else:
            by_text, by_vector = await self._rank_best(weights)
        return Found(fuse(by_text, by_vector, self._entries, self._query.limit), self._gone)

    def _labels(self) -> list[int]:
        """Return the terms of conditions that the index itself knows."""
        level = narrowest_level(self._query.prefix, self._root)
        terms = [prefix_term(level)] if level else []
        for path in self._declaration.fields:
            if path not in self._query.conditions:
                continue
            wanted = self._query.conditions[path]
            for name, operand in operators_in(wanted) or [("$eq", wanted)]:
                term = field_term(path, operand) if name == "$eq" else None
                terms += [] if term is None else [term]
        return terms

    async def _rank_all(
        self, label: int, weights: Sequence[Posting]
    ) -> tuple[list[Ranked], list[Ranked]]:
        """Rank all documents that have a term."""
        found = await self._ask(
            lambda backend: backend.holding(self._declaration.data, label, EXHAUSTIVE)
        )
        wanted = dict(weights)
        by_text: list[Ranked] = []
        for each in found:
            score = sum(wanted.get(term, 0) * weight for term, weight in each.postings)
            if score:
                by_text.append(Ranked(each.number, each.key, score / SCORE_SCALE))
        with_vectors = [(each.number, each.key, each.vector) for each in found if each.vector]
        return best_first(by_text), self._by_similarity(with_vectors)

    async def _rank_best(self, weights: Sequence[Posting]) -> tuple[list[Ranked], list[Ranked]]:
        """Rank the best candidates; more of them where the conditions leave too few."""
        pool = max(_SMALLEST_POOL, self._query.limit * _POOL_SHARE)
        while True:
            by_text, by_vector = await asyncio.gather(
                self._best_by_text(weights, pool), self._best_by_vector(pool)
            )
            await self._look_at([*by_text, *by_vector])
            # A ranking that is shorter than asked for is all there is.
            full = max(len(by_text), len(by_vector)) >= pool
            enough = len(self._entries) >= self._query.limit
            if enough or not full or pool >= MATCHED_POSTINGS:
                return by_text, by_vector
            pool = min(pool * _GROWTH, MATCHED_POSTINGS)

    async def _best_by_text(self, weights: Sequence[Posting], pool: int) -> list[Ranked]:
        if not weights:
            return []
        found = await self._ask(
            lambda backend: backend.match(self._declaration.data, weights, pool)
        )
        return [Ranked(each.number, each.key, each.score / SCORE_SCALE) for each in found]

    async def _best_by_vector(self, pool: int) -> list[Ranked]:
        if self._query.vector is None:
            return []
        code = code_of(self._query.vector)
        candidates = min(pool * _CODES_SHARE, MATCHED_POSTINGS)
        found = await self._ask(
            lambda backend: backend.nearest(self._declaration.data, code, candidates)
        )
        numbers = [each.number for each in found]
        vectors = await self._ask(
            lambda backend: backend.vectors(self._declaration.data, numbers)
        )
        ranked = self._by_similarity(
            (each.number, each.key, vector)
            for each, vector in zip(found, vectors, strict=True)
            if vector
        )
        return ranked[:pool]

    def _by_similarity(self, found: Iterable[tuple[int, str, bytes]]) -> list[Ranked]:
        wanted = self._query.vector
        if wanted is None:
            return []
        size = len(wanted) * 4
        return best_first(
            Ranked(number, key, similarity(wanted, unpacked(vector)))
            for number, key, vector in found
            if len(vector) == size
        )

    async def _look_at(self, candidates: Iterable[Ranked]) -> None:
        """Read the entries of candidates, and keep those that meet the conditions."""
        fresh = {
            each.key: each.number for each in candidates if each.key not in self._looked_at
        }
        self._looked_at |= fresh
        wanted = [key for key in fresh if key.startswith(self._query.prefix)]
        if not wanted:
            return
        records = await self._scheduler.ask(
            lambda backend: backend.read_records(wanted), self._query.deadline
        )
        for key, record in zip(wanted, records, strict=True):
            if record is None:
                self._gone.append(fresh[key])
                continue
            entry = entry_of(record)
            if meets(entry.value, self._query.conditions):
                self._entries[key] = entry

    async def _ask(self, question: Any) -> Any:  # noqa: ANN401
        return await self._scheduler.ask(
            lambda _: question(self._indexes), self._query.deadline
        )


def _weights(words: Sequence[tuple[int, int]], total: int) -> list[Posting]:
    """Return what the words weigh that any document has: the rarest of them, if they are many."""
    weights = [Posting(word, query_weight(total, having)) for word, having in words if having]
    return sorted(weights, key=lambda each: (-each.weight, each.term))[:MOST_QUERY_WORDS]
