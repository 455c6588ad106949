"""The benchmark in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from lionagi_qe.bench.contender import Kind

if TYPE_CHECKING:
    from rich.console import Console

    from lionagi_qe.bench.results import Course, RowResult
    from lionagi_qe.bench.run import Report
    from lionagi_qe.bench.sweep import SweepReport

_BAR = 8
_BLOCKS = " ▏▎▍▌▋▊▉█"


def show_rows(report: Report, console: Console) -> None:
    """Write one table of all rows, and what the figures depend on."""
    table = Table(title=f"{report.server['server']}, {report.entries:,} entries of about 300 bytes")
    table.add_column("", no_wrap=True)
    table.add_column("ops/s", justify="right")
    table.add_column("p50 ms", justify="right")
    table.add_column("p99 ms", justify="right")
    table.add_column("to driver", justify="right")
    table.add_column("")
    for result in report.rows:
        most = max(course.rate for course in result.courses)
        table.add_row(result.row.title, style="italic")
        for course in result.courses:
            table.add_row(
                f"  {course.name}",
                f"{course.rate:,.0f}",
                _milliseconds(course.p50),
                _milliseconds(course.p99),
                _ratio(result, course),
                _bar(course.rate / most),
                end_section=course is result.courses[-1],
                style="bold" if course.kind is Kind.OURS else None,
            )
    console.print(table)
    for line in context(report):
        console.print(line, highlight=False, soft_wrap=True)


def show_sweep(report: SweepReport, console: Console) -> None:
    """Write one table of a sweep's rates, and what they depend on."""
    table = Table(title=f"{report.server['server']}, ops/s by {report.sweep.unit}")
    table.add_column("work")
    table.add_column("who")
    sizes = [size for size, _ in report.curves[0].points]
    for size in sizes:
        table.add_column(f"{size:,}", justify="right")
    for curve in report.curves:
        table.add_row(curve.title, curve.name, *(f"{rate:,.0f}" for _, rate in curve.points))
    console.print(table)
    for line in context(report):
        console.print(line, highlight=False, soft_wrap=True)


def context(report: Report | SweepReport) -> list[str]:
    """Return what a reader must know to trust or repeat the figures, a line each."""
    machine = report.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    server = ", ".join(f"{name} {value}" for name, value in report.server.items())
    effort = report.effort
    where = [machine["processor"], f"{machine['cores']} cores", f"{machine['memory_gib']} GiB"]
    how = "contenders in turn; a ratio is the median of the rounds' own, above 1 is better"
    return [
        ", ".join([*where, machine["system"], machine["python"]]),
        server,
        packages,
        f"{machine['date']}: {machine['command']}",
        f"Medians of {effort.rounds} rounds of {effort.seconds:g} s, {how}.",
    ]


def _milliseconds(value: float) -> str:
    return f"{value:,.3f}" if value < 10 else f"{value:,.1f}"  # noqa: PLR2004 - three digits


def _ratio(result: RowResult, course: Course) -> str:
    ratio = result.to_driver(course)
    return "" if ratio is None or course.kind is Kind.DRIVER else f"{ratio:.2f}x"


def _bar(share: float) -> str:
    eighths = round(share * _BAR * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + _BLOCKS[rest]).strip() or "▏"
