"""Vectors: checked, packed, and how similar two of them are."""

from __future__ import annotations

import itertools
import math
import operator
import sys
from array import array
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_DIMENSIONS = 4_096


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
        return sum(map(operator.mul, ours, theirs))


def similarity(ours: list[float], theirs: list[float]) -> float:
    """Return the cosine of the angle between two vectors of length 1, to 6 digits.

    Rounded, as versions of Python sum otherwise in the last digits.
    """
    return round(_product(ours, theirs), 6)


def batched(items: list[Any], size: int) -> Iterable[list[Any]]:
    """Return the items in lists of up to ``size``."""
    iterator = iter(items)
    return iter(lambda: list(itertools.islice(iterator, size)), [])
