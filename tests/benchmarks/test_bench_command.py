"""``aqe bench`` on real servers: it measures, writes what it found, and leaves nothing behind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from lionagi_qe.bench.rows import ROWS
from lionagi_qe.cli.main import main
from lionagi_qe.testing.servers.redis import execute as ask_redis
from lionagi_qe.testing.servers.statement import execute as ask_postgres

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK = ["--rounds", "1", "--seconds", "0.01", "--entries", "200", "--quiet"]
DRIVERS = {"sqlite": "apsw", "postgresql": "asyncpg", "redis": "redis-py"}


def leftovers(url: str) -> list[str]:
    """Return what a benchmark left on a server."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return [path.name for path in Path(parts.path[1:]).parent.glob("aqe_bench*")]
    if parts.scheme == "redis":
        return ask_redis(url, "KEYS", "*aqe_bench*")
    query = "SELECT count(*)::text FROM pg_namespace WHERE nspname LIKE 'aqe_bench%'"
    return [] if ask_postgres(url, query) == "0" else ["a schema"]


def test_all_rows_are_measured_beside_the_driver(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert main(["bench", "memory://", *QUICK, "--json", str(file)]) == 0
    found: dict[str, Any] = json.loads(file.read_text())
    shown = capsys.readouterr().out
    assert [row["row"] for row in found["rows"]] == [row.name for row in ROWS]
    for row in found["rows"]:
        assert row["title"] in shown
        ours = row["contenders"]["lionagi-qe"]
        assert ours["operations_per_second"] > 0
        assert 0 < ours["p50_ms"] <= ours["p99_ms"]
    assert found["machine"]["packages"]["aqe-fleet"] in shown


def test_each_server_is_left_as_it_was(
    bench_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    rows = ["--rows", "store-64,search-50,queue-500"]
    assert main(["bench", bench_url, *QUICK, *rows, "--json", str(file)]) == 0
    found: dict[str, Any] = json.loads(file.read_text())
    driver = DRIVERS[found["backend"]]
    assert driver in capsys.readouterr().out
    for row in found["rows"]:
        if driver in row["contenders"]:
            theirs = row["contenders"][driver]
            ours = row["contenders"]["lionagi-qe"]
            assert ours["to_driver"] == pytest.approx(theirs["ours_to_it"])
    assert not leftovers(bench_url)


def test_a_password_is_not_written(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = urlsplit(postgres_url).password or "none"
    file = tmp_path / "figures.json"
    arguments = ["bench", postgres_url, *QUICK, "--rows", "store-1", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["aqe", *arguments])
    assert main(arguments) == 0
    assert f":{password}@" not in file.read_text()


@pytest.mark.parametrize("sweep", ["sizes", "values", "coroutines"])
def test_a_sweep_measures_each_size(sweep: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    options = ["--sweep", sweep, "--largest", "1000", "--json", str(file)]
    assert main(["bench", "memory://", *QUICK, *options]) == 0
    found = json.loads(file.read_text())
    sizes = {
        "sizes": [1_000],
        "values": [100, 1_000],
        "coroutines": [1, 3, 10, 30, 100, 300, 1_000],
    }[sweep]
    assert {curve["contender"] for curve in found["curves"]} == {"lionagi-qe", "apsw"}
    for curve in found["curves"]:
        assert [size for size, _ in curve["points"]] == sizes
        assert all(rate > 0 for _, rate in curve["points"])


def test_what_can_not_be_measured_is_said_in_one_line(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {
        "mysql://user:secret@host/db": 2,
        f"sqlite:///{tmp_path}/no/such/folder.db": 3,
        f"redis://127.0.0.1:{unused_tcp_port_factory()}": 3,
        f"postgresql://127.0.0.1:{unused_tcp_port_factory()}/db": 3,
    }
    for url, code in wrong.items():
        assert main(["bench", url, *QUICK]) == code
        said = capsys.readouterr().err
        assert said.startswith("aqe: ")
        assert said.count("\n") == 1
        assert "secret" not in said
    assert main(["bench", "memory://", "--rows", "store-1,nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_a_chart_without_matplotlib_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [])  # where installed packages are looked for
    chart = str(tmp_path / "chart.png")
    assert main(["bench", f"sqlite:///{tmp_path}/memory.db", *QUICK, "--chart", chart]) == 2
    assert "pip install 'aqe-fleet[charts]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
