"""Which Python an environment is made of, where the project doesn't allow aqe's own."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.environment.base_python import base_python
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
    }.items():
        program = tmp_path / place
        program.parent.mkdir(parents=True, exist_ok=True)
        said = f'echo \'{{"version": "{answer}"}}\'' if answer else "exit 127"
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
