"""What is stored and asked for: the same keys and values for every contender."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from lionagi_qe.bench.contender import Contender

GROUP = 50
ENTRIES = 30_000
# A prime, so that a key gets another value each time that stores come round the ring.
_VALUES = 997
FILL_BATCH = 1_000
_FILL_BYTES = 8 * 1024 * 1024
# About 300 bytes of JSON, like what an agent stores about one test.
VALUE: dict[str, Any] = {
    "test": "tests/checkout/test_cart.py::test_total_with_discount[gold]",
    "outcome": "passed",
    "seconds": 0.01427,
    "commit": "9f2c41d07be3a85560ee1c2f8a7b94d3e6f01a2b",
    "agent": "test-executor",
    "attempt": 1,
    "files": ["src/shop/cart.py", "src/shop/prices.py"],
    "coverage": {"lines": 187, "covered": 171, "missed": [12, 57, 58, 101]},
    "flaky": None,
}


def value_of_size(number_of_bytes: int) -> dict[str, Any]:
    """Return a value of about so many bytes of JSON, filled with text that compresses badly."""
    seed = random.Random(number_of_bytes)  # noqa: S311 - no cryptography
    text = base64.b64encode(seed.randbytes(number_of_bytes)).decode()
    return {"attempt": 1, "log": text[: max(1, number_of_bytes - len('{"attempt":1234,"log":""}'))]}


@dataclass
class Workload:
    """A ring of entries that every contender holds before anything is measured.

    Keys lie in groups of 50; stores go round the ring in an order that is random but the same for
    all, so that they overwrite; a search asks for a group. Keys and values are made beforehand:
    what a contender is measured by should hold as little of ours as possible.

    Attributes:
        entries: how many entries the ring has, a multiple of 50.
        value: what each entry holds, but for a number that grows.
    """

    entries: int = ENTRIES
    value: dict[str, Any] = field(default_factory=lambda: dict(VALUE))

    def __post_init__(self) -> None:
        self._keys = [f"{self.group(at // GROUP)}{at % GROUP:02}" for at in range(self.entries)]
        random.Random(0).shuffle(self._keys)  # noqa: S311 - no cryptography
        self._values = [self.value | {"attempt": number} for number in range(_VALUES)]

    @staticmethod
    def group(number: int) -> str:
        """Return the prefix that a group's keys share."""
        return f"aqe/bench/{number:06}/"

    def a_group(self, number: int) -> str:
        """Return the prefix of some group of the ring."""
        return self.group(number * 7919 % (self.entries // GROUP))

    def key(self, number: int) -> str:
        """Return the key of the ring at a place."""
        return self._keys[number % self.entries]

    def item(self, number: int) -> dict[str, Any]:
        """Return the value that a call with this number stores."""
        return self._values[number % _VALUES]

    def items(self, number: int, count: int) -> dict[str, dict[str, Any]]:
        """Return ``count`` neighbours on the ring; another ``number``, other ones."""
        first = number * count
        return dict.fromkeys(map(self.key, range(first, first + count)), self.item(number))

    async def fill(self, contender: Contender) -> None:
        """Store the whole ring."""
        size = len(orjson.dumps(self.value))
        count = min(FILL_BATCH, self.entries, max(1, _FILL_BYTES // size))
        for number in range(-(-self.entries // count)):
            await contender.store_many(self.items(number, count))
