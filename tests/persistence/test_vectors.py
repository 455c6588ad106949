"""Vectors and their cosines in batches, with numpy and without."""

from __future__ import annotations

import math
from random import Random

import pytest

from lionagi_qe.errors import InvalidValueError
from lionagi_qe.persistence.recall import vectors

DIMS = 24


def directions(count: int) -> list[list[float]]:
    random = Random(19)
    made = [[random.gauss(0, 1) for _ in range(DIMS)] for _ in range(count)]
    return [[number / math.hypot(*each) for number in each] for each in made]


def test_cosines_are_the_same_with_numpy_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = directions(30)
    wanted = vectors.packed(first)
    single = [vectors.packed(each) for each in others]
    packs = [*single[:5], b"", b"".join(single[5:8]), b"no vector", *single[8:]]
    by_numpy = vectors.similarities(wanted, packs), vectors.similarities(wanted, single)
    monkeypatch.setattr(vectors, "numpy_module", lambda: None)
    for found, packed in zip(by_numpy, (packs, single), strict=True):
        assert vectors.similarities(wanted, packed) == pytest.approx(found, abs=1.5e-6)
    several = by_numpy[0]
    assert (several[5], several[7]) == (None, None)
    assert several[6] == max(by_numpy[1][5:8], key=lambda each: each or 0)
    assert vectors.similarities(wanted, []) == []


def test_vectors_are_brought_to_length_1_alike_with_numpy_and_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = [[3.0, 4.0], [0, 0], (1, 1)]
    by_numpy = vectors.packed_vectors(made, 2, "m")
    monkeypatch.setattr(vectors, "numpy_module", lambda: None)
    assert vectors.packed_vectors(made, 2, "m") == by_numpy
    assert vectors.unpacked(by_numpy[0]) == pytest.approx([0.6, 0.8])
    assert vectors.unpacked(by_numpy[1]) == [0, 0]
    with pytest.raises(InvalidValueError, match="NaN"):
        vectors.packed_vectors([[math.nan, 1.0]], 2, "m")
