"""The hunter names flaky tests with their causes, and no other."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.e2e import flaky_project
from tests.e2e.conftest import checksum

from lionagi_qe import open_memory
from lionagi_qe.agents.proportion import wilson

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Aqe = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = pytest.mark.e2e


# Seconds of a hunt, and of another where the machine was too busy for all that a hunt tries.
BUDGETS = (30, 60, 120)


@pytest.mark.slow
async def test_six_flaky_tests_of_forty_are_told_from_the_stable_ones(
    aqe: Aqe, project: Write, tmp_path: Path
) -> None:
    root = project(flaky_project.files())
    before = checksum(root)
    quarantine = tmp_path / "flaky.txt"

    for seconds in BUDGETS:
        url = f"sqlite:///{tmp_path / f'{seconds}.db'}"
        kept_in = ("--memory", url, "--quarantine", quarantine)
        answer = aqe("flaky", root, *kept_in, "--json", "--budget", f"{seconds}s")
        assert checksum(root) == before
        found = {test["id"]: test for test in answer.document["flaky"]}
        if found.keys() >= flaky_project.CERTAIN:
            break

    # What fails one time in twenty may not fail here; what a condition brings about must.
    assert flaky_project.CERTAIN <= found.keys() <= flaky_project.FLAKY
    assert found[flaky_project.ORDER]["cause"] == "order"
    assert found[flaky_project.TIME]["cause"] == "time"
    assert found[flaky_project.LEAK]["cause"] == "leak"
    for test in set(flaky_project.RANDOM.values()) & found.keys():
        assert found[test]["cause"] == "randomness"
    for test in found.values():
        assert 0 <= test["low"] <= test["rate"] <= test["high"] <= 1
        assert 0 < test["failures"] <= test["runs"]
        assert 0 < test["draws"] <= test["runs"]
    for test in found.values():
        again = aqe("repeat", root, test["id"], *test["repeat"], "--quiet")
        # Which outcome is the unusual one may hang on when this runs.
        assert again.exit_code == (test["repeat_shows"] == "fail"), (test, again.out)
        assert test["id"] in again.out.splitlines()[-1]
    assert checksum(root) == before
    assert answer.value("flaky_tests") == len(found)
    assert answer.value("flaky_rate_limit") < 100
    assert answer.exit_code == 1
    listed = {line.split("  # ")[0] for line in quarantine.read_text().splitlines()[1:]}
    assert listed == found.keys()
    async with open_memory(url) as memory:
        kept = [entry.value async for entry in memory.scan("aqe/flaky/shop/")]
    assert {entry["id"] for entry in kept} == found.keys()


def test_a_test_is_repeated_as_asked_and_what_can_not_be_asked_is_told(
    aqe: Aqe, project: Write
) -> None:
    root = project({"test_a.py": "import random\n\ndef test_a(): assert random.random() < 0.5\n"})
    answer = aqe("repeat", root, "test_a.py::test_a", "--seed", "1", "--times", "8", "--json")

    outcomes = [
        "passed" if random.Random(seed).random() < 0.5 else "failed" for seed in range(1, 9)
    ]
    assert set(outcomes) == {"passed", "failed"}
    assert answer.value("repeated_runs") == len(outcomes)
    assert answer.value("repeated_failures") == outcomes.count("failed")
    assert answer.exit_code == 1
    assert aqe("repeat", root, "test_a.py::test_a", "--seed", "1").exit_code == 0
    missing = aqe("repeat", root, "test_a.py::test_b")
    assert (missing.exit_code, missing.out) == (
        4,
        "not repeated: there is no test test_a.py::test_b; name it as the report does\n",
    )
    for options in (("--seed", "1", "--again"), ("--order", "up"), ("--at", "noon")):
        refused = aqe("repeat", root, "test_a.py::test_a", *options)
        assert refused.exit_code == 2
        assert options[0] in refused.err


def test_a_test_that_spoils_itself_is_told_apart(aqe: Aqe, project: Write) -> None:
    tests = """
        import pytest
        import shop

        def test_opens_once():
            shop.open_doors()

        def test_stable():
            pass

        @pytest.mark.skip
        def test_never_runs():
            pass
    """
    shop = """
        OPEN = []

        def open_doors():
            assert not OPEN
            OPEN.append(True)
    """
    root = project({"shop.py": shop, "test_shop.py": tests})
    for seconds in BUDGETS:
        answer = aqe("flaky", root, "--budget", f"{seconds // 2}s", "--json")
        if answer.document["not_idempotent"]:
            break

    assert answer.document["not_idempotent"] == ["test_shop.py::test_opens_once"]
    assert answer.document["flaky"] == []
    assert answer.value("flaky_rate_limit") < 100, "a test that never ran says nothing"
    assert answer.exit_code == 0


def test_who_runs_when_the_time_is_up_is_not_called_flaky(
    aqe: Aqe, project: Write, tmp_path: Path
) -> None:
    tests = f"""
        import time

        def test_becomes_slow():
            with open({str(tmp_path / "runs")!r}, "a+") as runs:
                runs.write("x")
                runs.seek(0)
                count = len(runs.read())
            # The test run and the first sessions are quick.
            time.sleep(600 if count > 4 else 0)
    """
    answer = aqe("flaky", project({"test_slow.py": tests}), "--budget", "15s", "--json")

    assert answer.document["flaky"] == []
    assert answer.value("flaky_sessions") > 2
    assert len((tmp_path / "runs").read_text()) == 5


def test_a_project_whose_tests_can_not_run_is_not_measured(aqe: Aqe, project: Write) -> None:
    root = project({"test_a.py": "import frobnicate\ndef test_a(): pass\n"})
    answer = aqe("flaky", root, "--budget", "60s", "--json")

    assert "frobnicate" in answer.reason("flaky_tests")
    assert answer.exit_code == 4


def test_failures_in_quarantine_do_not_fail_the_gate(
    examine: Callable[..., Answer], project: Write
) -> None:
    files = {
        "test_a.py": "def test_a(): assert False\ndef test_b(): pass\n",
        "pyproject.toml": '[tool.aqe]\nquarantine = "flaky.txt"\n',
        "flaky.txt": "test_a.py::test_a  # order: fails with reversed order\n",
    }
    answer = examine(project(files))

    assert answer.exit_code == 0
    assert "failing in quarantine: test_a.py::test_a" in answer.document["gate"][0]["detail"]
    (project(files) / "flaky.txt").write_text("# none\n")
    assert examine(project({})).exit_code == 1


@pytest.mark.parametrize(
    ("count", "trials", "low", "high"),
    [(0, 0, 0, 1), (0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (5, 10, 0.2366, 0.7634)],
)
def test_intervals_are_those_of_wilson(count: int, trials: int, low: float, high: float) -> None:
    assert wilson(count, trials) == pytest.approx((low, high), abs=5e-5)
