"""A copy whose traces are taken away is what it was, whatever a program did to it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.project.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TREE = {
    "shop/__init__.py": "PRICE = 1\n",
    "shop/data/one.txt": "one",
    "shop/data/two.txt": "two",
    "run.sh": "#!/bin/sh\n",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    project = tmp_path / "project"
    for name, text in TREE.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (project / "run.sh").chmod(0o755)
    (project / "link").symlink_to("shop/data")
    with Workspace.copy_of(project) as workspace:
        yield workspace


def state(root: Path) -> dict[str, object]:
    """Return all that a program can see of a tree: kinds, rights, contents, times of files."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name, status = path.relative_to(root).as_posix(), path.lstat()
        if path.is_symlink():
            found[name] = path.readlink()
        elif path.is_dir():
            found[name] = oct(status.st_mode)
        else:
            found[name] = (oct(status.st_mode), path.read_bytes(), status.st_mtime_ns)
    return found


def _unseen(source: Path) -> None:
    """Change a file so that neither its size nor its times tell."""
    file = source / "shop/__init__.py"
    before = file.stat()
    file.write_text("PRICE = 2\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _swapped(source: Path) -> None:
    """Put a directory where a file was, a file where a directory was, and a link for another."""
    (source / "run.sh").unlink()
    (source / "run.sh").mkdir()
    (source / "run.sh/left").write_text("left")
    shutil.rmtree(source / "shop/data")
    (source / "shop/data").write_text("no directory")
    (source / "shop/__init__.py").unlink()
    (source / "shop/__init__.py").symlink_to("/etc/hosts")


def _led_astray(source: Path) -> None:
    """Have a directory and a link lead to the pristine copy, which nobody may write to."""
    pristine = next((source.parents[1] / "pristine").glob("project"))
    shutil.rmtree(source / "shop")
    (source / "shop").symlink_to(pristine / "shop")
    (source / "link").unlink()
    (source / "link").symlink_to(pristine)


def _closed(source: Path) -> None:
    (source / "new").mkdir()
    (source / "new/left").write_text("left")
    for path in (source / "new", source / "shop/data", source / "shop/__init__.py", source):
        path.chmod(0)


def _written(source: Path) -> None:
    (source / "shop/data/one.txt").write_text("another one")
    (source / "shop/__pycache__").mkdir()
    (source / "shop/__pycache__/left.pyc").write_bytes(b"left")
    (source / "run.sh").chmod(0o644)
    os.mkfifo(source / "pipe")


def _gone(source: Path) -> None:
    shutil.rmtree(source / "shop")
    (source / "link").unlink()


def _linked(source: Path) -> None:
    """Have one file under two names, so that who writes to one writes to the other."""
    (source / "shop/data/two.txt").unlink()
    (source / "shop/data/two.txt").hardlink_to(source / "shop/data/one.txt")


@pytest.mark.parametrize(
    "change", [_written, _unseen, _swapped, _led_astray, _closed, _gone, _linked]
)
def test_whatever_a_program_did_is_undone(
    workspace: Workspace, change: Callable[[Path], None]
) -> None:
    before, pristine = state(workspace.source), state(workspace.pristine)
    report = workspace.artifacts / "report"
    report.write_text("stays")
    # Also what it did after the last time.
    for _ in range(2):
        (workspace.home / "left").write_text("left")
        (workspace.temporary / "left").mkdir()
        change(workspace.source)
        workspace.renew()
        assert state(workspace.source) == before
        assert state(workspace.pristine) == pristine
        assert [*workspace.home.iterdir(), *workspace.temporary.iterdir()] == []
    assert report.read_text() == "stays"


def test_what_nobody_touched_is_not_copied_again(workspace: Workspace) -> None:
    untouched = workspace.source / "shop/data/one.txt"
    # What was laid out in the same tick of the clock may be.
    workspace.renew()
    before = untouched.stat().st_ino
    (workspace.source / "shop/data/two.txt").unlink()
    workspace.renew()
    assert untouched.stat().st_ino == before


@pytest.mark.parametrize("replaced", ["source", "above", "home", "temporary"])
def test_nothing_is_touched_where_a_directory_of_ours_leads(
    workspace: Workspace, tmp_path: Path, replaced: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "project" / "deep").mkdir(parents=True)
    for directory in (outside, outside / "project", outside / "project" / "deep"):
        (directory / "theirs").write_text("theirs")
        directory.chmod(0o755)
    before, theirs = state(workspace.source), state(outside)
    place = {"above": workspace.source.parent}.get(replaced) or getattr(workspace, replaced)
    shutil.rmtree(place)
    place.symlink_to(outside)
    workspace.renew()
    assert state(workspace.source) == before
    assert [*workspace.home.iterdir(), *workspace.temporary.iterdir()] == []
    assert state(outside) == theirs
    assert outside.stat().st_mode & 0o777 == 0o755
    shutil.rmtree(place)
    place.symlink_to(outside)
    workspace.remove()
    assert state(outside) == theirs
