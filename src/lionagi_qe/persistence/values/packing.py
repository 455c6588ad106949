"""Lists of whole numbers as bytes, little-endian, as backends keep them."""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_KINDS = {4: "i", 8: "q"}


def packed_integers(numbers: Iterable[int], size: int) -> bytes:
    """Return signed numbers of 4 or 8 bytes each."""
    found = array(_KINDS[size], numbers)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()


def unpacked_integers(data: bytes, size: int) -> list[int]:
    """Return what ``packed_integers`` packed."""
    found = array(_KINDS[size], data)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tolist()
