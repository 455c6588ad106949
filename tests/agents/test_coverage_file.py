"""The file of coverage.py's settings is the one that the project names, wherever it does."""

from __future__ import annotations

import textwrap
import tomllib
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.environment.coverage_file import CoverageFile, coverage_file_of
from lionagi_qe.agents.environment.variables import variables_of

if TYPE_CHECKING:
    from pathlib import Path

NAMED = "ci/cov.ini"
SAID = {
    "addopts": ({"pytest.ini": f"[pytest]\naddopts = --cov=shop --cov-config={NAMED} -q\n"}),
    "addopts-in-two-words": {
        "pyproject.toml": f'[tool.pytest.ini_options]\naddopts = ["--cov-config", "{NAMED}"]\n'
    },
    "the-last-of-them": {
        "pytest.ini": f"[pytest]\naddopts = --cov-config=other.ini --cov-config={NAMED}\n"
    },
    "tox-variable": {
        "tox.ini": f"""
            [testenv]
            commands = pytest
            setenv = COVERAGE_RCFILE = {{toxinidir}}/{NAMED}
        """
    },
    "tox-options": {
        "tox.ini": f"""
            [testenv]
            commands = pytest
            setenv = PYTEST_ADDOPTS = --cov --cov-config={NAMED}
        """
    },
    "tox-command": {
        "tox.ini": f"""
            [testenv]
            commands =
                pylint --rcfile=other.ini shop
                coverage run --rcfile={{toxinidir}}/{NAMED} -m pytest
        """
    },
    "nox-command": {
        "noxfile.py": f"""
            @nox.session
            def tests(session):
                session.run(
                    "coverage",
                    "run",
                    "--rcfile", "{NAMED}",
                    "-m", "pytest",
                )
        """
    },
    "make": {"Makefile": f"test:\n\tcoverage run \\\n\t  --rcfile ./{NAMED} -m pytest\n"},
    "workflow": {
        ".github/workflows/ci.yml": f"""
            jobs:
              test:
                steps:
                - run: pytest --cov=shop --cov-config={NAMED}
        """
    },
}


def found(root: Path, files: dict[str, str]) -> CoverageFile | None:
    for name, text in {NAMED: "[run]\n", "other.ini": "[run]\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(textwrap.dedent(text))
    pyproject = tomllib.loads(files.get("pyproject.toml", ""))
    return coverage_file_of(root, variables_of(root, pyproject))


@pytest.mark.parametrize("files", SAID.values(), ids=SAID)
def test_it_is_found(tmp_path: Path, files: dict[str, str]) -> None:
    file = found(tmp_path, files)
    assert file is not None
    assert file.path == NAMED
    assert f"{NAMED}, as " in file.note


@pytest.mark.parametrize(
    "files",
    [
        {".coveragerc": "[run]\n"},
        {"setup.cfg": "[coverage:report]\n"},
        {"pyproject.toml": "[tool.coverage.run]\n"},
    ],
    ids=str,
)
@pytest.mark.parametrize("case", ["tox-command", "nox-command", "make", "workflow"])
def test_what_coverage_finds_untold_goes_before_what_a_command_names(
    tmp_path: Path, files: dict[str, str], case: str
) -> None:
    assert found(tmp_path, {**SAID[case], **files}) is None


def test_what_always_holds_goes_before_what_coverage_finds_untold(tmp_path: Path) -> None:
    for case in ("addopts", "tox-variable"):
        file = found(tmp_path, {**SAID[case], ".coveragerc": "[run]\n"})
        assert file is not None
        assert file.path == NAMED


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert found(tmp_path, {"pytest.ini": "[pytest]\naddopts = --cov-config=gone.ini\n"}) is None
    assert found(tmp_path, {"pytest.ini": "[pytest]\naddopts = -q --cov-config\n"}) is None
    endless = f"[pytest]\naddopts = --cov-config={5000 * 'x'}\n"
    assert found(tmp_path, {"pytest.ini": endless}) is None
