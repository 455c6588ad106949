"""Codes of vectors: a few bits that tell roughly where each points, all of which a search looks at.

Of each coordinate a code has one bit, its sign; where a vector has few coordinates, several bits,
each of which tells whether the coordinate is above one of as many steps. The number of bits in
which two codes differ (Charikar, Similarity estimation techniques from rounding algorithms, 2002)
tells what may be near; exact cosines rank that. By numpy where it is installed, which is faster.
"""

from __future__ import annotations

import operator
from collections import Counter
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.recall.vectors import batched, numpy_module, unpacked

if TYPE_CHECKING:
    from collections.abc import Sequence

# So many bits tell vectors apart; where there are more coordinates, a bit for each.
_BITS = 256
_MOST_STEPS = 63
# Steps are within so many times the root mean square of coordinates.
_WIDEST = 2.0
# So many codes that differ least, or as many for each that is wanted, are compared with the vector
# itself: among 64 of 44,000 texts that finds 0.97 of the ten nearest (wordllama), instead of 0.89.
_COMPARED = 1_024
_COMPARED_SHARE = 4
_WEIGHT_SCALE = 1_000
# Steps of so few coordinates say more than the sums of what is above them.
_FEW_DIMENSIONS = 16
# Arrays of codes are compared so many at once.
_CODES_AT_ONCE = 1 << 15
# Bits of so many words are counted in a byte.
_WORDS_OF_A_BYTE = 3
# One distance of so many tells where about the least end, where there are as many times the rows.
_SAMPLED = 16
_MANY_SAMPLES = 16
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


def no_codes(dims: int) -> Codes:
    """Return an empty collection of codes of vectors."""
    numpy = numpy_module()
    # Bits are counted from numpy 2.0 on.
    return ArrayCodes(dims, numpy) if hasattr(numpy, "bitwise_count") else Codes(dims)


class Codes:
    """Codes and whose they are, as whole numbers of Python.

    A document that was written again is there twice, and one that is gone still is: whoever
    searches asks the index for what is found.

    Args:
        dims: numbers in the vectors.
    """

    def __init__(self, dims: int) -> None:
        self._dims = dims
        self.size = code_size(dims)
        self._bits = dims * len(_steps(dims))
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

    def nearest(self, vector: bytes, most: int, within: Sequence[int] | None = None) -> list[int]:
        """Return up to ``most`` documents that may be nearest to a packed vector, those first.

        Of the codes that differ least from the vector's, those with the greatest sums of its own
        coordinates where they have a bit; then by number. Of few dimensions, the first alone.
        Of those whose numbers are ``within``, if it isn't None.
        """
        rows, returned = max(_COMPARED, _COMPARED_SHARE * most), 2 * most
        while True:
            whole = rows >= len(self)
            first = self._first(vector, rows, within, len(self) if whole else returned)
            found = list(dict.fromkeys(first))
            if len(found) >= most or whole:
                return found[:most]
            # Some are there several times.
            rows, returned = rows * 4, returned * 4

    def _first(
        self, vector: bytes, rows: int, within: Sequence[int] | None, returned: int
    ) -> list[int]:
        """Return the documents of at least ``returned`` codes, nearest first.

        Of the ``rows`` codes that differ least, and those that differ as little as the last.
        """
        del returned  # All of them are sorted already.
        wanted = int.from_bytes(code_of(vector, self._dims), "little")
        numbers, codes = self._numbers, self._codes
        if within is not None:
            known = set(within)
            kept = [at for at, number in enumerate(numbers) if number in known]
            numbers, codes = [numbers[at] for at in kept], [codes[at] for at in kept]
        distances = [(each ^ wanted).bit_count() for each in codes]
        counts = Counter(distances)
        bound = _bound([counts[at] for at in range(self.size * 8 + 1)], rows)
        near = [at for at, distance in enumerate(distances) if distance <= bound]
        if self._dims < _FEW_DIMENSIONS:
            return [number for _, number in sorted((distances[at], numbers[at]) for at in near)]
        tables = [_sums(weights) for weights in batched(self._weights(vector), 8)]
        scored: list[tuple[int, int]] = []
        for at in near:
            code = codes[at].to_bytes(self.size, "little")
            score = sum(map(operator.getitem, tables, code))
            scored.append((-score, numbers[at]))
        return [number for _, number in sorted(scored)]

    def _weights(self, vector: bytes) -> list[int]:
        """Return what each bit of a code says for a vector, from the least bit on."""
        steps = self._bits // self._dims
        weights = [round(each * _WEIGHT_SCALE) for each in unpacked(vector) for _ in range(steps)]
        return [*reversed(weights), *[0] * (self.size * 8 - len(weights))]


