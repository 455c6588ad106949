"""How much sooner three workers end a mutation run than one does; what they find is the same."""

from __future__ import annotations

import json
import os
import resource
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.processes import starting

from lionagi_qe import open_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.processes import Process

    Start = Callable[..., Process]

# Each function has about ten mutants, and its test takes about a fifth of a second.
FUNCTIONS = 4
FUNCTIONS_FULL = 12
FUNCTION = """
def mix_{number}(values):
    total = {number}
    for value in values:
        if value % 3 == 1:
            total = total + value * 2
        elif value > 10 and total < 1000000:
            total = total - 7
        total ^= value
    return total
"""
TEST = """
def test_mix_{number}():
    expected = {number}
    for value in range(500000):
        if value % 3 == 1:
            expected = expected + value * 2
        elif value > 10 and expected < 1000000:
            expected = expected - 7
        expected ^= value
    assert work.mix_{number}(range(500000)) == expected
"""


@pytest.fixture(params=["postgres_url", "redis_url"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    own = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_STATE_HOME": str(tmp_path / "state")}
    own["LIONAGI_QE_SIGNING_KEYS"] = "of the benchmark: thirty-two characters"
    with starting(os.environ | own, tmp_path) as call:
        yield call


def write_project(root: Path, functions: int) -> str:
    name = f"work-{uuid.uuid4().hex[:12]}"
    root.mkdir()
    (root / "work.py").write_text("".join(FUNCTION.format(number=at) for at in range(functions)))
    tests = "".join(TEST.format(number=at) for at in range(functions))
    (root / "test_work.py").write_text(f"import work\n{tests}")
    (root / "pyproject.toml").write_text(f'[tool.aqe]\nproject = "{name}"\n')
    return name


async def test_three_workers_end_a_mutation_run_sooner_than_one(
    start: Start, url: str, tmp_path: Path, *, full: bool
) -> None:
    name = write_project(tmp_path / "work", FUNCTIONS_FULL if full else FUNCTIONS)
    command = ("mutate", tmp_path / "work", "--memory", url, "--budget", "20m", "--json")
    # The environment is built before anything is timed.
    assert start("run", tmp_path / "work", "--memory", url, "-q").ends() == 0
    runs: dict[int, tuple[float, float, dict[str, Any]]] = {}
    # Of the processors, which tells on a busy machine too what is done more than once.
    used: dict[int, float] = {}
    for count in (1, 3):
        before = busy()
        workers = [start("worker", url) for _ in range(count)]
        for worker in workers:
            worker.until("waiting for tasks")
        began = time.monotonic()
        run = start(*command)
        assert run.process.wait(1200) == 0, run.said
        seconds = time.monotonic() - began
        async with open_memory(url) as memory:
            taken = await memory.retrieve(f"aqe/agents/{name}/mutation-tester")
        runs[count] = (seconds, taken["seconds"][-1], json.loads(run.out))
        for worker in workers:
            worker.process.terminate()
            assert worker.ends() == 0
        used[count] = busy() - before

    (whole_1, mutating_1, alone), (whole_3, mutating_3, together) = runs[1], runs[3]
    found = outcomes(together)
    backend = url.partition(":")[0]
    print(
        f"\n{found['mutants_tried']} mutants on {backend}, {os.cpu_count()} processors, load "
        f"{os.getloadavg()[0]:.1f}: 1 worker {mutating_1:.1f} s, 3 workers {mutating_3:.1f} s, "
        f"{mutating_1 / mutating_3:.2f} times as fast; whole run {whole_1:.1f} and "
        f"{whole_3:.1f} s, {whole_1 / whole_3:.2f} times; busy {used[1]:.1f} and {used[3]:.1f} s"
    )
    assert found == outcomes(alone)


def busy() -> float:
    """Seconds that ended children of this process, and theirs, have used the processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def outcomes(document: dict[str, Any]) -> dict[str, Any]:
    figures = {
        metric["name"]: metric["value"]
        for metric in document["metrics"]
        if metric["agent"] == "mutation-tester"
    }
    return figures | {"survivors": sorted(each["diff"] for each in document["survivors"])}
