"""How a figure is written for people: never without its source or its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.agents.metric import Metric


def source(metric: Metric) -> str:
    """Return the tools that measured a figure, with their versions."""
    return f"[dim]\\[{escape(metric.measured_by)}][/]"


def common_reason(metrics: Sequence[Metric | None]) -> str | None:
    """Return why none of these figures is measured, where one reason keeps all of them."""
    if any(metric is not None and metric.measured for metric in metrics):
        return None
    reasons = {not_measured(metric) for metric in metrics}
    return reasons.pop() if len(reasons) == 1 else None


def not_measured(metric: Metric | None) -> str:
    """Return why a figure is missing."""
    reason = "no agent states it" if metric is None else str(metric.reason)
    return f"[yellow]not measured[/]: {escape(reason)}"
