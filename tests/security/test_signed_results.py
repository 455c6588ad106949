"""Whoever can write to the memory, and has no key, forges no figure of a run that has keys."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.backends import on, url_of

from lionagi_qe import open_memory
from lionagi_qe.agents.base import Agent, Examination, Findings
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.project.settings import Settings
from lionagi_qe.agents.project.workspace import Workspace
from lionagi_qe.errors import UntrustedResultError
from lionagi_qe.fleet import channels, serialization
from lionagi_qe.fleet.checkpoint import Checkpoint
from lionagi_qe.fleet.commander import Carried
from lionagi_qe.fleet.executors.queue import QueueExecutor
from lionagi_qe.fleet.request import request_for
from lionagi_qe.fleet.result_signatures import ResultSignatures
from lionagi_qe.fleet.run_traces import RunTraces
from lionagi_qe.fleet.signatures import VARIABLE, SigningKeys
from lionagi_qe.fleet.start import start
from lionagi_qe.fleet.task_distribution import Dispatcher

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from lionagi_qe.agents.environment.target import Environment
    from lionagi_qe.persistence import Memory

KEY, OTHER = "k" * 32, "x" * 32
FILES = "f" * 64
PLACE = ("shop", "run-1", "test-executor")
VALUE: Mapping[str, Any] = {"seconds": 1.5, "spent": 2.0, "packed": "e30="}


def keys(word: str) -> SigningKeys:
    found = SigningKeys.from_env({VARIABLE: word})
    assert found is not None
    return found


def by(word: str = KEY, fleet: str = "team", files: str = FILES) -> ResultSignatures:
    return ResultSignatures(keys(word), fleet, files)


class Counting(Agent):
    """Stands in for the one of its name, and counts how often it examines in this process."""

    name = "test-executor"
    metrics = {"tests_failed": "tests"}  # noqa: RUF012 - as of all agents

    def __init__(self) -> None:
        self.examined = 0

    async def examine(self, examination: Examination) -> Findings:
        self.examined += 1
        return failing(3)


@cache
def failing(tests: int) -> Findings:
    source = Source("pytest", "8", None, None)
    return Findings("test-executor", (source.measured("tests_failed", tests, "tests"),))


@pytest.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request)


@pytest.fixture(autouse=True)
def _with_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, KEY)


def test_a_result_is_believed_in_its_own_place_alone() -> None:
    signed = by().signed(PLACE, VALUE)
    assert by(f"{OTHER},{KEY}").trusted(PLACE, signed) == {**VALUE, "files": FILES}
    for elsewhere in (
        ("shop", "run-1", "mutation-tester"),
        ("shop", "run-1", "test-executor.1of2"),
        ("shop", "run-2", "test-executor"),
        ("other", "run-1", "test-executor"),
        ("shop", "run-1", "/record"),
    ):
        with pytest.raises(UntrustedResultError, match="another task's or run's"):
            by().trusted(elsewhere, signed)
    for signatures in (by(OTHER), by(fleet="other")):
        with pytest.raises(UntrustedResultError, match="signed by no key"):
            signatures.trusted(PLACE, signed)
    with pytest.raises(UntrustedResultError, match="about other files"):
        by(files="0" * 64).trusted(PLACE, signed)


@pytest.mark.parametrize("part", [*VALUE, "files", "signature"])
def test_a_change_of_any_part_of_a_result_is_refused(part: str) -> None:
    signed = by().signed(PLACE, VALUE)
    for value in ({**signed, part: "0"}, {**signed, "more": 1}, [], None, "text"):
        with pytest.raises(UntrustedResultError):
            by().trusted(PLACE, value)


def test_what_is_no_result_at_all_is_refused_without_keys_as_well() -> None:
    for value in (10**9, "text", [], None):
        with pytest.raises(UntrustedResultError, match="nothing that a run keeps"):
            ResultSignatures(None, "team", FILES).trusted(PLACE, value)


@asynccontextmanager
async def commander(
    memory: Memory, run: str, folder: Path, *, checks: bool = True
) -> AsyncGenerator[tuple[Dispatcher, QueueExecutor, Examination]]:
    """A run that hands its work to workers, as ``aqe run`` does."""
    (folder / "test_it.py").write_text("def test_it(): assert False\n")
    signatures = ResultSignatures(SigningKeys.from_env(), memory.fleet, FILES, checks=checks)
    checkpoint = Checkpoint(memory, "shop", run, signatures)
    executor = QueueExecutor(memory, checkpoint, asked=True)
    dispatcher = Dispatcher(executor, checkpoint, 0.0, RunTraces(None))
    environment = cast("Environment", None)
    with Workspace.copy_of(folder) as workspace:
        try:
            yield (
                dispatcher,
                executor,
                Examination(workspace, environment, Settings(), {}, lambda _: None),
            )
        finally:
            await dispatcher.close()
            await executor.close()


def place(run: str, task: str = "test-executor") -> str:
    return f"aqe/work/shop/{run}/results/{task}"


async def forge(memory: Memory, run: str, value: Mapping[str, Any]) -> None:
    """Do as a worker does, without its key, by the memory alone."""
    queue = channels.queue_of(memory)
    (job,) = await queue.claim(1, lease_ttl=30, wait=30)
    await memory.store(place(run), dict(value))
    await job.ack({"worker": "mallory"})


async def forgeries(memory: Memory) -> list[Mapping[str, Any]]:
    """No signature, another key's, another task's, another run's, and a worker's without keys."""
    good = {"seconds": 0.1, "spent": 0.1, "packed": serialization.packed(failing(0))}
    own = ResultSignatures(keys(KEY), memory.fleet, FILES)
    stolen = ResultSignatures(keys(OTHER), memory.fleet, FILES)
    return [
        good,
        stolen.signed(("shop", "now", "test-executor"), good),
        own.signed(("shop", "now", "flaky-test-hunter"), good),
        own.signed(("shop", "before", "test-executor"), good),
        ResultSignatures(None, memory.fleet, FILES).signed(("shop", "now", "test-executor"), good),
    ]


async def test_a_forged_swapped_or_replayed_result_decides_nothing(
    url: str, tmp_path: Path
) -> None:
    async with open_memory(url, fleet=f"forged-{uuid.uuid4().hex[:12]}") as memory:
        for value in await forgeries(memory):
            agent = Counting()
            async with (
                channels.presence_of(memory, "mallory"),
                commander(memory, "now", tmp_path) as (dispatcher, executor, examination),
            ):
                found, _ = await asyncio.gather(
                    dispatcher(agent, examination), forge(memory, "now", value)
                )
                assert found.findings == failing(3)
                assert agent.examined == 1
                assert "refused, so it was done here" in "".join(dispatcher.notes)
                assert VARIABLE in "".join(dispatcher.notes)
                assert executor.notes == []
            # What was done here took its place, and a resumed run takes that.
            async with commander(memory, "now", tmp_path) as (dispatcher, _, examination):
                await dispatcher(agent, examination)
                assert (agent.examined, dispatcher.notes) == (1, [])
            await memory.delete(place("now"))


@pytest.mark.parametrize("url", on("sqlite"), indirect=True)
async def test_who_allows_unsigned_results_or_has_no_key_believes_the_memory(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_memory(url, fleet=f"allowed-{uuid.uuid4().hex[:12]}") as memory:
        value, *_ = await forgeries(memory)
        for checks in (False, True):
            async with (
                channels.presence_of(memory, "worker"),
                commander(memory, "now", tmp_path, checks=checks) as (ask, _, examination),
            ):
                agent = Counting()
                found, _ = await asyncio.gather(
                    ask(agent, examination), forge(memory, "now", value)
                )
                assert (found.findings, agent.examined) == (failing(0), 0)
            await memory.delete(place("now"))
            monkeypatch.delenv(VARIABLE, raising=False)


async def test_a_forged_run_is_not_resumed_nor_its_results_taken(url: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.aqe]\nproject = "shop"\n')
    async with open_memory(url, fleet=f"resumed-{uuid.uuid4().hex[:12]}") as memory:
        request = request_for(tmp_path, agents=["test-executor"], memory=memory)
        with Workspace.copy_of(tmp_path) as workspace:
            began = await start(memory, request, workspace, 0.0)
            await began.note(memory)
            checkpoint = began.checkpoint(memory)
            await checkpoint.keep("test-executor", Carried(failing(3), 1.0), 7.0)
            await memory.store(place(began.run, "late"), {"spent": 1e6, "packed": ""})

            again = request_for(tmp_path, agents=[], memory=memory, resume=True)
            resumed = await start(memory, again, workspace, 0.0)
            assert resumed.run == began.run
            assert await resumed.checkpoint(memory).spent() == 7.0
            kept = await resumed.checkpoint(memory).kept("test-executor")
            assert kept == Carried(failing(3), 1.0)
            with pytest.raises(UntrustedResultError, match="result of late"):
                await resumed.checkpoint(memory).kept("late")

            # So many parts would fill the memory of whoever divides by them.
            await memory.store(f"aqe/work/shop/{began.run}/parts/flaky-test-hunter", 10**9)
            assert await checkpoint.parts("flaky-test-hunter") is None
            assert await checkpoint.divide("flaky-test-hunter", 2) == 2
            assert await checkpoint.divide("mutation-tester", 3) == 3
            assert await checkpoint.divide("mutation-tester", 5) == 3

            # A gate that lets everything pass.
            key = f"aqe/work/shop/{began.run}/record"
            record = await memory.retrieve(key)
            forged = {**record, "settings": {**record["settings"], "fail_on": []}, "agents": []}
            await memory.store(key, forged)
            with pytest.raises(UntrustedResultError, match=r"--resume: what the run .* asks for"):
                await start(memory, again, workspace, 0.0)
            allowed = request_for(
                tmp_path, agents=[], memory=memory, resume=True, allow_unsigned=True
            )
            assert (await start(memory, allowed, workspace, 0.0)).run == began.run
