"""Tests and benchmarks that became slower, by runs that the memory holds."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.planted import plain

from lionagi_qe.agents.base import Findings
from lionagi_qe.fleet.benchmark_history import BenchmarkHistory
from lionagi_qe.fleet.run_history import RunHistory
from lionagi_qe.persistence.connect import open_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Examine = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e

SPEED = ("--agents", "performance-tester")
SHOP = {
    "pyproject.toml": """
        [project]
        name = "shop"
        version = "1"

        [dependency-groups]
        test = ["pytest-benchmark"]

        [tool.pytest.ini_options]
        addopts = "--benchmark-disable --benchmark-max-time=0.05"
    """,
    "shop.py": "def price(amount):\n    return 2 * amount\n",
    "test_shop.py": """
        import time
        import shop

        def test_slow():
            time.sleep(0.2)

        def test_steady():
            time.sleep(0.02)

        def test_price(benchmark):
            assert benchmark(shop.price, 1) == 2

        def test_sum(benchmark):
            assert benchmark(sum, [1, 2]) == 3
    """,
}
RECENT, EARLIER = 2, 8


async def remember(url: str) -> None:
    """Fill a memory with runs in the last of which one test and one benchmark are slow already."""
    async with open_memory(url) as memory:
        runs, benchmarks = RunHistory(memory, "shop"), BenchmarkHistory(memory, "shop")
        for number in range(EARLIER + RECENT):
            run, late = f"20260101T0000{number:02}", number >= EARLIER
            seconds = {"slow": 0.2 if late else 0.02 + number / 1e4, "steady": 0.02}
            tests = [
                {"id": f"test_shop.py::test_{name}", "outcome": "passed", "seconds": each}
                for name, each in seconds.items()
            ]
            await runs.add_outcomes(run, tests, await runs.entries())
            told = [
                {"id": "test_shop.py::test_price", "seconds": 1.0 if late else 1e-9},
                {"id": "test_shop.py::test_sum", "seconds": 1.0},
            ]
            details: dict[str, Any] = {"benchmarks": told}
            await benchmarks.add(run, {"performance-tester": Findings("", (), details)})


def test_what_the_last_runs_slowed_is_named_with_its_interval(
    examine: Examine, project: Write, tmp_path: Path
) -> None:
    root, url = project(SHOP), f"sqlite:///{tmp_path / 'memory.db'}"
    asyncio.run(remember(url))

    answer = examine(root, *SPEED, "--memory", url)

    assert answer.value("tests_slower") == 1
    assert answer.value("tests_compared") == 2
    assert answer.value("benchmarks_slower") == 1
    assert answer.value("benchmarks_compared") == 2
    slow, price = sorted(answer.document["findings"], key=lambda each: each["tool"])
    assert slow["rule"] == "slower-test"
    assert re.search(r"test_slow takes .* \(95 % interval \d", slow["message"])
    assert (price["rule"], price["file"]) == ("slower-benchmark", "test_shop.py")
    assert "test_price takes" in price["message"]
    # As many as pytest-benchmark has itself, of the same names.
    copy = tmp_path / "by-hand"
    shutil.copytree(root, copy)
    words = ("-o", "addopts=--benchmark-max-time=0.05", "--benchmark-only")
    words += ("--benchmark-json", str(tmp_path / "own.json"))
    plain("pytest", *words, cwd=copy, env={"PYTHONPATH": str(copy)})
    own = json.loads((tmp_path / "own.json").read_text())["benchmarks"]
    assert answer.value("benchmarks") == len(own) == 2


def test_without_earlier_runs_and_without_benchmarks_there_are_reasons(
    examine: Examine, project: Write
) -> None:
    files = {"shop.py": SHOP["shop.py"], "test_shop.py": "def test_it():\n    pass\n"}

    answer = examine(project(files), *SPEED)

    assert "too few earlier runs" in answer.reason("tests_slower")
    assert "pytest-benchmark is not among" in answer.reason("benchmarks_slower")
