"""No figure without its source: in the memory, in the document, in any report."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe import open_memory
from lionagi_qe.fleet.registry import all_agents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.e2e.conftest import Answer

    Aqe = Callable[..., Answer]
    Write = Callable[[dict[str, str]], Path]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FIELDS = {
    *("name", "value", "unit", "measured", "reason"),
    *("tool", "version", "command", "commit", "at"),
}
SHOP = {
    "shop.py": "def price(amount: int) -> int:\n    return amount + 1\n",
    "test_shop.py": "import shop\n\ndef test_price():\n    assert shop.price(1) == 2\n",
}


def unsourced(metric: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a figure."""
    wrong = [f"has no {field}" for field in sorted(FIELDS - metric.keys())]
    if wrong:
        return wrong
    if not (metric["tool"] and metric["unit"] and metric["at"]):
        wrong.append("names no tool, unit or time")
    if metric["measured"]:
        wrong += [f"names no {field}" for field in ("version", "command") if not metric[field]]
        wrong += ["has no value"] if metric["value"] is None else []
        wrong += ["has a reason though measured"] if metric["reason"] is not None else []
    else:
        wrong += ["has a value though not measured"] if metric["value"] is not None else []
        wrong += ["has no reason"] if not metric["reason"] else []
    return wrong


async def test_every_figure_of_every_agent_names_its_source(
    aqe: Aqe, project: Write, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'channels.db'}"
    reports = f"json={tmp_path / 'r.json'},md={tmp_path / 'r.md'}"
    # One run in which tools measure, and one in which nothing can be.
    good = aqe("run", project(SHOP), "--memory", url, "--budget", "30s", "--report", reports)
    document = json.loads((tmp_path / "r.json").read_text())
    project({"test_shop.py": "import frobnicate\n"})
    every = ("--agents", "all", "--budget", "10s")
    bad = aqe("run", tmp_path / "shop", "--memory", url, *every, "--json")

    assert good.exit_code == 0, good.err
    stated = [
        {(metric["agent"], metric["name"]) for metric in each["metrics"]}
        for each in (document, bad.document)
    ]
    assert stated[1] == {(agent.name, name) for agent in all_agents() for name in agent.metrics}
    assert stated[0] < stated[1]
    assert not {
        metric["name"]: unsourced(metric) for metric in document["metrics"] if unsourced(metric)
    }
    async with open_memory(url) as memory:
        kept = [entry async for entry in memory.scan("aqe/runs/shop/")]
    figures = [entry for entry in kept if not entry.key.endswith("/latest")]
    assert len(figures) == len(stated[0]) + len(stated[1])
    assert not {entry.key: unsourced(entry.value) for entry in figures if unsourced(entry.value)}
    markdown = (tmp_path / "r.md").read_text()
    for metric in document["metrics"]:
        # Of several tools each has its version beside it.
        parts = [metric["reason"]]
        if metric["measured"]:
            tools = zip(*(metric[part].split(" + ") for part in ("tool", "version")), strict=True)
            parts = [*map(" ".join, tools)]
        name = re.escape(escaped(metric["name"]))
        row = re.compile(rf"^(\| |- (0|not measured): (.*, )?){name}( \||,| \(|: )")
        told = [line for line in markdown.splitlines() if row.match(line)]
        assert len(told) == 1, (metric["name"], told)
        assert all(escaped(part)[:40] in told[0] for part in parts), metric["name"]
    assert markdown.count("not measured: ") == len(
        {metric["reason"] for metric in document["metrics"] if not metric["measured"]}
    ), "each reason is told once"


@pytest.mark.parametrize("field", ["tool", "version", "command", "at", "value"])
def test_a_figure_without_its_source_is_noticed(field: str) -> None:
    metric = dict.fromkeys(FIELDS, "x") | {"measured": True, "reason": None, "commit": None}
    assert unsourced(metric) == []

    assert unsourced(metric | {field: None})


def test_a_budget_that_is_too_short_is_a_reason(aqe: Aqe, project: Write) -> None:
    answer = aqe("run", project(SHOP), "--budget", "0.01s", "--json")

    assert "the budget of 0.01 s was used up before" in answer.reason("tests_passed")
    assert answer.exit_code == 4


def test_the_last_run_is_judged_also_where_it_measured_nothing(aqe: Aqe, project: Write) -> None:
    root = project(SHOP)
    assert aqe("run", root).exit_code == 0
    assert aqe("run", root, "--budget", "0.01s").exit_code == 4
    assert aqe("gate", root).exit_code == 4


def test_past_runs_are_judged_and_shown(aqe: Aqe, examine: Aqe, project: Write) -> None:
    root = project(SHOP)
    examine(root)
    project({"shop.py": SHOP["shop.py"] + "\ndef unused():\n    return 2\n"})
    examine(root)

    assert aqe("gate", root).exit_code == 0
    failed = aqe("gate", root, "--min-coverage", 90, "--json")
    assert failed.exit_code == 1
    assert json.loads(failed.out)["gate"]["value"] == "failed"
    shown = aqe("history", root, "line_coverage")
    assert shown.out.splitlines()[0].startswith("line_coverage  █▁  100 -> 75 %  [coverage.py ")
    whole = aqe("history", root).out.splitlines()
    assert whole[0] == "changed by the last run:"
    as_before = whole.index("as before:")
    assert any(line.startswith("line_coverage ") for line in whole[1:as_before])
    assert any(line.startswith("tests_passed ") for line in whole[as_before:])
    assert any(line.startswith("0 in all runs: ") and "tests_failed" in line for line in whole)
    gates = aqe("history", root, "gate").out.splitlines()
    assert gates[0].startswith("gate  ▄▄  passed  [aqe ")
    png = root.parent / "history.png"
    assert aqe("history", root, "--png", png).exit_code == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    document = json.loads(aqe("history", root, "--json").out)
    assert [point["value"] for point in document["metrics"]["line_coverage"]] == [100.0, 75.0]


def escaped(text: str) -> str:
    return text.replace("_", "\\_").replace("*", "\\*").replace("[", "\\[").replace("]", "\\]")
