"""Small pictures of figures over runs, as SVG without styles of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _HEIGHT, _MARGIN = 120, 24, 3


def trend(values: Sequence[float | None]) -> Markup:
    """Return the course of a figure; nothing where that was always the same, or unknown."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0), max(known, default=0)
    if low == high:
        return Markup()
    step = (_WIDTH - 2 * _MARGIN) / (len(values) - 1)

    def height(value: float) -> float:
        share = (value - low) / (high - low)
        return _HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN)

    points = [
        (round(_MARGIN + number * step, 1), round(height(value), 1))
        for number, value in enumerate(values)
        if value is not None
    ]
    line = " ".join(f"{x},{y}" for x, y in points)
    x, y = points[-1]
    told = f"{len(known)} runs, from {low:g} to {high:g}, last {known[-1]:g}"
    return Markup(
        '<svg class=trend viewBox="0 0 {w} {h}" width={w} height={h} preserveAspectRatio=xMinYMid '
        'role=img aria-label="{told}">'
        '<polyline points="{line}"/><circle cx={x} cy={y} r=2.5 /></svg>'
    ).format(w=_WIDTH, h=_HEIGHT, told=told, line=line, x=x, y=y)