class ArrayCodes(Codes):
    """Codes as arrays: of each 8 bytes of all codes one.

    Args:
        dims: numbers in the vectors.
        numpy: the module.
    """

    def __init__(self, dims: int, numpy: Any) -> None:  # noqa: ANN401 - a module
        super().__init__(dims)
        self._numpy = numpy
        self._count = 0
        self._of = numpy.empty(0, dtype="i8")
        self._words = numpy.empty((self.size // 8, 0), dtype="u8")
        # Where the table of each byte of a code begins.
        self._offsets = numpy.arange(self.size) * 256

    def __len__(self) -> int:
        return self._count

    def add(self, numbers: Sequence[int], codes: bytes) -> None:
        """Add a code of each document, one behind the other."""
        numpy, count = self._numpy, self._count + len(numbers)
        if count > len(self._of):
            room = max(1_024, count + count // 2)
            of, words = numpy.empty(room, dtype="i8"), numpy.empty((self.size // 8, room), "u8")
            of[: self._count] = self._of[: self._count]
            words[:, : self._count] = self._words[:, : self._count]
            self._of, self._words = of, words
        self._of[self._count : count] = numbers
        read = numpy.frombuffer(codes, "u8").reshape(len(numbers), -1)
        self._words[:, self._count : count] = read.T
        self._count = count

    def _first(
        self, vector: bytes, rows: int, within: Sequence[int] | None, returned: int
    ) -> list[int]:
        numpy, count = self._numpy, self._count
        numbers, codes = self._of[:count], self._words[:, :count]
        if within is not None:
            known = numpy.sort(numpy.array([-1, *within], dtype="i8"))
            places = numpy.searchsorted(known, numbers, side="right") - 1
            kept = numpy.flatnonzero(known[places] == numbers)
            numbers, codes = numbers[kept], codes[:, kept]
        code = numpy.frombuffer(code_of(vector, self._dims), "u8")
        distances = _distances(numpy, codes, code)
        near = _nearest(numpy, distances, rows)
        of = numbers[near]
        if self._dims < _FEW_DIMENSIONS:
            return of[numpy.lexsort((of, distances[near]))].tolist()
        there = numpy.ascontiguousarray(codes[:, near].T).view("u1")
        # Sums of so small whole numbers are exact.
        sums = numpy.rint(numpy.frombuffer(vector, "<f4") * numpy.float64(_WEIGHT_SCALE))
        weights = numpy.zeros(self.size * 8, dtype="f4")
        weights[: self._bits] = numpy.repeat(sums, self._bits // self._dims)[::-1]
        tables = _tables(numpy, weights.reshape(-1, 8))
        scores = tables.ravel().take(there + self._offsets, mode="clip").sum(axis=1)
        if len(scores) > returned:
            # To sort the best alone is quicker.
            least = numpy.partition(scores, -returned)[-returned]
            best = numpy.flatnonzero(scores >= least)
            of, scores = of[best], scores[best]
        return of[numpy.lexsort((of, -scores))].tolist()


def _distances(numpy: Any, codes: Any, wanted: Any) -> Any:  # noqa: ANN401 - a module, arrays
    """Return in how many bits codes differ from one; of each word of all codes a row."""
    count = codes.shape[1]
    distances = numpy.zeros(count, dtype="u2")
    # So many at once stay in the processor's cache, and sums of a few words in a byte.
    size = min(count, _CODES_AT_ONCE)
    differing, bits, sums = (
        numpy.empty(size, "u8"),
        numpy.empty(size, "u1"),
        numpy.empty(size, "u1"),
    )
    for start in range(0, count, _CODES_AT_ONCE):
        part = codes[:, start : start + _CODES_AT_ONCE]
        here = part.shape[1]
        differing, bits, sums = differing[:here], bits[:here], sums[:here]
        whole = distances[start : start + here]
        for at in range(0, len(part), _WORDS_OF_A_BYTE):
            numpy.bitwise_count(numpy.bitwise_xor(part[at], wanted[at], out=differing), out=sums)
            for word in range(at + 1, min(at + _WORDS_OF_A_BYTE, len(part))):
                numpy.bitwise_xor(part[word], wanted[word], out=differing)
                sums += numpy.bitwise_count(differing, out=bits)
            whole += sums
    return distances


def _nearest(numpy: Any, distances: Any, rows: int) -> Any:  # noqa: ANN401 - a module, arrays
    """Return the places of the ``rows`` least distances, and of those that equal the last."""
    count = len(distances)
    if count > _MANY_SAMPLES * rows:
        # A bound by a sample, which leaves few to be counted; too few only by great ill luck.
        sample = distances[::_SAMPLED]
        guess = _bound(numpy.bincount(sample).tolist(), 2 * rows // _SAMPLED)
        near = numpy.flatnonzero(distances <= guess)
        if len(near) >= rows:
            there = distances[near]
            return near[there <= _bound(numpy.bincount(there).tolist(), rows)]
    return numpy.flatnonzero(distances <= _bound(numpy.bincount(distances).tolist(), rows))


def _tables(numpy: Any, weights: Any) -> Any:  # noqa: ANN401 - a module, arrays
    """Return of each place and each byte there the sum of the weights of its bits."""
    tables = numpy.zeros((len(weights), 256), dtype="f4")
    for bit in range(8):
        of = 1 << bit
        numpy.add(tables[:, :of], weights[:, bit : bit + 1], out=tables[:, of : 2 * of])
    return tables


def _sums(weights: Sequence[int]) -> list[int]:
    """Return of each byte the sum of the weights of its bits."""
    sums = [0]
    for weight in weights:
        sums += [each + weight for each in sums]
    return sums


def _bound(counts: Sequence[int], rows: int) -> int:
    """Return the least distance that so many rows have at most; ``counts``: how many have each."""
    sums = accumulate(counts)
    return next((at for at, reached in enumerate(sums) if reached >= rows), len(counts))
