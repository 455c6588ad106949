"""What a run side by side has otherwise than the last one compared, and what makes it void."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from lionagi_qe.agents.base import Examination
from lionagi_qe.agents.execution import outcomes, parallel
from lionagi_qe.agents.execution.outcomes import Recording
from lionagi_qe.agents.execution.parallel_trial import (
    baseline_of,
    deviations,
    differing_files,
    fingerprint_of,
)
from lionagi_qe.agents.history import History
from lionagi_qe.agents.project.settings import Settings
from lionagi_qe.agents.project.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lionagi_qe.agents.environment.target import Environment

# Lines and branches that ran, lines and branches that did not.
Counts = tuple[int, int, int, int]
PASSED = {"test_a.py::test": "passed", "test_b.py::test": "skipped"}


class Version:
    """Of the environment all that is asked for."""

    version = "3.11.7"


@pytest.fixture
def examination(tmp_path: Path) -> Examination:
    pristine, artifacts = tmp_path / "pristine", tmp_path / "artifacts"
    pristine.mkdir()
    artifacts.mkdir()
    workspace = Workspace(tmp_path, tmp_path, pristine, tmp_path / "source", artifacts, None)
    environment = cast("Environment", Version())
    return Examination(workspace, environment, Settings(), {}, lambda _: None)


def measured(examination: Examination, files: Mapping[str, Counts]) -> None:
    """Write coverage.py's report."""
    names = ("covered_lines", "covered_branches", "missing_lines", "missing_branches")
    report = {
        name: {"summary": dict(zip(names, each, strict=True))} for name, each in files.items()
    }
    path = examination.workspace.artifacts / "coverage.json"
    path.write_text(json.dumps({"files": report}))


def recording(tests: Mapping[str, str] = PASSED, **more: Any) -> Recording:
    return Recording(
        exit=0, tests={name: outcomes.Test(name, tests[name]) for name in tests}, **more
    )


def deviating(
    examination: Examination,
    *,
    before: Mapping[str, Counts],
    now: Mapping[str, Counts],
    changed: str = "",
) -> list[str]:
    """Return what deviates where each file had a source then, and one of them another one now."""
    pristine = examination.workspace.pristine
    for name in before:
        if name != "made.py":
            (pristine / name).write_text("as compared")
    measured(examination, before)
    baseline = json.loads(json.dumps(baseline_of(examination.workspace, recording())))
    if changed:
        (pristine / changed).write_text("changed")
    measured(examination, now)
    return deviations(examination, recording(), baseline)


@pytest.mark.parametrize(
    ("now", "changed", "deviates"),
    [
        pytest.param((9, 4, 1, 0), "", False, id="unchanged, as before"),
        pytest.param((8, 4, 2, 0), "", True, id="unchanged, fewer lines"),
        pytest.param((10, 4, 0, 0), "", True, id="unchanged, more lines"),
        pytest.param((9, 3, 1, 1), "", True, id="unchanged, fewer branches"),
        pytest.param((12, 4, 1, 0), "a.py", False, id="changed, no more missed"),
        pytest.param((9, 4, 2, 0), "a.py", True, id="changed, more lines missed"),
        pytest.param((9, 3, 1, 1), "a.py", True, id="changed, more branches missed"),
    ],
)
def test_coverage_of_a_file_is_seen_in_one_session_before_it_is_told_to_be_worse(
    examination: Examination, now: Counts, changed: str, deviates: bool
) -> None:
    before = {"a.py": (9, 4, 1, 0)}
    found = deviating(examination, before=before, now={"a.py": now}, changed=changed)
    assert found == (["a.py"] if deviates else [])


def test_a_file_that_the_tests_made_and_that_is_missed_now_deviates(
    examination: Examination,
) -> None:
    before = {"a.py": (9, 4, 1, 0), "made.py": (3, 0, 0, 0)}
    assert deviating(examination, before=before, now={"a.py": (9, 4, 1, 0)}) == ["made.py"]


