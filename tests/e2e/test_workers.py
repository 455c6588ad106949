"""Workers on one memory divide a run among themselves; whoever is killed, nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.backends import on, url_of
from tests.e2e.conftest import checksum
from tests.e2e.processes import first_that_says, starting
from tests.e2e.shop_project import FILES, WAITING

from lionagi_qe import open_memory
from lionagi_qe.fleet import channels
from lionagi_qe.fleet.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.e2e.conftest import Answer
    from tests.e2e.processes import Process

    Aqe = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]
    Start = Callable[..., Process]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# So many mutants that loop for ever that there is time to interrupt.
LONG = """
    import shop

    def test_long():
        for number in range(200):
            assert shop.countdown(number) == number
"""
AGENTS = "test-executor,coverage-analyzer,mutation-tester,quality-gate"
# Notes when the tests run under coverage measurement, which is once a run.
CONFTEST = """
    def pytest_sessionstart(session):
        from coverage import Coverage

        if Coverage.current() is not None:
            with open({notes!r}, "a") as file:
                print("measured", file=file)
"""


@pytest.fixture
def start(variables: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    with starting(variables, tmp_path) as call:
        yield call


@pytest.fixture
def workers(start: Start, url: str) -> Callable[[int], list[Process]]:
    def call(count: int) -> list[Process]:
        found = [start("worker", url) for _ in range(count)]
        for each in found:
            each.until("waiting for tasks")
        return found

    return call


@pytest.fixture(params=on("sqlite", "postgresql", "redis"))
def url(request: pytest.FixtureRequest) -> str:
    """Each server's workers survive a kill; further accidents are those of queue and presence,
    which the conformance suite tries on all of them."""
    return url_of(request)


@pytest.fixture
def name() -> str:
    """A project's name that no other test has: servers are shared."""
    return f"shop-{uuid.uuid4().hex[:12]}"


def named(files: Mapping[str, str], name: str) -> dict[str, str]:
    return {**files, "pyproject.toml": f'[tool.aqe]\nproject = "{name}"\n'}


def mutants_in(document: Mapping[str, Any]) -> dict[str, Any]:
    figures = {
        metric["name"]: metric["value"]
        for metric in document["metrics"]
        if metric["agent"] == "mutation-tester"
    }
    return figures | {"survivors": sorted(each["diff"] for each in document["survivors"])}


@pytest.fixture
def alone(mutated: Answer) -> Mapping[str, Any]:
    """What one process finds, whatever the memory."""
    return mutated.document


def test_workers_find_what_one_process_finds_though_one_is_killed(
    *,
    alone: Mapping[str, Any],
    start: Start,
    workers: Callable[[int], list[Process]],
    url: str,
    project: Write,
    name: str,
) -> None:
    root = project(named(FILES, name))
    before = checksum(root)
    found = workers(3)
    run = start("mutate", root, "--memory", url, "--json")

    # Who is quick may have taken two parts before another looks.
    victim = first_that_says(found, r"mutation-tester\.\dof3 begins(.|\n)*trying mutants")
    victim.kill()

    assert run.ends() == 0, run.said
    assert mutants_in(json.loads(run.out)) == mutants_in(alone)
    assert checksum(root) == before
    redone = [each for each in found if each is not victim and "(attempt 2)" in each.said]
    assert redone, "nobody took over what the killed worker had"


@pytest.mark.parametrize("url", on("postgresql"), indirect=True)
async def test_an_interrupt_withdraws_the_work_and_a_resumed_run_goes_on_here(
    start: Start, workers: Callable[[int], list[Process]], url: str, project: Write, name: str
) -> None:
    root = project(named(FILES | {"test_long.py": LONG}, name))
    (worker,) = workers(1)
    run = start("mutate", root, "--memory", url, "--json")
    worker.until("trying mutants")

    run.process.send_signal(signal.SIGINT)

    assert run.ends() == 130, run.said
    assert run.said.splitlines()[-1] == "aqe: interrupted"
    worker.until("mutation-tester is not wanted any more")
    async with open_memory(url) as memory:
        counts = await channels.queue_of(memory).stats()
        assert (counts.ready, counts.delayed, counts.dead) == (0, 0, 0)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ends() == 0
    (root / "test_long.py").unlink()
    assert start("run", root, "--memory", url, "--resume").ends() == 2
    project({"test_long.py": LONG})
    resumed = start("run", root, "--memory", url, "--resume", "--json")
    resumed.until("trying mutants")
    assert "running tests" not in resumed.said


@pytest.mark.parametrize("url", on("postgresql"), indirect=True)
def test_a_worker_that_is_told_to_end_gives_its_task_back_within_the_grace_period(
    *,
    start: Start,
    workers: Callable[[int], list[Process]],
    url: str,
    project: Write,
    name: str,
    tmp_path: Path,
) -> None:
    root = project(named({"test_waiting.py": WAITING.format(folder=str(tmp_path))}, name))
    (leaving,) = workers(1)
    run = start("run", root, "--agents", "test-executor", "--memory", url)
    leaving.until("test-executor begins")
    while not (tmp_path / "begun").exists():
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"{run.process.wait(0.05)}: {run.said}")
    (staying,) = workers(1)
    below = psutil.Process(leaving.process.pid).children(recursive=True)

    # As Kubernetes asks; it kills 30 s later unless it was told otherwise.
    leaving.process.send_signal(signal.SIGTERM)

    assert leaving.process.wait(30) == 0
    assert below
    assert not psutil.wait_procs(below, timeout=30)[1]
    staying.until("test-executor begins")
    (tmp_path / "go").touch()
    assert run.ends() == 0, run.said


