"""What pytest made of test files is brought to the next run's copy, and holds only where it may."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import programs

from lionagi_qe.agents.environment.target import Environment
from lionagi_qe.agents.execution.rewritten_tests import RewrittenTests
from lionagi_qe.agents.project.isolation import isolated
from lionagi_qe.agents.project.layout import layout_of
from lionagi_qe.agents.project.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

TEST = "tests/test_shop.py"
FAILING = "def test_price():\n    assert 1 == 2\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / "shop"
    (path / "tests").mkdir(parents=True)
    (path / TEST).write_text(FAILING)
    return path


def environment_of(workspace: Workspace) -> Environment:
    layout = layout_of(workspace.source)
    return Environment(Path(sys.executable), "", layout, (), origin="", changeable=True)


def run(project: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Run the tests in a copy; tell what pytest said, and what lay there before and after."""
    with Workspace.copy_of(project) as workspace:
        rewritten = RewrittenTests(workspace, environment_of(workspace))
        rewritten.bring()
        before = files(workspace)
        words = ("-m", "pytest", "-p", "no:cacheprovider", TEST)
        env = {"PYTHONDONTWRITEBYTECODE": ""}
        yield programs.call(*words, cwd=workspace.source, env=env).output, before
        rewritten.keep([f"{TEST}::test_price"])
        yield "", files(workspace)


def files(workspace: Workspace) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in workspace.source.rglob("*.pyc")}


def test_they_are_made_once_and_again_when_their_test_changes(project: Path) -> None:
    (_, nothing), (_, made) = run(project)
    (said, brought), (_, left) = run(project)
    assert not nothing
    assert made == brought == left
    assert f"{TEST}:2: AssertionError" in said
    (project / TEST).write_text(FAILING.replace("==", "<"))
    (said, brought), (_, changed) = run(project)
    assert "1 passed" in said
    assert brought == made != changed


def test_nothing_is_brought_to_another_place_or_out_of_the_copy(project: Path) -> None:
    list(run(project))
    with Workspace.copy_of(project) as workspace, Workspace.copy_of(project) as elsewhere:
        assert workspace.source != elsewhere.source
        for each in (elsewhere, workspace):
            RewrittenTests(each, environment_of(each)).bring()
        assert files(workspace)
        assert not files(elsewhere)
    (kept,) = (project.parent / "cache").rglob("*.rewritten.zip")
    with zipfile.ZipFile(kept, "a") as hostile:
        hostile.writestr("../home/__pycache__/evil.pyc", b"")
        hostile.writestr(f"{project}/tests/__pycache__/evil.pyc", b"")
    list(run(project))
    assert not [*project.parent.rglob("evil.pyc")]


def test_half_a_file_hinders_nothing(project: Path) -> None:
    list(run(project))
    (kept,) = (project.parent / "cache").rglob("*.rewritten.zip")
    kept.write_bytes(kept.read_bytes()[:-30])
    (said, brought), (_, made) = run(project)
    assert "1 failed" in said
    assert made
    assert not brought


def test_what_an_isolated_program_made_is_kept_for_nobody(project: Path) -> None:
    with isolated(wanted=True):
        (_, _), (_, made) = run(project)
    (_, brought), (_, left) = run(project)
    assert made
    assert not brought
    with isolated(wanted=True):
        (_, brought), _ = run(project)
    assert not brought
    (_, brought), _ = run(project)
    assert brought == left
