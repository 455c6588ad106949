"""Vectors: their exact similarity, and codes by which every backend finds those that come near.

A code has a bit for each of many fixed pairs of coordinates: whether the first is the greater. Bits
that differ estimate the angle between two vectors (Charikar, Similarity estimation techniques from
rounding algorithms, 2002), whatever is common to all vectors of a model. Codes choose candidates;
the exact cosine ranks them.
"""

from __future__ import annotations

import itertools
import math
import operator
import sys
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_DIMENSIONS = 4_096
CODE_BITS = 1_024
_FOLLOWING = 6_364_136_223_846_793_005
_DIGITS = ("0", "1")


def checked_vector(vector: Iterable[Any], dims: int, model: str) -> list[float]:
    """Return a vector at length 1, or at 0 if it has none."""
    numbers = [float(number) for number in vector]
    if len(numbers) != dims:
        msg = (
            f"embedding {model!r}: made a vector of {len(numbers)} numbers, and the index was "
            f"declared with dims={dims}; declare it with the model's own number"
        )
        raise InvalidValueError(msg)
    length = math.sqrt(sum(map(operator.mul, numbers, numbers)))
    if not math.isfinite(length):
        msg = f"embedding {model!r}: made a vector that holds NaN or infinity, or is too large"
        raise InvalidValueError(msg)
    return [number / length for number in numbers] if length else numbers


def packed(vector: Iterable[float]) -> bytes:
    """Return a vector as 32-bit floats, little-endian."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tobytes()


def unpacked(data: bytes) -> list[float]:
    """Return the vector that ``packed`` packed."""
    floats = array("f", data)
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()


if sys.version_info >= (3, 12):
    _product: Callable[[list[float], list[float]], float] = math.sumprod
else:

    def _product(ours: list[float], theirs: list[float]) -> float:
        return math.fsum(map(operator.mul, ours, theirs))


def similarity(ours: list[float], theirs: list[float]) -> float:
    """Return the cosine of the angle between two vectors of length 1, to 6 digits.

    Rounded, as versions of Python sum otherwise in the last digits.
    """
    return round(_product(ours, theirs), 6)


def code_of(vector: list[float]) -> bytes:
    """Return a vector's code."""
    first, second = _pairs(len(vector))
    greater = map(operator.gt, first(vector), second(vector))
    return int("".join(map(_DIGITS.__getitem__, greater)), 2).to_bytes(CODE_BITS // 8)


@lru_cache(maxsize=16)
def _pairs(dims: int) -> tuple[Callable[[list[float]], tuple[float, ...]], ...]:
    """Return what picks the first and the second coordinates of all pairs."""
    state = dims
    drawn: list[tuple[int, int]] = []
    if dims == 1:
        drawn = [(0, 0)] * CODE_BITS
    while len(drawn) < CODE_BITS:
        # A linear congruential generator (Knuth's MMIX): the same pairs for ever.
        state = (state * _FOLLOWING + 1_442_695_040_888_963_407) % 2**64
        pair = (state >> 40) % dims, (state >> 16 & 0xFFFFFF) % dims
        if pair[0] != pair[1]:
            drawn.append(pair)
    picks = [operator.itemgetter(*side) for side in zip(*drawn, strict=True)]
    return cast("tuple[Callable[[list[float]], tuple[float, ...]], ...]", tuple(picks))


def batched(items: list[Any], size: int) -> Iterable[list[Any]]:
    """Return the items in lists of up to ``size``."""
    iterator = iter(items)
    return iter(lambda: list(itertools.islice(iterator, size)), [])
