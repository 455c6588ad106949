"""One search in an index: candidates by words and by meaning, the entries themselves, one ranking.

A backend finds the best candidates; whether they are still stored and meet the conditions is asked
of the entries, so a search shows nothing that is gone. Candidates are ranked by their exact scores.
Where conditions leave too few of them, a search looks at more, up to a bound. Where the rarest
condition that the index knows holds for few entries, it looks at all of those instead.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.indexes import Posting
from lionagi_qe.persistence.contract.records import entry_of
from lionagi_qe.persistence.recall.ranking import Candidate, fuse
from lionagi_qe.persistence.recall.terms import (
    SCORE_SCALE,
    field_term,
    narrowest_level,
    prefix_term,
    query_coordinates,
    query_weight,
    word_term,
)
from lionagi_qe.persistence.recall.vectors import batched, similarity, unpacked
from lionagi_qe.persistence.recall.words import words_of
from lionagi_qe.persistence.values.filters import meets, operators_in
from lionagi_qe.persistence.values.glob import compile_glob

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from typing import TypeVar

    from lionagi_qe.persistence.contract.indexes import Document, IndexBackend, Match
    from lionagi_qe.persistence.recall.declaration import Declaration
    from lionagi_qe.persistence.recall.ranking import Recalled
    from lionagi_qe.persistence.scheduling.scheduler import Scheduler
    from lionagi_qe.persistence.values.entry import Entry

    T = TypeVar("T")

MOST_QUERY_WORDS = 32
_MOST_ASKED_WORDS = 512
# Entries under a condition that are all looked at.
EXHAUSTIVE = 512
# Candidates of each ranking: at first, for each entry that is wanted, and at most.
_SMALLEST_POOL = 128
_POOL_SHARE = 4
_GROWTH = 8
MOST_CANDIDATES = 2_048
# What a backend looks at to find them.
_MOST_POSTINGS = 16_384
_MOST_POSTINGS_OF_A_TERM = 2_048
_READ_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for.

    Attributes:
        text: the words; any text.
        prefix: what the keys start with.
        conditions: a checked filter.
        accepts: whether a value is wanted, beside the conditions.
        limit: most entries.
        deadline: by the loop's clock.
        vector: what the text means, if the index has vectors.
    """

    text: str
    prefix: str
    conditions: dict[str, Any]
    limit: int
    deadline: float
    accepts: Callable[[Any], bool] | None = None
    vector: list[float] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to.

    Attributes:
        recalled: the entries, best first.
        gone: numbers of documents whose entries aren't there any more.
    """

    recalled: list[Recalled]
    gone: list[int]


@dataclass(frozen=True, slots=True)
class _Weights:
    """What the terms of a query weigh."""

    words: list[Posting]
    coordinates: list[Posting]
    texts: dict[int, str] = field(default_factory=dict[int, str])
    # Of all its words, those that no document has too.
    whole: int = 1


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
        self._looked_at: set[str] = set()
        self._candidates: list[Candidate] = []
        self._gone: list[int] = []

    async def find(self) -> Found:
        """Find the best entries."""
        words = list(dict.fromkeys(words_of(self._query.text)))[:_MOST_ASKED_WORDS]
        texts = {word_term(word): word for word in words}
        coordinates = query_coordinates(self._query.vector or ())
        labels = self._labels()
        asked = list(dict.fromkeys([*texts, *labels, *(term for term, _ in coordinates)]))
        data = self._declaration.data
        total, counts = await self._ask(lambda indexes: indexes.frequencies(data, asked))
        having = dict(zip(asked, counts, strict=True))
        if not total or any(not having[label] for label in labels):
            return Found([], [])
        weights = _Weights(
            _weights([(term, having[term], 1) for term in texts], total)[:MOST_QUERY_WORDS],
            _weights([(term, having[term], weight) for term, weight in coordinates], total),
            texts,
            sum(query_weight(total, having[term]) for term in texts) or 1,
        )
        rarest = min(labels, key=lambda label: having[label], default=None)
        if rarest is not None and having[rarest] <= EXHAUSTIVE:
            found = await self._ask(lambda indexes: indexes.holding(data, rarest, EXHAUSTIVE))
            await self._look_at({each.key: each.number for each in found}, weights, found)
        else:
            await self._look_at_best(weights)
        return Found(fuse(self._candidates, self._query.limit), self._gone)

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

    async def _look_at_best(self, weights: _Weights) -> None:
        """Look at the best candidates; at more of them where the conditions leave too few."""
        pool = min(max(_SMALLEST_POOL, self._query.limit * _POOL_SHARE), MOST_CANDIDATES)
        while True:
            rankings = await asyncio.gather(
                self._best(weights.words, pool), self._best(weights.coordinates, pool)
            )
            await self._look_at(
                {each.key: each.number for ranking in rankings for each in ranking}, weights
            )
            # A ranking that is shorter than asked for is all there is.
            full = max(map(len, rankings)) >= pool
            enough = len(self._candidates) >= self._query.limit
            if enough or not full or pool >= MOST_CANDIDATES:
                return
            pool = min(pool * _GROWTH, MOST_CANDIDATES)

    async def _best(self, weights: Sequence[Posting], pool: int) -> Sequence[Match]:
        if not weights:
            return []
        most = min(_MOST_POSTINGS_OF_A_TERM, _MOST_POSTINGS // len(weights))
        return await self._ask(
            lambda indexes: indexes.match(self._declaration.data, weights, most, pool)
        )

    async def _look_at(
        self, numbers: dict[str, int], weights: _Weights, found: Sequence[Document] = ()
    ) -> None:
        """Read the entries of documents, and score those that meet the conditions."""
        fresh = numbers.keys() - self._looked_at
        self._looked_at |= fresh
        wanted = sorted(key for key in fresh if key.startswith(self._query.prefix))
        known = {each.key: each for each in found}
        for keys in batched(wanted, _READ_AT_ONCE):
            entries = await self._entries(keys, numbers)
            missing = [numbers[key] for key in entries if key not in known]
            documents = await self._documents(missing)
            for key, document in {**documents, **known}.items():
                if key in entries:
                    self._candidates.append(self._scored(entries[key], document, weights))

    async def _entries(self, keys: list[str], numbers: dict[str, int]) -> dict[str, Entry]:
        records = await self._scheduler.ask(
            lambda backend: backend.read_records(keys), self._query.deadline
        )
        entries: dict[str, Entry] = {}
        for key, record in zip(keys, records, strict=True):
            if record is None:
                self._gone.append(numbers[key])
                continue
            entry = entry_of(record)
            accepts = self._query.accepts
            if meets(entry.value, self._query.conditions) and (
                accepts is None or accepts(entry.value)
            ):
                entries[key] = entry
        return entries

    async def _documents(self, numbers: list[int]) -> dict[str, Document]:
        if not numbers:
            return {}
        found = await self._ask(lambda indexes: indexes.documents(self._declaration.data, numbers))
        return {each.key: each for each in found if each is not None}

    def _scored(self, entry: Entry, document: Document, weights: _Weights) -> Candidate:
        theirs = document.postings
        has = [each for each in weights.words if each.term in theirs]
        by_text = sum(weight * theirs[term] for term, weight in has) / SCORE_SCALE
        has_vectors = self._query.vector is not None
        return Candidate(
            entry,
            by_text,
            self._similarity(document.vector),
            sum(weight for _, weight in has) / weights.whole if has_vectors else 1.0,
            tuple(weights.texts[term] for term, _ in has),
            entry.revision != document.revision,
        )

    def _similarity(self, vector: bytes) -> float:
        wanted = self._query.vector
        if wanted is None or len(vector) != len(wanted) * 4:
            return 0.0
        return similarity(wanted, unpacked(vector))

    async def _ask(self, question: Callable[[IndexBackend], Awaitable[T]]) -> T:
        return await self._scheduler.ask(
            lambda _: question(self._scheduler.indexes), self._query.deadline
        )


def _weights(terms: Iterable[tuple[int, int, int]], total: int) -> list[Posting]:
    """Return what terms (how many documents have each, what each is worth) weigh; heaviest first.

    Without those that no document has.
    """
    weights = [
        Posting(term, worth * query_weight(total, having))
        for term, having, worth in terms
        if having
    ]
    return sorted(weights, key=lambda each: (-each.weight, each.term))
