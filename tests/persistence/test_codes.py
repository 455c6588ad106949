"""Codes of vectors find what is near, alike by numpy and by Python's own numbers."""

from __future__ import annotations

import random

import numpy as np
import pytest

from lionagi_qe.persistence.recall.codes import ArrayCodes, Codes, code_of, code_size
from lionagi_qe.persistence.recall.vectors import packed_vectors

MANY = 3_000
WANTED = 128


def some_vectors(count: int, dims: int) -> list[bytes]:
    """Make vectors that point anywhere."""
    chance = random.Random(dims)
    return packed_vectors([[chance.gauss() for _ in range(dims)] for _ in range(count)], dims, "m")


def filled(codes: Codes, vectors: list[bytes], dims: int) -> Codes:
    """Add the codes of vectors, whose numbers are their places."""
    half = len(vectors) // 2
    for part in (range(half), range(half, len(vectors))):
        codes.add([*part], b"".join(code_of(vectors[at], dims) for at in part))
    return codes


@pytest.mark.parametrize("dims", [1, 2, 3, 8, 100, 255, 256, 384])
def test_codes_find_the_same_by_numpy_and_without_and_most_of_what_is_nearest(dims: int) -> None:
    vectors = some_vectors(MANY, dims)
    ours = filled(Codes(dims), vectors, dims)
    arrays = filled(ArrayCodes(dims, np), vectors, dims)
    assert len(ours) == len(arrays) == MANY
    whole = np.frombuffer(b"".join(vectors), "<f4").reshape(MANY, dims)
    hits = 0
    for query in some_vectors(10, dims):
        found = arrays.nearest(query, WANTED)
        assert found == ours.nearest(query, WANTED)
        assert len(set(found)) == WANTED
        within = range(5, MANY + 99, 7)
        some = arrays.nearest(query, WANTED, within)
        assert some == ours.nearest(query, WANTED, within)
        assert {each % 7 for each in some} == {5}
        cosines = whole @ np.frombuffer(query, "<f4")
        # Whatever is found in place of the nearest is as near, but for the last digits.
        bound = np.sort(cosines)[-10] - 1e-4
        hits += min(10, sum(bool(cosines[at] >= bound) for at in found))
    # Of 100; nothing is near where all point anywhere.
    assert hits >= 80


@pytest.mark.parametrize("kind", ["numpy", "integers"])
def test_a_document_with_many_vectors_takes_the_place_of_one(kind: str) -> None:
    dims = 256
    codes = ArrayCodes(dims, np) if kind == "numpy" else Codes(dims)
    same, *others = some_vectors(50, dims)
    codes.add([7] * 2_000, code_of(same, dims) * 2_000)
    codes.add([*range(100, 149)], b"".join(code_of(each, dims) for each in others))
    found = codes.nearest(same, 40)
    assert found[0] == 7
    assert len(set(found)) == 40


def test_codes_are_whole_words_and_no_codes_find_nothing() -> None:
    assert [code_size(dims) for dims in (1, 3, 256, 257, 4_096)] == [8, 24, 32, 40, 512]
    query = some_vectors(1, 5)[0]
    assert Codes(5).nearest(query, 3) == ArrayCodes(5, np).nearest(query, 3) == []


@pytest.mark.parametrize("alike_but_every", [0, 5])
def test_many_codes_find_the_same_by_numpy_and_without(alike_but_every: int) -> None:
    # More than are compared at once. Where all but some are alike, a sample tells nothing.
    dims, count = 256, 40_000
    chance = random.Random(19)
    query = some_vectors(1, dims)[0]
    alike = code_of(query, dims)
    codes = [chance.randbytes(code_size(dims)) for _ in range(count)]
    if alike_but_every:
        codes = [alike if at % alike_but_every else each for at, each in enumerate(codes)]
    both: tuple[Codes, Codes] = Codes(dims), ArrayCodes(dims, np)
    for each in both:
        each.add(range(count), b"".join(codes))
    ours, arrays = (each.nearest(query, WANTED) for each in both)
    assert ours == arrays
