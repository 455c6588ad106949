"""``pytest --aqe-select-time`` and ``--aqe-confidence``, and ``aqe select`` with the same."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from tests import programs
from tests.users_pytest import as_for_a_user

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = "pytester"
pytestmark = pytest.mark.integration

SHOP = """
import os, time, pytest

@pytest.mark.parametrize("number", range(4))
def test_is_quick(number):
    time.sleep(0.02)

def test_breaks():
    time.sleep(0.02)
    assert "BROKEN" not in os.environ

def test_is_slow():
    time.sleep(0.3)
"""


@pytest.fixture(autouse=True)
def _users(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    as_for_a_user(pytester, monkeypatch, pytestconfig)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose tests were run twice, and failed once."""
    monkeypatch.delenv("BROKEN", raising=False)
    pytester.makepyprojecttoml('[project]\nname = "shop"\nversion = "1"\n')
    pytester.makepyfile(test_shop=SHOP)
    pytester.runpytest_inprocess("--aqe").assert_outcomes(passed=6)
    with monkeypatch.context() as broken:
        broken.setenv("BROKEN", "1")
        pytester.runpytest_inprocess("--aqe").assert_outcomes(passed=5, failed=1)
    return pytester.path


def half(project: Path) -> str:
    """Return half of the time that all tests take: more than the likeliest to fail does."""
    told = json.loads(select(project, "--select-time", "1h", "--json").output)
    return f"{told['all_seconds'] / 2:.3f}"


def select(project: Path, *options: str) -> programs.Done:
    return programs.call(*programs.AQE, "select", project, *options, env=dict(os.environ))


def test_the_likeliest_to_fail_run_as_far_as_the_time_goes(
    pytester: pytest.Pytester, project: Path
) -> None:
    result = pytester.runpytest_inprocess("--aqe-select-time", half(project))

    result.stdout.fnmatch_lines(
        [
            "aqe: * of 6 known tests run, 0.* of 0.* s, the likeliest to fail, and new ones; *",
        ]
    )
    ran = result.parseoutcomes()
    assert 1 <= ran["passed"] <= 5
    assert ran["passed"] + ran["deselected"] == 6


def test_what_failed_is_chosen_first_and_new_tests_run_in_any_case(
    pytester: pytest.Pytester, project: Path
) -> None:
    pytester.makepyfile(test_new="def test_is_new(): pass")

    result = pytester.runpytest_inprocess(f"--aqe-select-time={half(project)}", "-v")

    assert "test_shop.py::test_breaks PASSED" in result.stdout.str()
    assert "test_new.py::test_is_new PASSED" in result.stdout.str()


@pytest.mark.usefixtures("project")
def test_a_confidence_takes_failing_runs_to_go_by(pytester: pytest.Pytester) -> None:
    pytester.runpytest_inprocess("--aqe-confidence=0.95").stdout.fnmatch_lines(
        [
            "aqe: all tests run: a confidence of 0.95 takes 19 failing runs of all tests to go *",
        ]
    )


def test_a_confidence_leaves_out_what_it_does_not_need(
    pytester: pytest.Pytester, project: Path
) -> None:
    answer = json.loads(select(project, "--confidence", "0.5", "--json").output)
    result = pytester.runpytest_inprocess("--aqe-confidence=0.5")

    assert answer["earlier_failing_runs"] == answer["would_have_found"] == 1
    assert answer["confidence"] == 0.5
    assert {*answer["selected"], *answer["left_out"]} >= {"test_shop.py::test_breaks"}
    assert 0 < answer["seconds"] <= answer["all_seconds"]
    assert result.parseoutcomes().get("deselected", 0) == len(answer["left_out"])


def test_a_part_teaches_and_has_no_figures_of_the_whole(
    pytester: pytest.Pytester, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a part finds tells nothing of what it takes to find a failure."""
    monkeypatch.setenv("BROKEN", "1")
    part = pytester.runpytest_inprocess(f"--aqe-select-time={half(project)}").parseoutcomes()
    assert part["failed"] == 1
    assert part["deselected"] >= 1

    answer = json.loads(select(project, "--select-time", "0.1", "--json").output)
    told = programs.call(*programs.AQE, "learn", "report", project, env=dict(os.environ))

    assert answer["earlier_failing_runs"] == 1
    assert "3 decisions" in told.output


def test_tests_are_listed_for_pytest(project: Path) -> None:
    listed = select(project, "--select-time", half(project))

    assert listed.code == 0
    assert set(listed.output.split()) < {
        *(f"test_shop.py::test_is_quick[{number}]" for number in range(4)),
        "test_shop.py::test_breaks",
        "test_shop.py::test_is_slow",
    }
    assert "of 6 known tests run" in listed.complaints


def test_a_project_that_nobody_ran_has_no_tests_to_choose_from(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "never-run"\nversion = "1"\n')

    listed = select(tmp_path, "--select-time", "60s")

    assert listed.output == ""
    assert listed.code == 4
    assert "no run of them was kept yet" in listed.complaints


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--aqe-select-time=soon", "*--aqe-select-time: 'soon' is no time above 0*"),
        ("--aqe-confidence=1", "*--aqe-confidence 1: should be between 0 and 1*"),
        ("--aqe-confidence=often", "*--aqe-confidence often: should be between 0 and 1*"),
    ],
)
def test_what_is_no_time_and_no_confidence_is_refused(
    pytester: pytest.Pytester, option: str, message: str
) -> None:
    result = pytester.runpytest_inprocess(option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_one_of_time_and_confidence_is_to_be_chosen(
    pytester: pytest.Pytester, project: Path
) -> None:
    both: list[Any] = ["--aqe-select-time=1", "--aqe-confidence=0.9"]
    assert pytester.runpytest_inprocess(*both).ret == pytest.ExitCode.USAGE_ERROR
    assert select(project, "--select-time", "1s", "--confidence", "0.9").code == 2
    assert select(project, "--select-time", "1s", "--why").code == 2