async def test_a_worker_that_is_stopped_before_it_begins_does_not() -> None:
    async with open_memory("memory://") as memory:
        worker = Worker(memory, "early", lambda _: None)
        worker.stop()
        async with asyncio.timeout(30):
            await worker.work()


@pytest.mark.parametrize("url", on("redis"), indirect=True)
def test_without_the_last_worker_the_run_goes_on_here(
    start: Start, workers: Callable[[int], list[Process]], url: str, project: Write, name: str
) -> None:
    root = project(named(FILES, name))
    (worker,) = workers(1)
    run = start("mutate", root, "--memory", url, "--json")
    worker.until("trying mutants")

    worker.kill()

    assert run.ends() == 0, run.said
    assert "the last worker has left: going on here" in run.said
    assert mutants_in(json.loads(run.out))["mutants_tried"] > 5


def test_a_killed_run_is_resumed_and_no_finished_task_runs_again(
    aqe: Aqe, start: Start, project: Write, tmp_path: Path, name: str
) -> None:
    url = f"sqlite:///{tmp_path / 'channels.db'}"
    notes = tmp_path / "measured"
    root = project(named(FILES, name) | {"conftest.py": CONFTEST.format(notes=str(notes))})
    whole = aqe("run", root, "--agents", AGENTS, "--json").document
    notes.unlink()
    run = start("run", root, "--agents", AGENTS, "--memory", url, "--json")
    run.until("trying mutants")

    run.kill()
    resumed = aqe("run", root, "--memory", url, "--resume", "--json")

    assert notes.read_text() == "measured\n", "the tests were measured again"
    assert "running tests" not in resumed.err
    assert "reading coverage" not in resumed.err
    assert untimed(resumed.document) == untimed(whole)
    assert aqe("run", root, "--memory", url, "--resume").exit_code == 2


def test_a_run_that_somebody_is_at_work_on_is_not_resumed(
    aqe: Aqe, start: Start, project: Write, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'channels.db'}"
    root = project({"test_long.py": "import time\n\ndef test_long(): time.sleep(600)\n"})
    run = start("run", root, "--memory", url)
    run.until("running tests")

    answer = aqe("run", root, "--memory", url, "--resume")

    assert answer.exit_code == 2
    assert "is at work on the run" in answer.err
    assert "--budget can't go with --resume" in aqe("run", root, "--resume", "--budget", "9s").err
    assert "--model can't go with --resume" in aqe("run", root, "--resume", "--model", "a/b").err


def untimed(document: Mapping[str, Any]) -> Any:
    """Leave out what differs between any two runs: when, how long, which id, memory and cache."""
    if isinstance(document, list):
        return [untimed(each) for each in document]
    if not isinstance(document, dict):
        return document
    if document.get("name") == "test_seconds":
        return None
    return {
        key: untimed(value)
        for key, value in document.items()
        if key not in {"at", "seconds", "run", "memory", "origin"}
    }


@pytest.mark.redis
def test_workers_on_a_redis_cluster_find_what_one_process_finds(
    alone: Mapping[str, Any], start: Start, redis_cluster_url: str, project: Write, name: str
) -> None:
    root = project(named(FILES, name))
    found = [start("worker", redis_cluster_url) for _ in range(2)]
    for each in found:
        each.until("waiting for tasks")

    run = start("mutate", root, "--memory", redis_cluster_url, "--json")

    assert run.ends() == 0, run.said
    assert mutants_in(json.loads(run.out)) == mutants_in(alone)
    for part in ("1of2", "2of2"):
        assert any(f"mutation-tester.{part} ended" in each.said for each in found)


async def test_what_workers_fail_at_three_times_is_not_measured_and_the_run_goes_on(
    start: Start, project: Write, tmp_path: Path, name: str
) -> None:
    root, url = project(named(FILES, name)), f"sqlite:///{tmp_path / 'channels.db'}"
    async with open_memory(url) as memory:
        # One that is there and takes nothing, so that the run waits for it.
        async with channels.presence_of(memory, "idle"):
            agents = "test-executor,quality-gate"
            run = start("run", root, "--agents", agents, "--memory", url, "--json")
            await asyncio.to_thread(run.until, "waiting for a worker")
            queue = channels.queue_of(memory)
            while not (await queue.stats()).ready:
                assert run.process.poll() is None, run.said
            blobs = await memory.list_keys("aqe/blobs/")
            assert await memory.delete_many(blobs)
            worker = start("worker", url)
            await asyncio.to_thread(worker.until, r"attempt 3\)")
            assert await asyncio.to_thread(run.ends) == 4, run.said
        assert (await queue.stats()).dead == 1

    figures = {metric["name"]: metric for metric in json.loads(run.out)["metrics"]}
    assert "workers gave up" in figures["tests_passed"]["reason"]
    assert "is not in the memory" in figures["tests_passed"]["reason"]
    assert not figures["gate"]["measured"]
    assert worker.process.poll() is None, "the worker did not outlive the task"
