"""Codes of vectors: a few bits that tell roughly where each points, all of which a search looks at.

Of each coordinate a code has one bit, its sign; where a vector has few coordinates, several bits,
each of which tells whether the coordinate is above one of as many steps. The number of bits in
which two codes differ (Charikar, Similarity estimation techniques from rounding algorithms, 2002)
tells what may be near; exact cosines rank that. By numpy where it is installed, 50 times as fast.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.recall.vectors import numpy_module, unpacked

if TYPE_CHECKING:
    from collections.abc import Sequence

# So many bits tell vectors apart; where there are more coordinates, a bit for each.
_BITS = 256
_MOST_STEPS = 63
# Steps are within so many times the root mean square of coordinates.
_WIDEST = 2.0
# Of each float the byte with its sign, as a digit: 1 for what isn't negative.
_SIGNS = b"1" * 128 + b"0" * 128


def code_of(vector: bytes, dims: int) -> bytes:
    """Return the code of a packed vector of length 1: whole words of 8 bytes."""
    steps = _steps(dims)
    if len(steps) == 1:
        digits = vector[3::4].translate(_SIGNS)
    else:
        numbers = unpacked(vector)
        digits = b"".join([b"1" if number > step else b"0" for number in numbers for step in steps])
    return int(digits, 2).to_bytes(code_size(dims), "little")


def code_size(dims: int) -> int:
    """Return how many bytes a code has."""
    return -(-dims * len(_steps(dims)) // 64) * 8


@cache
def _steps(dims: int) -> tuple[float, ...]:
    """Return what each coordinate is compared with: 0 and as many on either side."""
    count = min(_MOST_STEPS, _BITS // dims | 1) if dims < _BITS else 1
    half = count // 2
    width = _WIDEST * dims**-0.5 / (half + 1)
    return tuple(width * at for at in range(-half, half + 1))


def no_codes(size: int) -> Codes:
    """Return an empty collection of codes of ``size`` bytes each."""
    numpy = numpy_module()
    # Bits are counted from numpy 2.0 on.
    return ArrayCodes(size, numpy) if hasattr(numpy, "bitwise_count") else Codes(size)


class Codes:
    """Codes and whose they are, as whole numbers of Python.

    A document that was written again is there twice, and one that is gone still is: whoever
    searches asks the index for what is found.

    Args:
        size: bytes of a code.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._numbers: list[int] = []
        self._codes: list[int] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, numbers: Sequence[int], codes: bytes) -> None:
        """Add a code of each document, one behind the other."""
        self._numbers += numbers
        self._codes += [
            int.from_bytes(codes[at : at + self.size], "little")
            for at in range(0, len(codes), self.size)
        ]

    def nearest(self, code: bytes, most: int) -> list[int]:
        """Return up to ``most`` documents whose codes differ least, those first; then by number."""
        rows = most
        while True:
            found = list(dict.fromkeys(self._first(code, rows)))
            if len(found) >= most or rows >= len(self):
                return found[:most]
            # Some are there several times.
            rows *= 4

    def _first(self, code: bytes, rows: int) -> list[int]:
        """Return the documents of at least so many codes that differ least, in their order."""
        wanted = int.from_bytes(code, "little")
        distances = [(each ^ wanted).bit_count() for each in self._codes]
        counts = Counter(distances)
        bound = _bound([counts[at] for at in range(self.size * 8 + 1)], rows)
        near = [each for each in zip(distances, self._numbers, strict=True) if each[0] <= bound]
        return [number for _, number in sorted(near)]


class ArrayCodes(Codes):
    """Codes as arrays: of each 8 bytes of all codes one.

    Args:
        size: bytes of a code.
        numpy: the module.
    """

    def __init__(self, size: int, numpy: Any) -> None:  # noqa: ANN401 - a module
        super().__init__(size)
        self._numpy = numpy
        self._count = 0
        self._of = numpy.empty(0, dtype="i8")
        self._words = numpy.empty((size // 8, 0), dtype="u8")

    def __len__(self) -> int:
        return self._count

    def add(self, numbers: Sequence[int], codes: bytes) -> None:
        """Add a code of each document, one behind the other."""
        numpy, count = self._numpy, self._count + len(numbers)
        if count > len(self._of):
            room = max(1_024, 2 * count)
            of, words = numpy.empty(room, dtype="i8"), numpy.empty((self.size // 8, room), "u8")
            of[: self._count] = self._of[: self._count]
            words[:, : self._count] = self._words[:, : self._count]
            self._of, self._words = of, words
        self._of[self._count : count] = numbers
        self._words[:, self._count : count] = (
            numpy.frombuffer(codes, "u8").reshape(len(numbers), -1).T
        )
        self._count = count

    def _first(self, code: bytes, rows: int) -> list[int]:
        numpy, count = self._numpy, self._count
        distances = numpy.zeros(count, dtype="u2")
        for words, wanted in zip(self._words, numpy.frombuffer(code, "u8"), strict=True):
            distances += numpy.bitwise_count(words[:count] ^ wanted)
        bound = _bound(numpy.bincount(distances).tolist(), rows)
        near = numpy.flatnonzero(distances <= bound)
        of = self._of[near]
        return of[numpy.lexsort((of, distances[near]))].tolist()


def _bound(counts: Sequence[int], rows: int) -> int:
    """Return the least distance that so many rows have at most; ``counts``: how many have each."""
    sums = accumulate(counts)
    return next((at for at, reached in enumerate(sums) if reached >= rows), len(counts))
