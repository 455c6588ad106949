"""How figures went from run to run: as characters on a terminal, and as a PNG."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.extras import needs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.fleet.trends import Point

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"
_DPI = 120
_HEIGHT = 8


def sparkline(values: Sequence[float | None]) -> str:
    """Return a character a value, its height between the least and the most; a dot for none."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    steps = len(_BARS) - 1
    return "".join(
        _GAP
        if value is None
        else _BARS[round((value - low) / (high - low) * steps) if high > low else steps // 2]
        for value in values
    )


def chart(points: Sequence[Point], unit: str) -> Iterator[str]:
    """Yield the lines of a chart: a column a run, the newest on the right."""
    known = [point.value for point in points if point.value is not None]
    if not known:
        return
    low, high = min(known), max(known)
    span = high - low or 1.0
    for row in range(_HEIGHT, 0, -1):
        edge = low + span * row / _HEIGHT
        label = f"{high:>10g}" if row == _HEIGHT else f"{low:>10g}" if row == 1 else " " * 10
        cells = "".join(_cell(point.value, edge, span / _HEIGHT) for point in points)
        yield f"{label} ┤{cells}"
    yield f"{unit:>10} └{'─' * len(points)}"


def _cell(value: float | None, edge: float, step: float) -> str:
    if value is None:
        return _GAP
    # How much of the cell below ``edge`` the bar fills; the least value still shows.
    share = (value - (edge - step)) / step
    if share >= 1:
        return _BARS[-1]
    return _BARS[max(int(share * len(_BARS)), 0)] if share >= 0 else " "


def check_png() -> None:
    """Raise ConfigurationError unless a PNG can be drawn."""
    if find_spec("matplotlib") is None:
        raise ConfigurationError(f"a PNG {needs('matplotlib')}")


def write_png(series: Mapping[str, Sequence[Point]], path: Path, title: str) -> None:
    """Draw one small chart for each figure, with what measured it."""
    check_png()
    figure_type: Any = import_module("matplotlib.figure").Figure
    figure = figure_type(figsize=(8, 1.8 * len(series)), dpi=_DPI, layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(len(series), 1, squeeze=False)
    for axis, (name, points) in zip(axes[:, 0], series.items(), strict=True):
        last = points[-1].metric
        values = [float("nan") if point.value is None else point.value for point in points]
        axis.plot(range(len(values)), values, marker="o", markersize=3)
        axis.set_title(f"{name} [{last.measured_by}]", fontsize=8, loc="left")
        axis.set_ylabel(last.unit, fontsize=8)
        axis.tick_params(labelsize=7)
    axes[-1, 0].set_xlabel("run, the newest on the right", fontsize=8)
    figure.savefig(path, format="png")
