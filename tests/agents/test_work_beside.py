"""What is done on the core that a run leaves idle is there in time, and ends with the run."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from venv import EnvBuilder

import pytest

from lionagi_qe.agents.coverage.known_complexities import KnownComplexities, graded_beside, path_of
from lionagi_qe.agents.environment import compiling
from lionagi_qe.agents.environment.compiling import compile_beside
from lionagi_qe.agents.environment.target import Environment
from lionagi_qe.agents.project.isolation import isolated
from lionagi_qe.agents.project.layout import layout_of
from lionagi_qe.agents.project.workspace import Workspace
from lionagi_qe.testing.servers.ports import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONGEST_SECONDS = 60.0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    (root / "shop").mkdir(parents=True)
    (root / "shop" / "__init__.py").write_text("def price(a):\n    return a if a else 1\n")
    (root / "shop" / "test_price.py").write_text("def test():\n    pass\n")
    return root


@pytest.fixture
def workspace(project: Path) -> Iterator[Workspace]:
    with Workspace.copy_of(project) as workspace:
        yield workspace


@pytest.fixture
def python(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The interpreter of an environment that has some of what tests import, and two cores."""
    monkeypatch.setattr(compiling, "usable_cores", lambda: 2)
    directory = workspace.root / "environment"
    EnvBuilder(symlinks=True).create(directory)
    return directory / "bin" / "python"


def package(python: Path, name: str) -> Path:
    """Return a new package's directory in an environment."""
    version = f"python3.{sys.version_info.minor}"
    directory = python.parents[1] / "lib" / version / "site-packages" / name
    directory.mkdir()
    return directory


def wait(condition: Callable[[], bool]) -> None:
    wait_until(condition, "what goes on beside", timeout=_LONGEST_SECONDS)


def at_work(directory: Path) -> list[str]:
    """Return the command lines of processes that are about a directory."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = os.fsdecode(process.read_bytes())
        except OSError:
            # It has ended.
            continue
        if str(directory) in words:
            found.append(words)
    return found


def test_what_tests_import_is_compiled_and_nothing_else(python: Path, workspace: Workspace) -> None:
    pytest_itself, other = package(python, "_pytest"), package(python, "other")
    for directory in (pytest_itself, other):
        (directory / "module.py").write_text("raise SystemExit('nobody asked for this')\n")
    compile_beside(python, workspace)
    wait(lambda: any(pytest_itself.glob("__pycache__/module.*.pyc")))
    wait(lambda: not at_work(pytest_itself))
    assert not (other / "__pycache__").exists()


def test_it_is_ended_with_the_run(python: Path, workspace: Workspace) -> None:
    package(python, "coverage")
    gate = workspace.root / "gate"
    os.mkfifo(gate)
    # An interpreter that never ends: whoever opens the gate waits for another to do so.
    python.unlink()
    python.write_text(f"#!/bin/sh\nread line <'{gate}'\n")
    python.chmod(0o755)
    compile_beside(python, workspace)
    # Of a process that has just begun, its command line may be empty.
    wait(lambda: len(at_work(python.parents[1])) == 1)
    workspace.remove()
    assert at_work(python.parents[1]) == []


def test_on_one_core_and_for_isolated_tests_nothing_is_compiled_beforehand(
    python: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(python, "coverage")
    with isolated(wanted=True):
        compile_beside(python, workspace)
    monkeypatch.setattr(compiling, "usable_cores", lambda: 1)
    compile_beside(python, workspace)
    assert at_work(python.parents[1]) == []


@pytest.fixture
def environment(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Environment:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    layout = layout_of(workspace.source)
    return Environment(Path(sys.executable), "3", layout, (), "given", changeable=False)


async def test_the_code_is_graded_while_tests_run_from_what_they_do_not_change(
    workspace: Workspace, environment: Environment
) -> None:
    path = path_of(workspace, environment)
    (workspace.source / "shop" / "__init__.py").write_text("def other():\n    pass\n")
    async with graded_beside(workspace, environment):
        await asyncio.to_thread(wait, path.exists)
    own = workspace.pristine / "shop" / "__init__.py"
    known = KnownComplexities(path)
    assert known.of(own) == ({"price": 2}, None)
    assert len(json.loads(path.read_bytes())["files"]) == 1, "tests are not graded"


async def test_grading_ends_with_the_tests(
    workspace: Workspace, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        (workspace.pristine / "shop" / f"module_{number}.py").write_text("def f():\n    pass\n")
    graded, of = list[Path](), KnownComplexities.of

    def slow(known: KnownComplexities, file: Path) -> tuple[dict[str, int], str | None]:
        graded.append(file)
        time.sleep(0.05)
        return of(known, file)

    monkeypatch.setattr(KnownComplexities, "of", slow)
    async with graded_beside(workspace, environment):
        await asyncio.to_thread(wait, lambda: bool(graded))
    assert len(graded) < 50
    assert path_of(workspace, environment).exists(), "what was graded is kept"


async def test_a_defect_in_grading_is_nothing_of_the_tests(
    workspace: Workspace, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: KnownComplexities, file: Path) -> tuple[dict[str, int], None]:
        raise ZeroDivisionError(file)

    monkeypatch.setattr(KnownComplexities, "of", broken)
    async with graded_beside(workspace, environment):
        await asyncio.sleep(0)
