"""Charts as PNG, by matplotlib if that is installed."""

from __future__ import annotations

import io
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lionagi_qe.bench.contender import Kind
from lionagi_qe.bench.peers import installed
from lionagi_qe.errors import ConfigurationError
from lionagi_qe.extras import needs
from lionagi_qe.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lionagi_qe.bench.results import RowResult
    from lionagi_qe.bench.run import Report
    from lionagi_qe.bench.sweep import SweepReport

_DPI = 120
_COLOURS = {
    "lionagi-qe": "#1f6feb",
    "asyncpg": "#8b949e",
    "asyncpg, no resets": "#8b949e",
    "apsw, on the loop": "#8b949e",
    "redis-py": "#8b949e",
    "apsw": "#8b949e",
    "LangGraph": "#d29922",
    "py-key-value": "#a371f7",
    "SAQ": "#3fb950",
}
_OTHER = "#57606a"


def check_charts() -> None:
    """Raise ConfigurationError unless charts can be drawn; ask before measuring for minutes."""
    if not installed("matplotlib"):
        msg = f"a chart {needs('matplotlib')}"
        raise ConfigurationError(msg)


def draw_rows(report: Report, path: Path) -> None:
    """Draw how many times the plain driver's figure each contender reaches, row by row."""
    results = [result for result in report.rows if result.of(Kind.DRIVER) is not None]
    names = list(
        dict.fromkeys(
            course.name
            for result in results
            for course in result.courses
            if course.kind is not Kind.DRIVER
        )
    )
    figure = new_figure(8.5, 1.4 + 0.28 * len(results) * (len(names) + 0.6))
    axes = figure.add_subplot()
    height = 0.8 / len(names)
    for nth, name in enumerate(names):
        places, ratios = _bars(results, name)
        bars = axes.barh(
            [place + nth * height for place in places],
            [ratio - 1 for ratio in ratios],
            left=1,
            height=height,
            label=name,
            color=_COLOURS.get(name, _OTHER),
        )
        axes.bar_label(bars, [f" {ratio:.2f} " for ratio in ratios], fontsize=8)
    axes.set_yticks(
        [place + height * (len(names) - 1) / 2 for place in range(len(results))],
        [result.row.title for result in results],
    )
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}x")
    axes.xaxis.set_minor_locator(import_module("matplotlib.ticker").LogLocator(subs=(2, 5)))
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="x", which="minor", labelsize=8)
    axes.axvline(1, color="black", linewidth=0.8)
    driver = next(
        course.name for result in results for course in result.courses if course.kind is Kind.DRIVER
    )
    axes.set_xlabel(f"times plain {driver} (log scale; above 1 is better)")
    axes.set_title(f"{report.server['server']}, {report.machine['cores']} cores")
    axes.margins(x=0.15)
    axes.legend(fontsize=8)
    save(figure, path)


def _bars(results: Sequence[RowResult], name: str) -> tuple[list[int], list[float]]:
    """Return in which rows a contender took part, and its ratios to the driver there."""
    places: list[int] = []
    ratios: list[float] = []
    for place, result in enumerate(results):
        for course in result.courses:
            ratio = result.to_driver(course)
            if course.name == name and ratio is not None:
                places.append(place)
                ratios.append(ratio)
    return places, ratios


def draw_sweep(report: SweepReport, path: Path) -> None:
    """Draw the rates of a sweep, a panel a row, both axes logarithmic."""
    curves = report.curves
    titles = list(dict.fromkeys(curve.title for curve in curves))
    figure = new_figure(4.2 * len(titles), 3.6)
    for nth, row in enumerate(titles, 1):
        axes = figure.add_subplot(1, len(titles), nth)
        for curve in curves:
            if curve.title == row:
                sizes, rates = zip(*curve.points, strict=True)
                colour = _COLOURS.get(curve.name, _OTHER)
                axes.plot(sizes, rates, marker="o", label=curve.name, color=colour)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(report.sweep.unit)
        axes.set_ylabel("ops/s")
        axes.set_title(row, fontsize=9)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(f"{report.server['server']}, {report.machine['cores']} cores", fontsize=10)
    save(figure, path)


def new_figure(width: float, height: float) -> Any:  # noqa: ANN401 - matplotlib's Figure
    """Return an empty figure of so many inches; ConfigurationError without matplotlib."""
    check_charts()
    return import_module("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> None:  # noqa: ANN401 - matplotlib's Figure
    """Write a figure in the form that the file's suffix names; PNG without one."""
    try:
        figure.savefig(drawn := io.BytesIO(), dpi=_DPI, format=path.suffix[1:] or "png")
        write_bytes(path, drawn.getvalue(), "shared")
    except (OSError, ValueError) as error:
        # An unknown suffix is a ValueError.
        msg = f"{path}: the chart can't be written ({error})"
        raise ConfigurationError(msg) from error
