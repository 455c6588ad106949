"""Which Python an environment is made of, where aqe's own is not allowed or another is chosen."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.environment.base_python import BasePython, base_python
from lionagi_qe.errors import EnvironmentBuildError, ProjectError

if TYPE_CHECKING:
    from pathlib import Path

OURS = ".".join(map(str, sys.version_info[:3]))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Interpreters that say what they are: on PATH, of pyenv, of uv; one starts nothing."""
    for place, answer in {
        "path/python3.20": "3.20.1",
        "path/python3.21": "",
        "pyenv/versions/3.21.2/bin/python3.21": "3.21.2",
        "uv/cpython-3.22.0-linux-x86_64-gnu/bin/python3.22": "3.22.0",
        "pyenv/versions/shop/bin/python": "3.23.0",
        "pyenv/versions/pypy3.24-7.3/bin/python": "pypy",
    }.items():
        program = tmp_path / place
        program.parent.mkdir(parents=True, exist_ok=True)
        name = "pypy" if answer == "pypy" else "cpython"
        told = json.dumps({"version": answer, "name": name, "program": f"{program}-itself"})
        said = f"echo '{told}'" if answer else "exit 127"
        program.write_text(f"#!/bin/sh\n{said}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    return tmp_path


@pytest.mark.parametrize("wanted", [f">={OURS}", "", f">=3.9,!={OURS}.1"])
def test_that_of_aqe_is_taken_where_it_is_allowed(tmp_path: Path, wanted: str) -> None:
    found = base_python(tmp_path, {"project": {"requires-python": wanted}}, tmp_path)
    assert (found.version, found.note) == (OURS, "")


@pytest.mark.parametrize(
    ("wanted", "version"),
    [(">=3.15", "3.20.1"), (">=3.21,<3.22", "3.21.2"), (">=3.22", "3.22.0")],
)
def test_the_nearest_allowed_one_on_the_machine_is_taken_else_and_told(
    installed: Path, wanted: str, version: str
) -> None:
    found = base_python(installed, {"project": {"requires-python": wanted}}, installed)
    assert found.version == version
    assert f"requires Python {wanted}" in found.note
    assert found.program in found.note


@pytest.mark.parametrize(
    ("file", "content", "pyproject"),
    [
        ("setup.cfg", "[options]\npython_requires = >=3.22\n", {}),
        ("setup.py", "setup(name='a', python_requires='>=3.22')\n", {}),
        ("any", "", {"tool": {"poetry": {"dependencies": {"python": "^3.22"}}}}),
    ],
)
def test_what_is_required_is_read_wherever_it_stands(
    installed: Path, file: str, content: str, pyproject: dict[str, object]
) -> None:
    (installed / file).write_text(content)
    assert base_python(installed, pyproject, installed).version == "3.22.0"


def test_where_none_is_allowed_it_says_which_there_are_and_what_to_do(installed: Path) -> None:
    with pytest.raises(EnvironmentBuildError, match=re.escape("requires Python >=3.40")) as told:
        base_python(installed, {"project": {"requires-python": ">=3.40"}}, installed)
    assert all(version in str(told.value) for version in (OURS, "3.20.1", "3.21.2", "3.22.0"))
    assert "uv python install" in str(told.value)


@pytest.mark.parametrize("wanted", ["three", 3, ["3.11"]])
def test_a_requirement_that_is_none_is_told_with_its_file(tmp_path: Path, wanted: object) -> None:
    with pytest.raises(ProjectError, match=r"pyproject\.toml"):
        base_python(tmp_path, {"project": {"requires-python": wanted}}, tmp_path)


MINOR = f"3.{sys.version_info[1]}"


def chosen(project: Path, text: str, requires: str | None = None) -> BasePython:
    (project / ".python-version").write_text(text)
    pyproject = {"project": {"requires-python": requires}} if requires else {}
    return base_python(project, pyproject, project)


@pytest.mark.parametrize(
    "text",
    [f"{OURS}\n", MINOR, "3", f"# ours\n\ncpython@{MINOR}", f">={MINOR},<4", "system", "", "\0"],
)
def test_that_of_aqe_is_taken_where_it_is_the_one_that_is_chosen(
    installed: Path, text: str
) -> None:
    found = chosen(installed, text)
    assert found.version == OURS
    assert bool(found.note) is (text == "\0")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        *(("3.20", "3.20.1"), ("3.20.1\n3.22.0", "3.20.1"), ("3.21.2 3.20.1", "3.21.2")),
        *(("cpython-3.22.0-linux-x86_64-gnu", "3.22.0"), ("cp322", "3.22.0"), (">=3.21", "3.21.2")),
        *(("3.22-dev", "3.22.0"), ("shop", "3.23.0")),
    ],
)
def test_what_python_version_chooses_is_taken_and_told(
    installed: Path, text: str, version: str
) -> None:
    found = chosen(installed, text)
    assert found.version == version
    assert found.note.startswith(".python-version chooses Python ")
    assert found.note.endswith(f": tested with {found.program}, {version}")


@pytest.mark.parametrize(
    ("text", "version"), [("3.21.9", "3.21.2"), (f"{MINOR}.99", OURS), ("3.21.2rc1", "3.21.2")]
)
def test_another_patch_of_the_chosen_version_is_taken_where_that_one_is_not_there(
    installed: Path, text: str, version: str
) -> None:
    found = chosen(installed, text)
    assert found.version == version
    assert f"chooses Python {text}, which was not found: tested with {version}" in found.note


@pytest.mark.parametrize(
    "text", ["3.40", "pypy3.24-7.3", "3.13t", "../versions/shop", "/bin/sh", "2.7", ">=3.x"]
)
def test_what_was_chosen_and_is_not_there_hinders_nothing_and_is_told(
    installed: Path, text: str
) -> None:
    found = chosen(installed, text)
    assert found.version == OURS
    assert f".python-version chooses Python {text}, which was not found" in found.note


def test_an_environment_is_made_of_the_program_that_a_name_starts(installed: Path) -> None:
    # Not of pyenv's script, which starts none where another directory is the working one.
    found = chosen(installed, "3.20")
    assert found.program == str(installed / "path" / "python3.20-itself")


def test_what_the_project_requires_goes_before_what_is_chosen(installed: Path) -> None:
    found = chosen(installed, "3.20", ">=3.22")
    assert found.version == "3.22.0"
    assert "which was not found, or not one of >=3.22" in found.note
    assert chosen(installed, "3.21", ">=3.20").version == "3.21.2"


def test_what_the_repository_chooses_holds_for_the_projects_in_it_and_no_farther(
    installed: Path,
) -> None:
    member = installed / "repository" / "packages" / "shop"
    (member.parents[1] / ".git").mkdir(parents=True)
    member.mkdir(parents=True)
    (installed / ".python-version").write_text("3.20")
    assert base_python(member, {}, member).version == OURS
    (member.parents[1] / ".python-versions").write_text("3.22\n3.21\n")
    found = base_python(member, {}, member)
    assert found.version == "3.22.0"
    assert found.note.startswith("../../.python-versions chooses Python 3.22: tested with ")
    assert chosen(member, "3.21").version == "3.21.2"
