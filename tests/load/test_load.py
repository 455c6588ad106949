"""A second of load makes the pages that ``make load`` and ``make soak`` make."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.load import __main__ as load
from tests.load import backlog
from tests.load.backlog import Backlog
from tests.load.outcome import Outcome
from tests.load.page import Page
from tests.load.verdicts import Verdict

ROOT = Path(__file__).parents[2]


async def test_a_short_soak_of_all_kinds_of_calls_writes_its_page(tmp_path: Path) -> None:
    given = load.arguments(
        ["--minutes", "0.025", "--agents", "6", "--processes", "1", "--rate", "60"]
    )
    outcome = await load.load(load.plan_of("soak", "sqlite", given))
    assert outcome.complaints == []
    assert outcome.errors == {}
    assert {"store", "heartbeat", "job", "watch"} <= set(outcome.calls)
    page = Page("soak", tmp_path)
    page.add(outcome)
    text = (tmp_path / "soak.md").read_text()
    assert "make soak MINUTES=0.025 BACKEND=sqlite AGENTS=6 PROCESSES=1 RATE=60" in text
    assert "| level of size |" in text
    assert "soak/sqlite-soak-held.png" in text
    assert (tmp_path / "soak.html").read_text().count("data:image/png;base64,") == 2


async def test_a_short_backlog_is_filled_and_emptied_and_all_of_it_has_its_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backlog, "_ALONE", 5)
    monkeypatch.setattr(backlog, "_FEW", 100)
    found = await load.fill_and_empty("sqlite", 1000)
    assert [each["waiting"] for each in found.windows["put"]] == [100, 600]
    assert [each["waiting"] for each in found.windows["claim"]] == [1100, 600]
    assert all(each["client"] > 0 for windows in found.windows.values() for each in windows)
    assert len(found.verdicts) == 4


def test_a_run_that_failed_ends_with_1_and_is_red_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def filled(ratio: float) -> Backlog:
        window = {"waiting": 500, "server": 1.0, "client": 2.0, "clock": 5.0}
        return Backlog(
            "redis", 1000, "Redis 8", {"date": "2026-11-29T12:00:00", "load_average": [0.5]}
            | dict.fromkeys(("processor", "cores", "memory_gib", "python"), 2),
            {"put": [window], "claim": [window]},
            {"put": {"few": 2, "all": 3}, "claim": {"few": 2, "all": 3}},
            [Verdict("putting", ratio, 1.3, "times")],
        )  # fmt: skip

    found = [filled(1.1)]

    async def measure(*_: object) -> Backlog:
        return found[0]

    monkeypatch.setattr(load, "fill_and_empty", measure)
    words = ["--scenario", "backlog", "--backend", "redis", "--out", str(tmp_path)]
    assert load.main(words) == 0
    assert "| backlog | redis | 2026-11-29 | 1,000 jobs | all holds |" in page_of(tmp_path)
    found[0] = filled(1.4)
    assert load.main(words) == 1
    assert "| putting | 1.4 times | 1.3 times | **no** |" in page_of(tmp_path)


def page_of(folder: Path) -> str:
    return (folder / "load.md").read_text()


@pytest.mark.parametrize("name", ["load", "soak"])
def test_the_pages_of_the_documents_are_those_of_their_figures(name: str) -> None:
    page = Page(name, ROOT / "docs")
    assert (page.folder / f"{name}.md").read_text() == page.text()


def test_what_never_ended_stays_so_in_the_figures(tmp_path: Path) -> None:
    verdict = Verdict("p99", math.inf, 3.0, "ms")
    plan = {"scenario": "stress", "backend": "redis", "phases": [], "agents": 1, "processes": 1}
    kept = Outcome(plan, "Redis 8", {}, {}, {}, {}, [], [verdict], [])
    kept.write(tmp_path / "a.json")
    assert "Infinity" not in (tmp_path / "a.json").read_text()
    assert Outcome.read(tmp_path / "a.json").verdicts == [verdict]
    assert kept.failed
