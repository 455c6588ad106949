"""The gate, and every way to be told that one used the command wrongly."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

HALF = {
    "shop.py": """
        def used():
            return 1

        def unused():
            return 2
    """,
    "test_shop.py": """
        import shop

        def test_used():
            assert shop.used() == 1
    """,
}


def test_a_run_without_rules_passes_when_its_tests_do(examine: Examine, project: Write) -> None:
    answer = examine(project(HALF))

    assert answer.exit_code == 0
    assert answer.value("gate") == "passed"


@pytest.mark.parametrize(("least", "exit_code"), [("75", 0), ("75.01", 1)])
def test_a_least_coverage_is_met_or_not(
    examine: Examine, project: Write, least: str, exit_code: int
) -> None:
    answer = examine(project(HALF), "--min-coverage", least)

    assert answer.value("line_coverage") == 75.0
    assert answer.exit_code == exit_code


def test_the_project_sets_its_own_gate_and_the_command_line_overrules_it(
    examine: Examine, project: Write
) -> None:
    root = project({**HALF, "pyproject.toml": "[tool.aqe]\nmin-coverage = 80\n"})

    assert examine(root).exit_code == 1
    assert examine(root, "--min-coverage", 70).exit_code == 0


def test_what_is_required_must_be_measured(examine: Examine, project: Write) -> None:
    root = project(HALF)
    answer = examine(root, "--require", "branch_coverage")

    assert "no branches" in answer.reason("branch_coverage")
    assert answer.exit_code == 4
    assert examine(root, "--min-branch-coverage", 50).exit_code == 4
    assert examine(root, "--require", "line_coverage").exit_code == 0


def test_a_failure_weighs_more_than_what_was_not_measured(examine: Examine, project: Write) -> None:
    answer = examine(project(HALF), "--require", "branch_coverage", "--min-coverage", 90)

    assert answer.exit_code == 1


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (
            "[tool.aqe]\nmin-coverag = 80\n",
            "unknown option 'min-coverag'; did you mean min-coverage",
        ),
        ('[tool.aqe]\nmin-coverage = "high"\n', "min-coverage = 'high': should be a number"),
        ("[tool.aqe]\nmin-coverage = 101\n", "min-coverage = 101: should be from 0 to 100"),
        ("[tool.aqe]\ntimeout = 0\n", "timeout = 0: should be greater than 0"),
        ('[tool.aqe]\nrequired = ["speed"]\n', "'speed': unknown; known: "),
        ("[tool]\naqe = 1\n", "must be a table"),
        ("[tool.aqe\n", "no valid TOML"),
    ],
)
def test_a_wrong_configuration_is_one_clear_line(
    examine: Examine, project: Write, config: str, complaint: str
) -> None:
    answer = examine(project({**HALF, "pyproject.toml": config}))

    _is_one_line(answer, 2, complaint)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no-such-directory"], "no such directory"),
        ([sys.executable], "is no directory"),
        ([], "there is no project in the working directory"),
        ([".", "--frob"], "No such option"),
        ([".", "--min-coverage", "high"], "not a valid float"),
        ([".", "--python", "no-such-python"], "no such file"),
        ([".", "--python", "/bin/false"], "no Python interpreter that runs (it doesn't"),
        ([".", "--fail-on", "line_covrage < 3"], "'line_covrage': unknown; did you mean line_cov"),
        ([".", "--memory", "mongodb://host"], "no backend for the scheme 'mongodb'"),
        ([".", "--memory", "nonsense"], "no backend"),
        ([".", "--junit", "no-such-directory/junit.xml"], "no-such-directory"),
    ],
)
def test_wrong_use_is_one_clear_line(
    aqe: Callable[..., Answer], arguments: list[str], complaint: str
) -> None:
    _is_one_line(aqe("run", "--quiet", *arguments), 2, complaint)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////proc/no/memory.db",
        "postgresql://aqe:secret@127.0.0.1:1/aqe",
        "redis://:secret@127.0.0.1:1/0",
    ],
)
def test_a_memory_that_can_not_be_reached_is_one_clear_line(
    examine: Examine, project: Write, url: str
) -> None:
    answer = examine(project(HALF), "--memory", url)

    _is_one_line(answer, 3, "")
    assert "secret" not in answer.err


def test_an_environment_that_can_not_be_built_is_one_clear_line(
    examine: Examine, project: Write
) -> None:
    files = {**HALF, "requirements-test.txt": "no-such-package-of-ours-at-all==1.0\n"}
    answer = examine(project(files), env={"PIP_NO_INDEX": "1", "UV_NO_INDEX": "1"})

    _is_one_line(answer, 3, "requirements-test.txt", progress=True)


def test_a_project_for_another_python_is_one_clear_line(examine: Examine, project: Write) -> None:
    config = '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=4"\n'
    answer = examine(project({**HALF, "pyproject.toml": config}))

    _is_one_line(answer, 3, "requires Python >=4", progress=True)


def _is_one_line(answer: Answer, code: int, complaint: str, *, progress: bool = False) -> None:
    lines = answer.err.splitlines()
    complaints = [line for line in lines if line.startswith("aqe: ")]
    assert len(complaints) == 1, answer.err
    assert complaint in complaints[0]
    assert lines[-1] == complaints[0]
    assert progress or len(lines) == 1, answer.err
    assert answer.out == ""
    assert answer.exit_code == code
