"""The entries that capacity is measured with: any number of them, made from their places.

Keys come in groups of 50 that lie beside each other, as those of one run or one plan do. Groups are
stored in an order that is random but always the same. Texts are random base64, which no server
compresses: real JSON needs less room where a server compresses it.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP = 50
_STRIDE = 7_368_787  # a prime: every group is met once, none beside the last one
_AROUND = len('{"n":12345678,"text":""}')
_TEXT = base64.b64encode(random.Random(7).randbytes(300_000)).decode()
_PREFIX = "aqe/capacity/"
# Shares, and from how many bytes to how many: most are small, few are large.
MIXED = ((0.9, 50, 500), (0.09, 500, 2_000), (0.01, 2_000, 8_000))
MIXED_KEYS = (32, 64)


@dataclass(frozen=True, slots=True)
class Ring:
    """So many entries.

    Attributes:
        entries: how many, a multiple of 50.
        key_bytes: the keys' length; None: 32 to 64 bytes.
        value_bytes: the values' size as JSON; None: as MIXED says.

    """

    entries: int
    key_bytes: int | None = None
    value_bytes: int | None = None

    @property
    def groups(self) -> int:
        return self.entries // GROUP

    def prefix(self, group: int) -> str:
        """Return what the keys of a group begin with."""
        return f"{_PREFIX}{group:08}/"

    def key(self, place: int) -> str:
        """Return the key at a place."""
        group, at = divmod(place, GROUP)
        key = f"{self.prefix(group)}{at:02}"
        length = self.key_bytes or _drawn(place, *MIXED_KEYS)
        return key + "k" * (length - len(key))

    def value(self, place: int, version: int = 0) -> dict[str, Any]:
        """Return the value at a place; another version, another text of the same size."""
        size = self.value_bytes or mixed_size(place)
        first = (place * 37 + version * 1_009) % 350_000
        return {"n": 10_000_000 + place, "text": _TEXT[first : first + max(1, size - _AROUND)]}

    def partition(self, place: int) -> str:
        """Return the partition at a place: ten of them, a group in one."""
        return f"part{place // GROUP % 10}"

    def batches(self, first: int = 0, groups: int = 20) -> Iterator[list[int]]:
        """Give the places in the order in which they are stored, from batch ``first`` on."""
        for start in range(first * groups, self.groups, groups):
            yield [
                order * GROUP + at
                for number in range(start, min(start + groups, self.groups))
                for order in [number * _STRIDE % self.groups]
                for at in range(GROUP)
            ]

    def places(self, count: int, seed: int) -> list[int]:
        """Return places that are drawn evenly, each once."""
        return random.Random(seed).sample(range(self.entries), min(count, self.entries))


def mixed_size(place: int) -> int:
    """Return the size of the value at a place of a mixed ring."""
    chosen = _drawn(place * 31 + 5, 0, 99_999) / 100_000
    for share, least, most in MIXED:
        if chosen < share:
            return _drawn(place * 17 + 3, least, most)
        chosen -= share
    raise AssertionError(place)


def _drawn(number: int, least: int, most: int) -> int:
    """Return a number from ``least`` to ``most``, the same for the same one."""
    mixed = (number * 2_654_435_761 + 974_711) & 0xFFFFFFFF
    mixed = ((mixed ^ mixed >> 15) * 2_246_822_519) & 0xFFFFFFFF
    return least + (mixed ^ mixed >> 13) % (most - least + 1)
