"""Vectors: checked, packed, and how similar two of them are."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import math
import operator
import sys
from array import array
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

MOST_DIMENSIONS = 4_096
# Of a digest that tells whether a text is the one that its entry had before.
_DIGEST_BYTES = 8


def packed_vectors(vectors: Iterable[Iterable[Any]], dims: int, model: str) -> list[bytes]:
    """Return vectors at length 1, or at 0 where they have none, packed.

    Raises:
        InvalidValueError: one has another number of dimensions, or no finite length.

    """
    rows = [_numbers(vector) for vector in vectors]
    for row in rows:
        if len(row) != dims:
            msg = (
                f"embedding {model!r}: made a vector of {len(row)} numbers, and the index was "
                f"declared with dims={dims}; declare it with the model's own number"
            )
            raise InvalidValueError(msg)
    numpy = numpy_module()
    if numpy is None:
        lengths = [math.sqrt(_product(row, row)) for row in rows]
        _check_lengths(lengths, model)
        return [
            packed(number / (length or 1.0) for number in row)
            for row, length in zip(rows, lengths, strict=True)
        ]
    whole = numpy.frombuffer(b"".join(rows)).reshape(-1, dims)
    with numpy.errstate(over="ignore"):
        lengths = numpy.sqrt(numpy.einsum("ij,ij->i", whole, whole))
    _check_lengths(lengths.tolist(), model)
    data = (whole / numpy.where(lengths, lengths, 1.0)[:, None]).astype("<f4").tobytes()
    return [data[at : at + dims * 4] for at in range(0, len(data), dims * 4)]


def _check_lengths(lengths: Iterable[float], model: str) -> None:
    if not all(map(math.isfinite, lengths)):
        msg = f"embedding {model!r}: made a vector that holds NaN or infinity, or is too large"
        raise InvalidValueError(msg)


def _numbers(vector: Iterable[Any]) -> array[float]:
    try:
        return array("d", vector)
    except TypeError:
        return array("d", map(float, vector))


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
    _product: Callable[[Sequence[float], Sequence[float]], float] = math.sumprod
else:

    def _product(ours: Sequence[float], theirs: Sequence[float]) -> float:
        return sum(map(operator.mul, ours, theirs))


def similarities(wanted: bytes, packs: Sequence[bytes]) -> list[float | None]:
    """Return the cosines of vectors of length 1 with others, to 6 digits; None where there is none.

    Each pack may hold several vectors, of which the most similar counts. By numpy where it is
    installed: its 32-bit sums may differ from Python's in the sixth digit.
    """
    size = len(wanted)
    counts = [0 if len(pack) % size else len(pack) // size for pack in packs]
    products = _products(wanted, b"".join(itertools.compress(packs, counts)))
    if all(count == 1 for count in counts):
        return [*products]
    left = iter(products)
    return [max(itertools.islice(left, count), default=None) for count in counts]


def _products(wanted: bytes, pack: bytes) -> list[float]:
    numpy = numpy_module()
    if numpy is not None:
        vectors = numpy.frombuffer(pack, dtype="<f4").reshape(-1, len(wanted) // 4)
        # Not by BLAS, whose threads cost more than they do here.
        products = numpy.einsum("ij,j->i", vectors, numpy.frombuffer(wanted, dtype="<f4"))
        return products.astype("f8").round(6).tolist()
    ours, floats = unpacked(wanted), unpacked(pack)
    dims = len(ours)
    return [round(_product(ours, floats[at : at + dims]), 6) for at in range(0, len(floats), dims)]


def marked(vectors: Sequence[bytes], texts: Sequence[str]) -> bytes:
    """Return an entry's packed vectors, and behind them a digest of the text that each is of."""
    return b"".join((*vectors, *map(_digest, texts)))


def unmarked(packs: Iterable[bytes], dims: int) -> list[bytes]:
    """Return of each pack the vectors that ``marked`` was given, one behind the other."""
    size = dims * 4
    whole = size + _DIGEST_BYTES
    return [pack[: len(pack) // whole * size] for pack in packs]


def known(pack: bytes, dims: int, texts: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the texts that a marked pack has a vector of, and that."""
    count, size = _count(pack, dims), dims * 4
    digests = [
        pack[at : at + _DIGEST_BYTES] for at in range(count * size, len(pack), _DIGEST_BYTES)
    ]
    places = {digest: at * size for at, digest in enumerate(digests)}
    for text in texts:
        at = places.get(_digest(text))
        if at is not None:
            yield text, pack[at : at + size]


def _count(pack: bytes, dims: int) -> int:
    return len(pack) // (dims * 4 + _DIGEST_BYTES)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()


@cache
def numpy_module() -> Any:  # noqa: ANN401 - a module that needn't be there
    """Return numpy, or None where it isn't installed."""
    return importlib.import_module("numpy") if importlib.util.find_spec("numpy") else None


def batched(items: list[Any], size: int) -> Iterable[list[Any]]:
    """Return the items in lists of up to ``size``."""
    iterator = iter(items)
    return iter(lambda: list(itertools.islice(iterator, size)), [])
