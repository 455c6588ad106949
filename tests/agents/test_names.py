"""What tests are called whose ids are as large as documents."""

from __future__ import annotations

import pytest

from lionagi_qe.agents.inject.aqe_names import known_as

PLACE = "tests/test_a.py::test_a"


@pytest.mark.parametrize("nodeid", [PLACE, f"{PLACE}[{'x' * 1900}]"])
def test_usual_ids_stay_what_they_are(nodeid: str) -> None:
    assert known_as(nodeid) == nodeid


def test_large_ones_are_cut_and_stay_apart() -> None:
    large = [f"{PLACE}[{'x' * 10_000_000}{end}]" for end in ("a", "b", "\udc80")]
    short = [known_as(nodeid) for nodeid in large]
    assert len({*short}) == len(large)
    assert all(len(each) == 2000 and each.startswith(f"{PLACE}[x") for each in short)
    assert all(each.endswith("]") for each in short)
    assert short == [known_as(nodeid) for nodeid in large]
