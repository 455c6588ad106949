"""What is declared goes into an environment, with uv at once where that can be."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.environment.installation import install_declared
from lionagi_qe.agents.environment.installer import Installer, find_uv
from lionagi_qe.agents.environment.interpreter import OWN_BASE
from lionagi_qe.agents.environment.requirements import requirements_of
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.agents.project.workspace import Workspace
from lionagi_qe.errors import EnvironmentBuildError

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "shop"
version = "1.0"
dependencies = [{dependency}]
[tool.setuptools]
py-modules = ["shop"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "requirements").mkdir(parents=True)
    (root / "shop.py").write_text("ONE = 1\n")
    return root


def _declare(project: Path, dependency: str, tests: str) -> None:
    (project / "pyproject.toml").write_text(PROJECT.format(dependency=dependency))
    (project / "requirements" / "tests.txt").write_text(f"{tests}\n")


@pytest.fixture
def uv(tmp_path: Path) -> tuple[Installer, Path]:
    """An uv that writes down its command lines, and where it does."""
    log, program = tmp_path / "log", tmp_path / "uv"
    program.write_text(f'#!/bin/sh\necho "$@" >>{log}\nexec {find_uv()} "$@"\n')
    program.chmod(0o755)
    return Installer("uv", "0", (str(program),)).configured(), log


async def _installed(project: Path, installer: Installer) -> tuple[set[str], list[str]]:
    with Workspace.copy_of(project) as workspace:
        directory = workspace.root / "environment"
        python = await installer.create(directory, workspace, OWN_BASE)
        requirements = requirements_of(workspace.source, read_pyproject(workspace.source))
        notes = await install_declared(installer, python, workspace, requirements, ())
        site = directory / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        return {path.name for path in site.glob("*.dist-info")}, notes


async def test_project_and_requirement_files_are_installed_by_one_start_of_uv(
    project: Path, uv: tuple[Installer, Path]
) -> None:
    _declare(project, '"iniconfig"', "iniconfig==2.0.0")
    found, notes = await _installed(project, uv[0])
    assert found == {"iniconfig-2.0.0.dist-info", "shop-1.0.dist-info"}
    assert notes == []
    assert len(uv[1].read_text().splitlines()) == 1


async def test_where_no_environment_can_be_is_told(
    project: Path, uv: tuple[Installer, Path]
) -> None:
    told = pytest.raises(EnvironmentBuildError, match="no virtual environment could be created")
    with Workspace.copy_of(project) as workspace, told:
        await uv[0].create(workspace.root / "a:b", workspace, OWN_BASE)


async def test_what_does_not_fit_together_is_installed_one_after_the_other(
    project: Path, uv: tuple[Installer, Path]
) -> None:
    _declare(project, '"iniconfig>=2.0.0"', "iniconfig==1.1.1")
    found, notes = await _installed(project, uv[0])
    assert "shop-1.0.dist-info" in found
    assert "iniconfig-1.1.1.dist-info" not in found
    assert notes == []


async def test_a_compiled_file_whose_versions_are_gone_gives_way_to_its_origin(
    project: Path, uv: tuple[Installer, Path]
) -> None:
    _declare(project, "", "iniconfig==99.99")
    (project / "requirements" / "tests.in").write_text("iniconfig==2.0.0\n")
    found, notes = await _installed(project, uv[0])
    assert found == {"iniconfig-2.0.0.dist-info", "shop-1.0.dist-info"}
    assert [note.partition(":")[0] for note in notes] == [
        "tests.in was installed instead of tests.txt"
    ]


async def test_builds_leave_nothing_among_the_users_temporary_files(
    project: Path, uv: tuple[Installer, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    _declare(project, "", "iniconfig")
    found, _ = await _installed(project, uv[0])
    assert "shop-1.0.dist-info" in found
    assert [*temporary.iterdir()] == []
