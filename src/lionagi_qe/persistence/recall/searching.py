"""One search in an index: candidates by words and by meaning, the entries themselves, one ranking.

A backend finds the best candidates, which are ranked by their exact scores. Whether the best are
still stored is asked of the entries, so a search shows nothing that is gone; where there are
conditions, the entries of all candidates are read. Where conditions leave too few of them, a search
looks at more, up to a bound. Where the rarest condition that the index knows holds for few entries,
it looks at all of those instead, as it does in a small index of vectors.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.indexes import Posting
from lionagi_qe.persistence.contract.records import entry_of
from lionagi_qe.persistence.recall.ranking import Candidate, fuse
from lionagi_qe.persistence.recall.reading import READ_AT_ONCE
from lionagi_qe.persistence.recall.terms import (
    SCORE_SCALE,
    field_term,
    narrowest_level,
    prefix_term,
    query_weight,
    word_term,
)
from lionagi_qe.persistence.recall.vectors import batched, similarities, unmarked
from lionagi_qe.persistence.recall.words import words_of
from lionagi_qe.persistence.values.filters import meets, operators_in
from lionagi_qe.persistence.values.glob import compile_glob

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
    from typing import TypeVar

    from lionagi_qe.persistence.contract.indexes import Document, Frequencies, IndexBackend, Match
    from lionagi_qe.persistence.recall.declaration import Declaration
    from lionagi_qe.persistence.recall.ranking import Recalled
    from lionagi_qe.persistence.recall.reading import Reader
    from lionagi_qe.persistence.recall.scanning import Scan
    from lionagi_qe.persistence.values.entry import Entry

    T = TypeVar("T")

MOST_QUERY_WORDS = 32
_MOST_ASKED_WORDS = 512
# Entries under a condition that are all looked at.
EXHAUSTIVE = 512
# Candidates of each ranking: at first, for each entry that is wanted, and at most.
_SMALLEST_POOL = 64
# Under a condition that the index knows and so few entries meet, only their vectors are compared.
_MOST_WITHIN = 16_384
_POOL_SHARE = 4
_GROWTH = 8
MOST_CANDIDATES = 2_048
# What a backend looks at to find them, in each ranking.
_MOST_POSTINGS = 16_384
_MOST_POSTINGS_OF_A_TERM = 2_048
_NO_WORDS = (0.0, 0.0, ())
_RELEVANCE_DIGITS = 6


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
        vector: what the text means, packed, if the index has vectors.
        min_relevance: of what is found, at least; see Recalled.
    """

    text: str
    prefix: str
    conditions: dict[str, Any]
    limit: int
    deadline: float
    accepts: Callable[[Any], bool] | None = None
    vector: bytes | None = None
    min_relevance: float | None = None


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
    texts: dict[int, str] = field(default_factory=dict[int, str])
    # Of all its words, those that no document has too.
    whole: int = 1


