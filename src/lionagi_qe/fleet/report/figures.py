"""How a figure is written for people: never without its source or its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

if TYPE_CHECKING:
    from lionagi_qe.agents.metric import Metric


def source(metric: Metric) -> str:
    """Return the tools that measured a figure, with their versions."""
    return f"[dim]\\[{escape(metric.measured_by)}][/]"


def not_measured(metric: Metric | None) -> str:
    """Return why a figure is missing."""
    reason = "no agent states it" if metric is None else str(metric.reason)
    return f"[yellow]not measured[/]: {escape(reason)}"
