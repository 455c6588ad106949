import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lionagi_qe import Memory, open_memory
from lionagi_qe.cli.learn import learn
from lionagi_qe.learning.errors import HistoryError
from lionagi_qe.learning.history import Outcome
from lionagi_qe.learning.ordering import TestOrdering
from lionagi_qe.learning.qtable import QTable, QUpdate
from lionagi_qe.learning.synthetic import synthetic_history


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "history.csv"
    lines = ["Id;Name;Duration;CalcPrio;LastRun;LastResults;Verdict;Cycle"]
    for cycle in synthetic_history("persistent", seed=1, cycles=20):
        for test, failed in zip(cycle.candidates, cycle.failed, strict=True):
            lines.append(f"0;{test.name};{test.duration};0;;[];{int(failed)};{cycle.number}")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/memory.db"


def _aqe_learn(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(learn, arguments, input=given)


def _fill(url: str, fill: Callable[[Memory], Awaitable[object]]) -> None:
    async def run() -> None:
        async with open_memory(url) as memory:
            await fill(memory)

    asyncio.run(run())


def test_eval_prints_mean_failing_cycles_and_each_cycle(history: Path) -> None:
    result = _aqe_learn("eval", str(history), "--budget", "0.5", "--seeds", "2", "--json")
    document = json.loads(result.output)
    assert document["failing_cycles"] == len(document["cycles"]) > 10
    mean = sum(document["cycles"].values()) / len(document["cycles"])
    assert document["mean_napfd"] == pytest.approx(mean)
    policies = document["policies"]
    assert policies["random"]["mean"] < document["mean_napfd"] < policies["optimal"]["mean"]


def test_eval_shows_all_policies_side_by_side(history: Path) -> None:
    output = _aqe_learn("eval", str(history), "--budget", "1", "--seeds", "1").output
    for name in ("learned", "recent-failure", "random", "optimal"):
        assert f"\n  {name}" in output


@pytest.mark.parametrize("budget", ["0", "1.5", "half"])
def test_eval_refuses_a_budget_that_is_no_fraction(history: Path, budget: str) -> None:
    assert _aqe_learn("eval", str(history), "--budget", budget).exit_code == 2


def test_eval_names_a_history_that_is_missing(tmp_path: Path) -> None:
    result = _aqe_learn("eval", str(tmp_path / "none.csv"))
    assert isinstance(result.exception, HistoryError)
    assert "none.csv" in str(result.exception)


def test_tables_are_shown_exported_imported_and_forgotten(tmp_path: Path, url: str) -> None:
    _fill(url, lambda memory: QTable(memory, "hunter").update_many([QUpdate("s", "go", 0.5)]))
    assert "go" in _aqe_learn("show", "--memory", url).output
    exported = _aqe_learn("export", "hunter", "--memory", url).output
    assert json.loads(exported)["hunter"]["states"] == {"s": {"go": {"q": 0.5, "visits": 1}}}
    other = f"sqlite:///{tmp_path}/other.db"
    assert "1 values stored" in _aqe_learn("import", "-", "--memory", other, given=exported).output
    assert _aqe_learn("export", "--memory", other).output == exported
    assert "1 entries deleted" in _aqe_learn("reset", "hunter", "--yes", "--memory", url).output
    assert _aqe_learn("show", "--memory", url).stdout == ""


@pytest.mark.parametrize("command", ["show", "export"])
def test_a_table_that_is_not_there_is_told_with_those_that_are(url: str, command: str) -> None:
    _fill(url, lambda memory: QTable(memory, "hunter").update("s", "go", 0.5))
    result = _aqe_learn(command, "huntre", "--memory", url)
    assert result.exit_code == 2
    assert "'huntre'; there are: hunter" in result.output


def test_reset_asks_first(url: str) -> None:
    _fill(url, lambda memory: QTable(memory, "hunter").update("s", "go", 0.5))
    assert _aqe_learn("reset", "hunter", "--memory", url, given="n\n").exit_code == 1
    assert "go" in _aqe_learn("show", "--memory", url).output


@pytest.mark.parametrize("wrong", ["no json", "[1]"])
def test_import_refuses_what_is_no_export(url: str, wrong: str) -> None:
    assert _aqe_learn("import", "-", "--memory", url, given=wrong).exit_code == 2


def test_report_tells_a_project_side_by_side(url: str) -> None:
    async def run_cycles(memory: Memory) -> None:
        ordering = TestOrdering(memory, "shop")
        for cycle in synthetic_history("persistent", seed=1, cycles=12):
            decided = await ordering.decide(cycle.candidates)
            await ordering.settle(
                decided,
                [
                    Outcome(test.name, failed)
                    for test, failed in zip(cycle.candidates, cycle.failed, strict=True)
                ],
            )

    _fill(url, lambda memory: memory.store("aqe/a", 1))
    assert "nothing was decided yet" in _aqe_learn("report", "--memory", url).output
    _fill(url, run_cycles)
    output = _aqe_learn("report", "--memory", url).output
    assert output.startswith("shop: 12 decisions")
    for name in ("learned", "heuristic", "random", "optimal"):
        assert f"\n  {name}" in output
    assert "learned against heuristic: " in output
    document = json.loads(_aqe_learn("report", "shop", "--memory", url, "--json").output)["shop"]
    assert document["decisions"] == 12
    assert document["acting"] == "learned"