@pytest.mark.parametrize(("missed", "deviates"), [(0, False), (1, True)])
def test_a_new_file_deviates_where_some_of_it_is_missed(
    examination: Examination, missed: int, deviates: bool
) -> None:
    before = {"a.py": (9, 4, 1, 0)}
    (examination.workspace.pristine / "new.py").write_text("new")
    now = before | {"new.py": (5, 0, missed, 0)}
    assert bool(deviating(examination, before=before, now=now)) == deviates


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (recording({"test_a.py::test": "failed", "test_b.py::test": "skipped"}), "test_a.py::test"),
        (recording({"test_a.py::test": "passed", "test_b.py::test": "passed"}), "test_b.py::test"),
        (recording({"test_a.py::test": "passed"}), "tests: 1 instead of 2"),
        (recording(deselected=1), "deselected tests: 1 instead of 0"),
        (recording(uncollectable={"test_c.py": "why"}), "uncollectable files"),
        (recording(skipped_files={"test_c.py": "why"}), "skipped modules"),
    ],
)
def test_tests_that_end_otherwise_deviate_also_those_that_pass_now(
    examination: Examination, later: Recording, said: str
) -> None:
    measured(examination, {})
    baseline = baseline_of(examination.workspace, recording())
    assert deviations(examination, recording(), baseline) == []
    assert said in " / ".join(deviations(examination, later, baseline))


def test_a_test_known_to_fail_by_chance_does_not_deviate(examination: Examination) -> None:
    measured(examination, {})
    baseline = baseline_of(examination.workspace, recording())
    failed = recording(PASSED | {"test_a.py::test": "failed"})
    hunted: Any = {"test_a.py::test": [{"cause": "randomness"}]}
    known = replace(examination, history=History(flaky=hunted))
    assert deviations(known, failed, baseline) == []


@pytest.mark.parametrize(
    ("name", "decides"),
    [
        ("tests/test_a.py", True),
        ("tests/data/prices.csv", True),
        ("conftest.py", True),
        ("pytest.ini", True),
        ("requirements.txt", True),
        ("shop.py", False),
        (".git/tests/test_a.py", False),
        ("tests/__pycache__/test_a.pyc", False),
    ],
)
def test_what_was_compared_holds_until_tests_or_settings_change(
    examination: Examination, name: str, decides: bool
) -> None:
    before = fingerprint_of(examination)
    path = examination.workspace.pristine / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("new")
    assert (fingerprint_of(examination) != before) == decides


@pytest.mark.parametrize(
    ("lines", "branches", "differs"),
    [([1, 2], [[1, 2]], False), ([1, 3], [[1, 2]], True), ([1, 2], [[1, 3]], True)],
)
def test_which_lines_and_branches_ran_is_compared_not_how_many(
    examination: Examination, lines: list[int], branches: list[list[int]], differs: bool
) -> None:
    one = examination.workspace
    other = replace(one, artifacts=one.root / "other")
    other.artifacts.mkdir()
    for workspace, ran in ((one, ([1, 2], [[1, 2]])), (other, (lines, branches))):
        file = dict(zip(("executed_lines", "executed_branches"), ran, strict=True))
        report = {"files": {"shop.py": file}}
        (workspace.artifacts / "coverage.json").write_text(json.dumps(report))
    assert differing_files(one, other) == (["shop.py"] if differs else [])


def test_what_was_too_slow_is_compared_again_after_a_week() -> None:
    for state, stale in (("slower", True), ("late", True), ("minds", False), ("fits", False)):
        assert parallel._is_stale({"state": state, "at": "2020-01-01T00:00:00+00:00"}) == stale


@pytest.mark.parametrize(
    ("took", "each", "compared"),
    [
        pytest.param(3.0, 1.4, False, id="quick tests"),
        pytest.param(4.6, 2.2, True, id="a second is gained"),
        pytest.param(30.0, 1.0, False, id="it starts for long"),
        pytest.param(30.0, 14.0, True, id="half of it is gained"),
    ],
)
def test_tests_are_compared_where_a_second_and_a_fifth_of_their_time_are_gained(
    took: float, each: float, *, compared: bool
) -> None:
    seconds = {"test_a.py::test": each, "test_b.py::test": each}
    assert parallel.is_worth_comparing(took, seconds, 2) is compared
