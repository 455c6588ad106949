"""What a killed process left behind goes with the next start; nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.project.scratch import read_left

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNER = """
import sys
from lionagi_qe.agents.project.scratch import Scratch

scratch = Scratch.create()
print(scratch.root, flush=True)
sys.stdin.read()
scratch.remove()
"""


@contextmanager
def owner(temporary: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Start a process that owns a scratch directory until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()


def killed(temporary: Path) -> Path:
    """Return the directory of a process that was killed."""
    with owner(temporary) as (process, root):
        process.kill()
    assert root.is_dir()
    return root


def test_the_next_start_deletes_what_a_killed_process_left(tmp_path: Path) -> None:
    left = killed(tmp_path)
    locked = left / "tests" / "closed"
    locked.mkdir(parents=True)
    locked.chmod(0)

    with owner(tmp_path) as (process, root):
        assert not left.exists()
        assert root.is_dir()
    assert process.returncode == 0
    assert not root.exists()


def test_the_directory_of_a_process_that_lives_stays(tmp_path: Path) -> None:
    with owner(tmp_path) as (_, first), owner(tmp_path) as (_, second):
        (first / "file").touch()
        with owner(tmp_path):
            assert (first / "file").exists()
            assert second.is_dir()


@pytest.mark.parametrize("name", ["aqe-notes", "notes"])
def test_a_directory_that_no_scratch_directory_was_stays(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").touch()
    if name == "notes":
        (tmp_path / name / "owner").touch()
    with owner(tmp_path):
        assert (tmp_path / name / "mine").exists()


def test_links_are_neither_followed_nor_deleted(tmp_path: Path) -> None:
    temporary, elsewhere = tmp_path / "tmp", tmp_path / "elsewhere"
    for folder in (temporary, elsewhere, temporary / "aqe-linked-owner"):
        folder.mkdir()
    (elsewhere / "owner").touch()
    (temporary / "aqe-link").symlink_to(elsewhere)
    (temporary / "aqe-linked-owner" / "owner").symlink_to(elsewhere / "owner")

    with owner(temporary):
        assert (elsewhere / "owner").exists()
        assert (temporary / "aqe-link").is_symlink()
        assert (temporary / "aqe-linked-owner" / "owner").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")
def test_the_directory_of_another_user_stays(tmp_path: Path) -> None:
    left = killed(tmp_path)
    os.chown(left, 12345, -1)
    with owner(tmp_path):
        assert left.is_dir()


def test_what_the_killed_process_ran_does_not_hold_the_lock(tmp_path: Path) -> None:
    quiet = "stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"
    script = f"""{OWNER.partition("sys.stdin")[0]}
import os, signal, subprocess
print(subprocess.Popen(["sleep", "600"], {quiet}).pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        check=False,
        text=True,
    )
    root, child = done.stdout.split()
    left = Path(root)
    assert left.is_dir()
    try:
        with owner(tmp_path):
            assert not left.exists()
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_what_a_program_left_is_read_if_it_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("said")
    (tmp_path / "link").symlink_to(tmp_path / "report")
    os.mkfifo(tmp_path / "pipe")
    assert read_left(tmp_path / "report") == b"said"
    for name in ("link", "pipe", "missing"):
        with pytest.raises(OSError, match=name):
            read_left(tmp_path / name)
