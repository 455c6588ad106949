"""Curves of a run as pictures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.load.outcome import Outcome

_DPI = 90
_FEW_LINES = 4
_PALETTE = (
    "#1f6feb", "#d29922", "#3fb950", "#a371f7", "#f85149", "#57606a", "#2da4b8", "#bf3989",
    "#7d8590", "#8a6d3b", "#116329", "#0550ae", "#953800",
)  # fmt: skip


def draw_latency(outcome: Outcome, path: Path) -> None:
    """Draw what came and what was done, latencies over time, and latencies by percentile."""
    figure = Figure(figsize=(13, 3.8))
    rates, latencies, percentiles = figure.subplots(1, 3)
    curve = outcome.curves["all"]
    _lines(rates, curve["at"], {"due": curve["rate"], "done": curve["done"]}, "calls a second")
    told = {"median": curve["p50"], "p99": curve["p99"], "slowest": curve["p100"]}
    _lines(latencies, curve["at"], told, "ms from when a call was due")
    _logarithmic(latencies)
    start = 0.0
    for phase in outcome.plan["phases"][:-1]:
        start += phase["seconds"]
        for axes in (rates, latencies):
            axes.axvline(start, color="black", linewidth=0.6, linestyle=":")
    for colour, (kind, found) in zip(_PALETTE, outcome.curves["percentiles"].items(), strict=False):
        # Equal steps towards 100 %, as HdrHistogram's plots have.
        percentiles.plot(found["nines"], _known(found["ms"]), label=kind, color=colour, linewidth=1)
    _logarithmic(percentiles)
    percentiles.set_xticks([0, 1, 2, 3, 4], ["0", "90", "99", "99.9", "99.99"])
    percentiles.set_xlabel("percentile")
    percentiles.set_title("ms from when a call was due", fontsize=9)
    percentiles.grid(visible=True, alpha=0.3)
    percentiles.legend(fontsize=7, ncols=2)
    _save(figure, outcome, path)


def draw_resources(outcome: Outcome, path: Path) -> None:
    """Draw what processes and servers held, and whose the processor time was."""
    curves = outcome.curves
    server = curves["server"]
    panels: list[tuple[str, Sequence[float], Mapping[str, Sequence[float]]]] = []
    held = curves["clients"]
    at = next(iter(held.values()), {"at": []})["at"]
    more = {
        f"{number}, {each['rss'][0]:.0f} MiB at first": [
            rss - each["rss"][0] for rss in each["rss"]
        ]
        for number, each in held.items()
    }
    panels.append(("memory of each process (RSS), MiB more", at, more))
    for name, title in (("files", "open files of each"), ("tasks", "tasks of each")):
        panels.append((title, at, {number: each[name] for number, each in held.items()}))
    for title, starts in (
        ("MiB of the store", ("size",)),
        ("memory of the server, MiB", ("memory of", "rss of the server")),
        ("MiB of logs", ("write-ahead log", "append-only file")),
        ("dead rows", ("dead rows",)),
        ("connections at the server", ("connections",)),
        ("keys", ("keys",)),
        ("oldest transaction, s", ("oldest transaction",)),
    ):
        own = {name: values for name, values in server.items()
               if name.rpartition(": ")[2].startswith(starts)}  # fmt: skip
        if own:
            panels.append((title, server["at"], own))
    kinds = curves["kinds"]
    if kinds:
        at = next(iter(kinds.values()))["at"]
        panels.append(("p99 by kind, ms", at, {kind: each["p99"] for kind, each in kinds.items()}))
    used = curves["processors"]
    if used:
        own = {name: values for name, values in used.items() if name != "at"}
        panels.append(("processors in use", used["at"], own))
    across = 3
    rows = math.ceil(len(panels) / across)
    figure = Figure(figsize=(13, 2.9 * rows))
    grid = figure.subplots(rows, across, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= len(panels):
            axes.set_axis_off()
            continue
        title, at, lines = panels[place]
        _lines(axes, at, lines, title)
        if title.startswith("p99"):
            _logarithmic(axes)
        elif not title.endswith("more"):
            highest = max((max(_known(each), default=0) for each in lines.values()), default=0)
            axes.set_ylim(0, 1.08 * highest or 1)
    _save(figure, outcome, path)


def _save(figure: Figure, outcome: Outcome, path: Path) -> None:
    figure.suptitle(f"{outcome.versions}: {outcome.plan['scenario']}", fontsize=10)
    # Margins in inches; a layout that is found by trying takes as long as all the rest.
    width, height = figure.get_size_inches()
    figure.subplots_adjust(
        left=0.55 / width,
        right=1 - 0.2 / width,
        bottom=0.5 / height,
        top=1 - 0.65 / height,
        wspace=0.16,
        hspace=0.33,
    )
    figure.savefig(path, dpi=_DPI)


def _lines(
    axes: Any, at: Sequence[float], lines: Mapping[str, Sequence[float]], title: str
) -> None:
    for place, (name, values) in enumerate(lines.items()):
        colour = _PALETTE[place % len(_PALETTE)]
        # A process may have ended before its last sample.
        axes.plot(
            at[: len(values)], _known(values)[: len(at)], label=name, color=colour, linewidth=1
        )
    axes.set_xlabel("s")
    axes.set_title(title, fontsize=9)
    axes.grid(visible=True, alpha=0.3)
    many = len(lines) > _FEW_LINES
    axes.legend(fontsize=6 if many else 7, ncols=3 if many else 1, framealpha=0.6)


def _logarithmic(axes: Any) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


def _known(values: Sequence[float | None]) -> list[float]:
    """Return values to draw: what has no end, or isn't known, is a gap."""
    return [math.nan if value is None or math.isinf(value) else value for value in values]