class Search:
    """A search in an index.

    Args:
        reader: reads the index and its entries.
        declaration: the index.
        query: what is looked for.
        scan: finds what may be near, if the index has vectors.
    """

    def __init__(
        self, reader: Reader, declaration: Declaration, query: Query, scan: Scan | None
    ) -> None:
        self._reader = reader
        self._declaration = declaration
        self._query = query
        self._scan = scan
        self._within: Sequence[int] | None = None
        self._root = compile_glob(declaration.pattern).prefix
        self._looked_at: set[int] = set()
        self._scores = self._relevant = 0
        self._candidates: dict[str, Candidate] = {}
        self._entries: dict[str, Entry] = {}
        self._gone: list[int] = []

    async def find(self) -> Found:
        """Find the best entries."""
        declaration, query = self._declaration, self._query
        asked_words = words_of(query.text) if declaration.words else []
        words = list(dict.fromkeys(asked_words))[:_MOST_ASKED_WORDS]
        texts = {word_term(word): word for word in words}
        labels = self._labels()
        asked = dict.fromkeys([*texts, *labels])
        frequencies = await self._reader.frequencies(list(asked), query.deadline)
        total = frequencies.documents
        having = dict(zip(asked, frequencies.having, strict=True))
        if not total or any(not having[label] for label in labels):
            return Found([], [])
        weights = _Weights(
            _weights([(term, having[term]) for term in texts], total)[:MOST_QUERY_WORDS],
            texts,
            sum(query_weight(total, having[term]) for term in texts) or 1,
        )
        rarest = min(labels, key=lambda label: having[label], default=None)
        if rarest is not None and having[rarest] <= EXHAUSTIVE:
            await self._look_at_all(rarest, weights)
            return Found(await self._select(), self._gone)
        if query.vector is not None and rarest is not None:
            await self._narrow(rarest, having[rarest], total)
        return Found(await self._select_of_best(weights, frequencies), self._gone)

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

    async def _narrow(self, label: int, having: int, total: int) -> None:
        """Learn which documents have a label, if that leaves few enough and spares many."""
        if having <= min(_MOST_WITHIN, total // 2):
            data = self._declaration.data
            self._within = await self._ask(
                lambda indexes: indexes.numbers(data, label, _MOST_WITHIN)
            )

    async def _look_at_all(self, label: int, weights: _Weights) -> None:
        data, terms = self._declaration.data, self._declaration.words
        found = await self._ask(
            lambda indexes: indexes.holding(data, label, EXHAUSTIVE, terms=terms)
        )
        await self._consider(found, weights)

    async def _select_of_best(self, weights: _Weights, frequencies: Frequencies) -> list[Recalled]:
        """Select among the best candidates; among more of them where too few are wanted."""
        pool = min(max(_SMALLEST_POOL, self._query.limit * _POOL_SHARE), MOST_CANDIDATES)
        while True:
            if weights.words:
                by_words, by_meaning = await asyncio.gather(
                    self._best(weights.words, pool), self._near(frequencies, pool)
                )
            else:
                by_words, by_meaning = [], await self._near(frequencies, pool)
            scores, relevant = self._scores, self._relevant
            await self._look_at([*(each.number for each in by_words), *by_meaning], weights)
            selected = await self._select()
            # A ranking that is shorter than asked for is all there is.
            full = max(len(by_words), len(by_meaning)) >= pool
            if self._scores > scores and self._relevant == relevant:
                # Behind what isn't relevant comes what is less so.
                return selected
            if len(selected) >= self._query.limit or not full or pool >= MOST_CANDIDATES:
                return selected
            pool = min(pool * _GROWTH, MOST_CANDIDATES)

    async def _near(self, frequencies: Frequencies, pool: int) -> Sequence[int]:
        """Return what may be near; all there is in a small index."""
        scan, vector = self._scan, self._query.vector
        if scan is None or vector is None:
            return []
        await scan.catch_up(
            frequencies,
            lambda after, limit: self._ask(lambda indexes: indexes.codes(scan.data, after, limit)),
        )
        few = frequencies.documents <= EXHAUSTIVE
        return await scan.nearest(vector, EXHAUSTIVE if few else pool, self._within)

    async def _best(self, weights: Sequence[Posting], pool: int) -> Sequence[Match]:
        if not weights:
            return []
        most = min(_MOST_POSTINGS_OF_A_TERM, _MOST_POSTINGS // len(weights))
        return await self._ask(
            lambda indexes: indexes.match(self._declaration.data, weights, most, pool)
        )

    async def _look_at(self, numbers: Sequence[int], weights: _Weights) -> None:
        """Score the documents that meet the conditions."""
        fresh = [number for number in numbers if number not in self._looked_at]
        wanted = list(dict.fromkeys(fresh))
        self._looked_at.update(wanted)
        terms, deadline = self._declaration.words, self._query.deadline
        for some in batched(wanted, READ_AT_ONCE):
            found = await self._reader.documents(some, deadline, terms=terms)
            await self._consider(found, weights)

    async def _consider(self, documents: Sequence[Document], weights: _Weights) -> None:
        """Make candidates of what is relevant and meets the conditions."""
        least = self._query.min_relevance
        scored = [*self._scored(documents, weights)]
        relevant = {each.key: each for each in scored if least is None or each.relevance >= least}
        self._scores += len(scored)
        self._relevant += len(relevant)
        self._candidates |= await self._meeting(relevant)

    async def _meeting(self, candidates: dict[str, Candidate]) -> dict[str, Candidate]:
        """Return those candidates whose entries meet the conditions."""
        query = self._query
        wanted = candidates
        if query.prefix:
            prefix = query.prefix
            wanted = {key: each for key, each in candidates.items() if key.startswith(prefix)}
        if not query.conditions and query.accepts is None:
            return wanted
        for keys in batched(sorted(wanted), READ_AT_ONCE):
            await self._read({key: wanted[key].number for key in keys})
        return {
            key: each for key, each in wanted.items() if self._is_wanted(self._entries.get(key))
        }

    def _is_wanted(self, entry: Entry | None) -> bool:
        query = self._query
        return (
            entry is not None
            and meets(entry.value, query.conditions)
            and (query.accepts is None or query.accepts(entry.value))
        )

    def _scored(self, documents: Sequence[Document], weights: _Weights) -> Iterator[Candidate]:
        wanted, dims = self._query.vector, self._declaration.dims or 0
        nearness = (
            [None] * len(documents)
            if wanted is None
            else similarities(wanted, unmarked([each.vector for each in documents], dims))
        )
        least = 0.0 if self._declaration.words else -math.inf
        for document, near in zip(documents, nearness, strict=True):
            # Beside words, a cosine counts that says that something is near.
            shown = near if near is not None and near > least else None
            score, share, words = self._by_words(document, weights) if weights.words else _NO_WORDS
            relevance = share if shown is None else max(share, shown) if words else shown
            yield Candidate(
                document.key,
                document.number,
                document.revision,
                shown,
                score,
                # Where there are no vectors, ranks are all alike.
                1.0 if wanted is None else share,
                words,
                round(relevance, _RELEVANCE_DIGITS),
            )

    def _by_words(
        self, document: Document, weights: _Weights
    ) -> tuple[float, float, tuple[str, ...]]:
        """Return the score by words, the share of the query that they are, and the words."""
        theirs = document.postings
        has = [each for each in weights.words if each.term in theirs]
        if not has:
            return _NO_WORDS
        score = sum(weight * theirs[term] for term, weight in has) / SCORE_SCALE
        share = sum(weight for _, weight in has) / weights.whole
        return score, share, tuple(weights.texts[term] for term, _ in has)

    async def _select(self) -> list[Recalled]:
        """Return the best candidates whose entries are there; those entries alone are read."""
        while True:
            best = fuse(self._candidates.values(), self._query.limit)
            unread = {
                each.candidate.key: each.candidate.number
                for each in best
                if each.candidate.key not in self._entries
            }
            gone = await self._read(unread) if unread else []
            if not gone:
                return [each.recalled(self._entries[each.candidate.key]) for each in best]
            for key in gone:
                del self._candidates[key]

    async def _read(self, numbers: dict[str, int]) -> list[str]:
        """Read entries; return the keys of those that are gone."""
        keys = list(numbers)
        records = await self._reader.records(keys, self._query.deadline)
        gone: list[str] = []
        for key, record in zip(keys, records, strict=True):
            if record is None:
                gone.append(key)
                self._gone.append(numbers[key])
            else:
                self._entries[key] = entry_of(record)
        return gone

    async def _ask(self, question: Callable[[IndexBackend], Awaitable[T]]) -> T:
        return await self._reader.ask(question, self._query.deadline)


def _weights(terms: Iterable[tuple[int, int]], total: int) -> list[Posting]:
    """Return what terms (how many documents have each) weigh; heaviest first, equal ones as asked.

    Without those that no document has.
    """
    weights = [Posting(term, query_weight(total, having)) for term, having in terms if having]
    return sorted(weights, key=lambda each: -each.weight)
