"""How a figure is written for people: never without its source or its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

if TYPE_CHECKING:
    from lionagi_qe.agents.metric import Metric


def source(metric: Metric) -> str:
    """Return the tools that measured a figure, with their versions."""
    tools = zip(metric.tool.split(" + "), str(metric.version).split(" + "), strict=True)
    named = ", ".join(f"{tool} {version}" for tool, version in tools)
    return f"[dim]\\[{escape(named)}][/]"


def not_measured(metric: Metric | None) -> str:
    """Return why a figure is missing."""
    reason = "no agent states it" if metric is None else str(metric.reason)
    return f"[yellow]not measured[/]: {escape(reason)}"
