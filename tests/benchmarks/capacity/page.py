"""Writes docs/capacity.md from what was measured: ``python -m tests.benchmarks.capacity.page``.

``page.md`` has the words, ``{names}`` in it the tables.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.capacity.check import predicted, predicted_by_means
from tests.benchmarks.capacity.ring import Ring

from lionagi_qe.bench.capacity import measured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lionagi_qe.bench.capacity import Backend, Grid

_HERE = Path(__file__).parent
_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "redis": "Redis"}
_SIZES = (50, 500, 1_500, 4_000, 20_000)
_KEYS = (32, 64, 192)
_LOGGED = {"store": "stored alone", "store_many": "in a batch", "delete": "deleted"}
_EXAMPLE = (
    "capacity", "--entries", "1e9", "--value-bytes", "500", "--updates", "2000/s",
    "--reads", "10K/s", "--connections", "100", "--memory", "256G", "--disk", "4T", "--cores", "16",
)  # fmt: skip
_AIM = 1.5
_GREW = 1.001


def page(check: Mapping[Backend, Any]) -> str:
    """Return the page."""
    found = measured()
    text = (_HERE / "page.md").read_text(encoding="utf-8")
    tables = {
        "date": found.date,
        "machine": found.machine,
        "versions": ", ".join(each.version for each in found.backends.values()),
        "example_words": " ".join(_EXAMPLE),
        "example": _told(*_EXAMPLE),
        "entry_bytes": _entry_bytes(),
        "index_bytes": _index_bytes(),
        "log_bytes": _log_bytes(),
        "call_us": _call_us(),
        "further": _further(),
        "check_bytes": _check_bytes(check),
        "check_calls": _check_calls(check),
        "vacuum": _vacuum(check.get("postgresql", {})),
        "partitioned": _partitioned(check.get("postgresql", {})),
    }
    for name, table in tables.items():
        text = text.replace(f"{{{name}}}", table)
    return text


def _told(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lionagi_qe.cli.main", *words],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def _entry_bytes() -> str:
    rows = [
        (_NAMES[name], part, *(_at(grid, 64, size) for size in _SIZES))
        for name, figures in measured().backends.items()
        for part, grid in figures.entry_bytes.items()
        if len(grid.value_bytes) > 1
    ]
    return _table(("", "part", *(f"{size:,} B" for size in _SIZES)), rows)


def _index_bytes() -> str:
    rows = [
        (_NAMES[name], part, *(_at(grid, key, 50) for key in _KEYS))
        for name, figures in measured().backends.items()
        for part, grid in figures.entry_bytes.items()
        if len(grid.value_bytes) == 1
    ]
    return _table(("", "index", *(f"keys of {key} B" for key in _KEYS)), rows)


def _log_bytes() -> str:
    rows = [
        (_NAMES[name], title, *(_at(figures.update_log_bytes[call], 64, size) for size in _SIZES))
        for name, figures in measured().backends.items()
        for call, title in _LOGGED.items()
    ]
    return _table(("", "an entry", *(f"{size:,} B" for size in _SIZES)), rows)


def _call_us() -> str:
    backends = measured().backends
    rows = [
        (
            f"`{call}`",
            *(
                f"{each.call_us[call].server.at(64, 500):,.1f} + "
                f"{each.call_us[call].client.at(64, 500):,.1f}"
                for each in backends.values()
            ),
        )
        for call in backends["sqlite"].call_us
    ]
    return _table(("call", *(_NAMES[name] for name in backends)), rows)


def _further() -> str:
    backends = measured().backends
    titles = {
        "page_log_bytes": "log: a page's first change after a checkpoint",
        "change_bytes": "what is kept five minutes of a change that was made alone",
        "tombstone_bytes": "what a deleted entry takes for five minutes",
        "connection_bytes": "memory of a connection",
    }
    rows = [
        (title, *(f"{getattr(each, name):,.0f}" for each in backends.values()))
        for name, title in titles.items()
    ]
    return _table(("bytes", *(_NAMES[name] for name in backends)), rows)


def _check_bytes(check: Mapping[Backend, Any]) -> str:
    rows: list[Sequence[str]] = []
    for name, found in check.items():
        ring = Ring(found["entries"])
        by_means = predicted_by_means(name, ring)
        for part, size in predicted(name, ring).items():
            held = found["held"].get(part, 0)
            if held < found["entries"]:
                continue  # less than a byte an entry
            rows.append((
                _NAMES[name], f"{found['entries']:,}", part, f"{size / 2**20:,.0f}",
                f"{by_means[part] / 2**20:,.0f}", f"{held / 2**20:,.0f}",
                f"{held / size:.2f}",
            ))  # fmt: skip
    header = ("", "entries", "part", "predicted, MiB", "by the means alone", "held, MiB", "ratio")
    return _table(header, rows)


def _check_calls(check: Mapping[Backend, Any]) -> str:
    rows: list[Sequence[str]] = []
    for name, found in check.items():
        for call, cost in found["calls"].items():
            small = found["calls_at_10k"][call]
            before, after = (sum(each.values()) for each in (small, cost))
            ratio = after / before
            rows.append((
                _NAMES[name], f"`{call}`", _both(small), _both(cost),
                f"**{ratio:.2f}**" if ratio > _AIM else f"{ratio:.2f}",
            ))  # fmt: skip
    return _table(("", "call", "at 10,000", "at all", "ratio of the sums"), rows)


def _both(cost: Mapping[str, float]) -> str:
    return f"{cost['server']:,.1f} + {cost['client']:,.1f}"


def _vacuum(found: Mapping[str, Any]) -> str:
    if "indexes" not in found:
        return ""
    rows = [
        (f"`{name}`", str(each["levels"]), f"{each['leaf_percent']:.0f} %")
        for name, each in found["indexes"].items()
    ]
    grown = ", ".join(
        f"{part} {100 * (ratio - 1):+.1f} %"
        for part, ratio in found["growth"].items()
        if ratio > _GREW
    )
    return (
        _table(("index", "levels", "of a leaf page in use"), rows)
        + f"\n\nA vacuum of the entries took {found['vacuum_seconds']} s of processor time; after "
        f"{found['overwritten']:,} of them had been overwritten at random, "
        f"{found['vacuum_seconds_after_overwriting']} s. What grew by that: {grown or 'nothing'}."
    )


def _partitioned(found: Mapping[str, Any]) -> str:
    if "partitioned" not in found:
        return ""
    parts = found["partitioned"]
    rows = [
        (f"`{call}`", _both(found["calls"][call]), _both(cost))
        for call, cost in parts["calls"].items()
    ]
    return (
        f"The recipe took {parts['recipe_seconds']:.0f} s of processor time for "
        f"{found['entries']:,} entries. Microseconds for one entry, server + client:\n\n"
        + _table(("call", "one table", f"{parts['parts']} parts"), rows)
    )


def _at(grid: Grid, key: int, value: int) -> str:
    return f"{grid.at(key, value):,.0f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    checked, target = map(Path, sys.argv[1:])
    known = json.loads(checked.read_bytes()) if checked.exists() else {}
    target.write_text(page(known), encoding="utf-8")
