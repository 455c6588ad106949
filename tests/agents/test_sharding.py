"""Which test files go to which session, and that sessions side by side make a whole."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lionagi_qe.agents.environment.process import Completed
from lionagi_qe.agents.execution import outcomes
from lionagi_qe.agents.execution.outcomes import Recording
from lionagi_qe.agents.execution.parallel_run import (
    _collected,
    _completed,
    _merged,
    _wrongly_divided,
)
from lionagi_qe.agents.execution.sharding import divided, longest_shard, shards_of, told
from lionagi_qe.fleet.comparison import compare

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.agents.project.workspace import Workspace

SECONDS = {"a.py::1": 4.0, "b.py::1": 3.0, "b.py::2": 0.5, "c.py::1": 2.0, "d.py::1": 1.5}


@given(
    st.dictionaries(
        st.from_regex(r"[a-e]\.py::[0-9]", fullmatch=True), st.floats(0, 100), max_size=30
    ),
    st.integers(1, 6),
)
def test_each_file_is_in_one_shard_and_the_first_takes_what_nobody_else_has(
    seconds: dict[str, float], sessions: int
) -> None:
    shards = shards_of(seconds, sessions)
    first, *others = shards
    named = [file for shard in others for file in shard.own or ()]
    assert first.own is None
    assert sorted(first.others) == sorted(named)
    assert set(named) <= {test.partition("::")[0] for test in seconds}
    assert len(shards) <= sessions
    assert divided(told(shards)) == shards, "they are remembered as they were compared"


def test_the_longest_files_are_given_out_first() -> None:
    shards = shards_of(SECONDS, 2)
    assert longest_shard(SECONDS, shards) == 5.5
    assert [sorted(shard.own or ()) for shard in shards] == [[], ["b.py", "c.py"]]


def test_as_many_shards_as_files_at_most() -> None:
    assert len(shards_of({"a.py::1": 1.0}, 4)) == 1


@pytest.mark.parametrize(
    ("second", "said"), [(["a.py::1", "b.py::1"], "ran in two sessions"), ([], "in no session")]
)
def test_a_test_in_two_sessions_or_in_none_is_told(second: list[str], said: str) -> None:
    first = Recording(exit=0, tests={"a.py::1": outcomes.Test("a.py::1", "passed")})
    other = Recording(exit=0, tests={name: outcomes.Test(name, "passed") for name in second})
    assert said in (_wrongly_divided([first, other], ["a.py::1", "b.py::1"]) or "")


def test_a_session_that_had_nothing_to_run_says_nothing_of_the_others() -> None:
    first = Recording(exit=1, tests={"a.py::1": outcomes.Test("a.py::1", "failed")})
    merged = _merged([first, Recording(exit=5)], ["a.py::1"])
    assert merged.exit == 1
    assert _merged([first, Recording()], ["a.py::1"]).exit is None, "one did not come to its end"


@pytest.mark.parametrize(
    ("codes", "told"), [([0, 5], 0), ([5, 5], 0), ([1, 0], 1), ([1, 2], 2), ([2, -9, 1], -9)]
)
def test_the_gravest_exit_code_of_all_sessions_is_told(codes: list[int], told: int) -> None:
    parts = [Completed(code, None, 1.0, "") for code in codes]
    assert _completed(parts, 1.0).exit_code == told


def test_a_session_that_was_stopped_while_it_wrote_what_it_collects_has_collected_nothing(
    tmp_path: Path,
) -> None:
    fork = cast("Workspace", SimpleNamespace(artifacts=tmp_path))
    assert _collected(fork) is None
    (tmp_path / "collected.json").write_text('{"ids": ["a')
    assert _collected(fork) is None


def test_a_test_is_slower_only_than_in_runs_alike() -> None:
    test = {"id": "t", "outcome": "passed", "seconds": 2.0}
    alone = [{"run": "r", "outcome": "passed", "seconds": 1.0} for _ in range(5)]
    beside = [{"run": "r", "outcome": "passed", "seconds": 2.0, "sessions": 2} for _ in range(5)]

    def slower(sessions: int) -> int:
        return len(compare("r", [test], {"t": [*alone, *beside]}, {}, sessions).slower)

    assert slower(2) == 0
    assert slower(1) == 1
