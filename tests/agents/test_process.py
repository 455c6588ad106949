"""Programs of an examined project: their logs are ours, and their ends are waited for."""

from __future__ import annotations

import asyncio
import sys
import threading
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from tests.e2e.test_isolation import processes_with

from lionagi_qe.agents.environment import process
from lionagi_qe.agents.project.bubblewrap import bubblewrap
from lionagi_qe.agents.project.isolation import Isolation, isolated
from lionagi_qe.agents.project.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lionagi_qe.agents.project.isolated_program import IsolatedProgram, Launch

EXCHANGES = """
import os, sys, time
log, other, victim = sys.argv[1:]
os.unlink(log)
os.symlink(victim, log)
os.symlink(victim, other)
print("exchanged", flush=True)
while not os.path.exists(log + ".go"): time.sleep(0.05)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.copy_of(tmp_path) as found:
        yield found


async def run(workspace: Workspace, log: Path, *words: object) -> process.Completed:
    return await process.run(
        [sys.executable, "-I", "-c", *map(str, words)],
        cwd=workspace.source,
        env=process.allowed_environment(),
        log=log,
        timeout=120,
    )


@pytest.mark.parametrize("is_isolated", [False, True])
async def test_what_a_program_puts_under_the_name_of_a_log_is_not_followed(
    workspace: Workspace, tmp_path: Path, *, is_isolated: bool
) -> None:
    # Agents work side by side: a scanner's log opens while tests run that may write there.
    victim, artifacts = tmp_path / "victim", workspace.artifacts
    victim.write_text("as it was")
    log, other = artifacts / "tests.log", artifacts / "bandit.log"
    with isolated(wanted=is_isolated):
        exchanging = asyncio.create_task(run(workspace, log, EXCHANGES, log, other, victim))
        while not other.is_symlink():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
        beside = await run(workspace, other, "print('scanned')")
        assert (beside.exit_code, beside.output) == (0, "scanned\n")
        (artifacts / "tests.log.go").touch()
        completed = await exchanging
    assert (completed.exit_code, completed.output) == (0, "exchanged\n")
    assert victim.read_text() == "as it was"


async def test_a_directory_under_the_name_of_a_log_is_replaced(workspace: Workspace) -> None:
    log = workspace.artifacts / "tests.log"
    (log / "deep").mkdir(parents=True)
    assert (await run(workspace, log, "print('here')")).output == "here\n"
    assert log.read_text() == "here\n"


async def test_a_program_is_ended_although_who_waits_is_cancelled_twice(
    workspace: Workspace,
) -> None:
    mark, log = uuid.uuid4().hex, workspace.artifacts / "tests.log"
    stays = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n"
        f"print('started', flush=True)\nfor _ in range(60): time.sleep(1)  # {mark}"
    )
    running = asyncio.create_task(run(workspace, log, stays))
    for said in ("started\n", "started\nasked\n"):
        while not log.exists() or log.read_text() != said:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.05)
        running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not processes_with(mark)


@dataclass
class SlowlyEnding:
    """Bubblewrap, and as slow to end what is left as a busy container engine."""

    name: str = "slow"
    ending: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)
    ended: bool = False

    def launch(self, given: IsolatedProgram) -> Launch:
        launch = bubblewrap().launch(given)

        def close() -> None:
            self.ending.set()
            self.may_end.wait(60)
            launch.close()
            self.ended = True

        return replace(launch, close=close)


async def test_the_loop_goes_on_while_a_container_is_removed_and_it_is_removed(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = SlowlyEnding()
    monkeypatch.setattr(Isolation, "find", lambda **_: Isolation(way))
    log, left = workspace.artifacts / "tests.log", workspace.artifacts / "left"
    leaves = f"import os, time; os.symlink({str(tmp_path)!r}, {str(left)!r}); time.sleep(60)"
    with isolated(wanted=True):
        running = asyncio.create_task(run(workspace, log, leaves))
    while not left.is_symlink():  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.05)
    running.cancel()
    async with asyncio.timeout(60):
        # Only a loop that goes on gets here.
        while not way.ending.is_set():  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.05)
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=0.2)
    assert not done
    way.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert way.ended
    # Others go on in the same workspace.
    assert not left.is_symlink()
