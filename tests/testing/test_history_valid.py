"""What a correct memory can answer is never called wrong."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.testing.reference_fleet import valid_history

from lionagi_qe.testing.history import judge


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(0, 150))
def test_a_valid_history_passes(seed: int, processes: int, calls: int) -> None:
    found = judge(valid_history(random.Random(seed), processes, calls))
    assert [str(violation) for violation in found.violations] == []
    assert found.undecided == 0


@pytest.mark.parametrize("seed", range(2))
def test_a_long_valid_history_passes(seed: int) -> None:
    found = judge(valid_history(random.Random(seed), 8, 2_000))
    assert [str(violation) for violation in found.violations] == []
    assert found.undecided == 0
