"""``aqe bench --record`` and ``--history``: ratios over commits, and the commit where one fell."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from lionagi_qe.bench.history import Run, append, read
from lionagi_qe.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

FELL = 20


def commit(number: int) -> str:
    return f"{number:012x}{'0' * 28}"


def history(path: Path, runs: int, machine: str = "AMD EPYC, 2 cores") -> Path:
    """Write runs in which store-64 fell to 0.7 at FELL, when asyncpg was another, too."""
    chance = random.Random(5)
    for number in range(runs):
        fallen = number >= FELL
        append(
            path,
            Run(
                commit=commit(number),
                date=f"2026-11-{number // 24 + 1:02}T{number % 24:02}:00:00+00:00",
                machine=machine,
                backend="postgresql",
                versions={"asyncpg": "0.31.0" if fallen else "0.30.0", "server": "PostgreSQL 15"},
                ratios={
                    "store-64": chance.lognormvariate(1.2, 0.05) * (0.7 if fallen else 1),
                    "search-50": chance.lognormvariate(0.3, 0.05),
                },
            ),
        )
    return path


def test_the_commit_where_a_ratio_fell_is_named_with_what_else_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, told = history(tmp_path / "runs.jsonl", 28), tmp_path / "told.json"
    assert main(["bench", "--history", str(file), "--check", "--json", str(told)]) == 1
    shown = capsys.readouterr().out
    assert "postgresql store-64 fell to 0.7" in shown
    assert f"at {commit(FELL)[:12]}, after {commit(FELL - 1)[:12]}" in shown
    assert "also changed: asyncpg 0.30.0 -> 0.31.0" in shown
    assert "search-50 fell" not in shown
    found: dict[str, Any] = {each["row"]: each for each in json.loads(told.read_text())}
    (change,) = found["store-64"]["changes"]
    assert change["commit"] == commit(FELL)
    assert change["after"] == commit(FELL - 1)
    assert (change["is_fall"], change["is_new"]) == (True, True)
    assert found["search-50"]["changes"] == []


def test_a_fall_of_long_ago_is_shown_and_fails_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = history(tmp_path / "runs.jsonl", FELL + 11)
    assert main(["bench", "--history", str(file), "--check"]) == 0
    assert "store-64 fell" in capsys.readouterr().out


def test_machines_are_not_compared_with_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = history(tmp_path / "runs.jsonl", FELL)
    chance = random.Random(1)
    for number in range(10):
        ratios = {"store-64": chance.lognormvariate(0, 0.05)}
        append(
            file, Run("", f"2026-12-01T00:00:{number:02}", "ARM, 8 cores", "postgresql", {}, ratios)
        )
    assert main(["bench", "--history", str(file), "--check"]) == 0
    assert "No ratio changed" in capsys.readouterr().out


def test_the_course_is_drawn(tmp_path: Path) -> None:
    chart = tmp_path / "chart.svg"
    file = history(tmp_path / "runs.jsonl", 28)
    assert main(["bench", "--history", str(file), "--chart", str(chart)]) == 0
    assert ET.fromstring(chart.read_text()).tag.endswith("svg")  # noqa: S314 - our own


def test_a_run_is_added_with_its_ratios_and_versions(tmp_path: Path) -> None:
    file = tmp_path / "new" / "runs.jsonl"
    quick = ["--rounds", "1", "--seconds", "0.01", "--entries", "200", "--quiet"]
    url = f"sqlite:///{tmp_path}/memory.db"
    for _ in range(2):
        assert main(["bench", url, *quick, "--rows", "store-1", "--record", str(file)]) == 0
    first, second = read(file)
    assert first.backend == "sqlite"
    assert first.ratios.keys() == second.ratios.keys() == {"store-1"}
    assert first.ratios["store-1"] > 0
    assert "apsw" in first.versions
    assert first.machine.endswith("cores")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("not json", "line 1: no run"),
        ('{"commit": "a"}', "line 1: no run"),
        (
            json.dumps(dict.fromkeys(Run.__slots__, "") | {"ratios": {"store-1": 0}}),
            "a ratio is not above 0",
        ),
    ],
)
def test_a_file_with_something_else_is_refused_with_the_line(
    line: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(line + "\n")
    assert main(["bench", "--history", str(file)]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a URL"),
        (["memory://", "--check"], "--check: of which runs"),
        (["memory://", "--history", "x"], "measures nothing"),
        (["memory://", "--sweep", "sizes", "--record", "x"], "a sweep has no ratios"),
    ],
)
def test_what_does_not_go_together_is_said(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    assert told in capsys.readouterr().err
