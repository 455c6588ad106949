"""Cosines in batches, with numpy and without, and the terms that vectors share."""

from __future__ import annotations

import math
from random import Random

import pytest

from lionagi_qe.persistence.recall import vectors
from lionagi_qe.persistence.recall.terms import query_coordinates, query_pairs, vector_postings

DIMS = 24


def directions(count: int) -> list[list[float]]:
    random = Random(19)
    made = [[random.gauss(0, 1) for _ in range(DIMS)] for _ in range(count)]
    return [[number / math.hypot(*each) for number in each] for each in made]


def test_cosines_are_the_same_with_numpy_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, *others = directions(30)
    single = [vectors.packed(each) for each in others]
    packs = [*single[:5], b"", b"".join(single[5:8]), b"no vector", *single[8:]]
    by_numpy = vectors.similarities(wanted, packs), vectors.similarities(wanted, single)
    monkeypatch.setattr(vectors, "_numpy", lambda: None)
    for found, packed in zip(by_numpy, (packs, single), strict=True):
        assert vectors.similarities(wanted, packed) == pytest.approx(found, abs=1.5e-6)
    several = by_numpy[0]
    assert (several[5], several[7]) == (None, None)
    assert several[6] == max(by_numpy[1][5:8], key=lambda each: each or 0)
    assert vectors.similarities(wanted, []) == []


def test_near_vectors_share_pairs_which_are_not_counted() -> None:
    one, far = directions(2)
    near = [number + (0.01 if at % 2 else -0.01) for at, number in enumerate(one)]
    coordinates = query_coordinates(near)
    having = dict.fromkeys((each.term for each in coordinates), 1)
    pairs = query_pairs(coordinates, having, 10)
    assert max(term for term, _ in pairs) < 0 <= min(having)
    theirs, others = vector_postings([one]), vector_postings([far])

    def score(postings: dict[int, int]) -> int:
        return sum(weight * postings.get(term, 0) for term, weight in pairs)

    assert score(theirs) > 10 * score(others)
    both = vector_postings([one, far])
    assert both.keys() == theirs.keys() | others.keys()
    assert all(both[term] == max(theirs.get(term, 0), others.get(term, 0)) for term in both)
