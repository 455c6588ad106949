"""The benchmark in the terminal."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from lionagi_qe.bench.contender import Kind

if TYPE_CHECKING:
    from rich.console import Console

    from lionagi_qe.bench.results import Course, RowResult
    from lionagi_qe.bench.run import Report
    from lionagi_qe.bench.sweep import SweepReport

_BAR = 5
_BLOCKS = " ▏▎▍▌▋▊▉█"


def show_rows(report: Report, console: Console) -> None:
    """Write one table of all rows, and what the figures depend on."""
    title = f"{report.server['server']}, {report.entries:,} entries of about 300 bytes"
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for heading in ("ops/s", "p50 ms", "p99 ms", "to driver", "ours to"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for result in report.rows:
        table.add_row(result.row.title, style="italic")
        most = max(course.rate for course in result.courses)
        for course in result.courses:
            _add(table, result, course, course.rate / most)
    console.print(table)
    for line in context(report):
        console.print(line, highlight=False, soft_wrap=True)


def show_sweep(report: SweepReport, console: Console) -> None:
    """Write one table of a sweep's rates, and what they depend on."""
    title = f"{report.server['server']}, ops/s by {report.sweep.unit}"
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for size, _ in report.curves[0].points:
        table.add_column(f"{size:,}", justify="right", no_wrap=True)
    for work, curves in groupby(report.curves, key=lambda curve: curve.title):
        table.add_row(work, style="italic")
        for curve in curves:
            rates = [f"{rate:,.0f}" for _, rate in curve.points]
            table.add_row(f"  {curve.name}", *rates)
    console.print(table)
    for line in context(report):
        console.print(line, highlight=False, soft_wrap=True)


def context(report: Report | SweepReport) -> list[str]:
    """Return what a reader must know to trust or repeat the figures, a line each."""
    machine = report.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    facts = [f"{name} {value}" for name, value in report.server.items() if name != "server"]
    server = ", ".join([report.server["server"], *facts])
    effort = report.effort
    where = [machine["processor"], f"{machine['cores']} cores", f"{machine['memory_gib']} GiB"]
    how = "contenders in turn; a ratio is the median of the rounds' own, above 1 is better"
    return [
        ", ".join([*where, machine["system"], machine["python"]]),
        server,
        packages,
        f"{machine['date']}: {machine['command']}",
        f"{machine['load_average'][0]:.1f} programs wanted a core on average in the minute before",
        f"Medians of {effort.rounds} rounds of {effort.seconds:g} s, {how}.",
    ]


def _add(table: Table, result: RowResult, course: Course, share: float) -> None:
    """Add a contender's line; ``share`` of the fastest one's rate."""
    is_ours = course.kind is Kind.OURS
    ours = result.of(Kind.OURS)
    to_driver = None if course.kind is Kind.DRIVER else result.to_driver(course)
    ours_to_it = None if is_ours or ours is None else result.ratio(ours, course)
    table.add_row(
        f"  {course.name}",
        f"{course.rate:,.0f}",
        _milliseconds(course.p50),
        _milliseconds(course.p99),
        _times(to_driver),
        _times(ours_to_it),
        _bar(share),
        style="bold" if is_ours else None,
        end_section=course is result.courses[-1],
    )


def _milliseconds(value: float) -> str:
    return f"{value:,.3f}" if value < 10 else f"{value:,.1f}"  # noqa: PLR2004 - three digits


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"


def _bar(share: float) -> str:
    eighths = round(share * _BAR * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + _BLOCKS[rest]).strip() or "▏"
