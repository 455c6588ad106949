"""Cost against size: rates over the number of entries, the size of values, or coroutines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.bench.arenas import arena_at
from lionagi_qe.bench.contender import Kind
from lionagi_qe.bench.machine import describe_machine
from lionagi_qe.bench.measure import Effort, measure, prepared
from lionagi_qe.bench.rows import ROWS, Row
from lionagi_qe.bench.workload import GROUP, Workload, value_of_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.bench.results import RowResult

_BY_NAME = {row.name: row for row in ROWS}
_KINDS = frozenset({Kind.OURS, Kind.DRIVER})
# Entries are few where values are large, so that all of them stay below this.
_MOST_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Curve:
    """One contender's rates in one row: (size, operations a second)."""

    title: str
    name: str
    points: list[tuple[int, float]]

    def as_json(self) -> dict[str, Any]:
        """Return the curve as JSON data."""
        return {"row": self.title, "contender": self.name, "points": self.points}


@dataclass(frozen=True, slots=True)
class Sweep:
    """What varies.

    Attributes:
        name: for ``--sweep``.
        unit: what the sizes count.
        sizes: from the smallest on.
        rows: what is measured at each.
        load: the workload of a size, given how many entries there are where that doesn't vary.
        fit: a row as it is measured at a size.
    """

    name: str
    unit: str
    sizes: tuple[int, ...]
    rows: tuple[str, ...]
    load: Callable[[int, int], Workload]
    fit: Callable[[Row, int], Row] = lambda row, _: row


def _of_values(size: int, entries: int) -> Workload:
    groups = max(1, min(entries, _MOST_BYTES // size) // GROUP)
    return Workload(groups * GROUP, value_of_size(size))


SWEEPS = {
    sweep.name: sweep
    for sweep in (
        Sweep(
            "sizes",
            "entries",
            (1_000, 10_000, 100_000, 1_000_000, 10_000_000),
            ("store-64", "retrieve-64", "search-50"),
            lambda size, _: Workload(size),
        ),
        Sweep(
            "values",
            "bytes of a value",
            (100, 1_000, 10_000, 100_000, 1_000_000),
            ("store-64", "retrieve-64"),
            _of_values,
        ),
        Sweep(
            "coroutines",
            "coroutines",
            (1, 3, 10, 30, 100, 300, 1_000),
            ("store-64", "retrieve-64"),
            lambda _, entries: Workload(entries),
            lambda row, count: replace(row, coroutines=count, title=row.call),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class SweepReport:
    """The curves of one sweep, with what they depend on."""

    sweep: Sweep
    server: dict[str, Any]
    machine: dict[str, Any]
    effort: Effort
    curves: list[Curve]

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON data."""
        return {
            "sweep": self.sweep.name,
            "unit": self.sweep.unit,
            "server": self.server,
            "machine": self.machine,
            "rounds": self.effort.rounds,
            "seconds": self.effort.seconds,
            "curves": [curve.as_json() for curve in self.curves],
        }


async def run_sweep(  # noqa: PLR0913 - keyword-only settings
    url: str,
    sweep: Sweep,
    effort: Effort,
    *,
    largest: int,
    entries: int,
    say: Callable[[str], None],
) -> SweepReport:
    """Measure our memory and the plain driver at each size up to ``largest``.

    ``entries`` is how many there are where that does not vary (fewer where values are large).
    Each size has an arena of its own, so that none suffers from what the one before left.
    """
    machine = describe_machine()
    server: dict[str, Any] = {}
    points: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for size in sweep.sizes:
        if size > largest:
            break
        load = sweep.load(size, entries)
        async with (
            arena_at(url) as arena,
            prepared(arena, load, lambda text, size=size: say(f"{size:,}: {text}"), _KINDS) as fit,
        ):
            server = await arena.describe()
            for name in sweep.rows:
                row = sweep.fit(_BY_NAME[name], size)
                _add(points, size, await measure(row, fit, load, effort, say))
    curves = [Curve(title, name, found) for (title, name), found in points.items()]
    return SweepReport(sweep, server, machine, effort, curves)


def _add(
    points: dict[tuple[str, str], list[tuple[int, float]]], size: int, result: RowResult
) -> None:
    for course in result.courses:
        points.setdefault((result.row.title, course.name), []).append((size, course.rate))
