"""increment: exact on the server, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import InvalidArgumentError, InvalidValueError
from lionagi_qe.testing.conformance.base import Conformance

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory

MOST, LEAST = 2**63 - 1, -(2**63)


class NumbersConformance(Conformance):
    """Increment."""

    async def test_increment_starts_at_zero_and_returns_the_sum(self, memory: Memory) -> None:
        assert await memory.increment("aqe/n") == 1
        assert await memory.increment("aqe/n", 41) == 42
        assert await memory.increment("aqe/n", -50) == -8
        assert await memory.retrieve("aqe/n") == -8

    @pytest.mark.parametrize(
        ("start", "amount", "total"),
        [
            (2**53, 1, 2**53 + 1),
            (MOST - 1, 1, MOST),
            (LEAST + 1, -1, LEAST),
            (1, 0.5, 1.5),
            (0.1, 0.2, 0.1 + 0.2),
            (1.5, 1.5, 3.0),
            (2.0, 1, 3.0),
            (1e300, 1e300, 2e300),
            (5e-324, 5e-324, 1e-323),
            (0, 0, 0),
            (-0.0, 0, 0.0),
        ],
    )
    async def test_sums_are_exact_and_keep_their_type(
        self, memory: Memory, start: float, amount: float, total: float
    ) -> None:
        await memory.store("aqe/n", start)
        answer = await memory.increment("aqe/n", amount)
        stored = await memory.retrieve("aqe/n")
        assert (type(answer), answer) == (type(total), total)
        assert (type(stored), stored) == (type(total), total)

    @pytest.mark.parametrize(
        "value", ["1", None, True, False, [1], {"n": 1}, "", "1e3", {"1": 1}, [[]], "9" * 500]
    )
    async def test_anything_but_a_number_is_refused_and_unchanged(
        self, memory: Memory, value: Any
    ) -> None:
        revision = await memory.store("aqe/n", value)
        with pytest.raises(InvalidValueError, match="aqe/n"):
            await memory.increment("aqe/n")
        entry = await memory.entry("aqe/n")
        assert entry is not None
        assert (entry.value, entry.revision) == (value, revision)

    @pytest.mark.parametrize(
        ("start", "amount"),
        [(MOST, 1), (LEAST, -1), (1.7e308, 1.7e308), (2**63, 1), (2**64 - 1, -1)],
    )
    async def test_a_sum_beyond_64_bits_is_refused_and_unchanged(
        self, memory: Memory, start: float, amount: float
    ) -> None:
        await memory.store("aqe/n", start)
        with pytest.raises(InvalidValueError, match="aqe/n"):
            await memory.increment("aqe/n", amount)
        assert await memory.retrieve("aqe/n") == start

    @pytest.mark.parametrize(
        "amount", [True, "1", None, float("nan"), float("inf"), 2**63, LEAST - 1, [1]]
    )
    async def test_an_amount_that_is_no_number_of_64_bits_is_refused(
        self, memory: Memory, amount: Any
    ) -> None:
        with pytest.raises(InvalidArgumentError, match="amount"):
            await memory.increment("aqe/n", amount)
        assert await memory.list_keys() == []
