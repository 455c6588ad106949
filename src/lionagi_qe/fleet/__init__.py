"""The fleet: runs the agents over a project, remembers what they found, and reports it.

``await examine(path)`` is ``aqe run path`` for programs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lionagi_qe.agents.base import Agent, Examination, Findings, Step
    from lionagi_qe.agents.finding import Finding, fingerprinted
    from lionagi_qe.agents.metric import Metric, Source
    from lionagi_qe.fleet.registry import names as agent_names
    from lionagi_qe.fleet.run import Outcome, examine

__all__ = [
    "Agent",
    "Examination",
    "Finding",
    "Findings",
    "Metric",
    "Outcome",
    "Source",
    "Step",
    "agent_names",
    "examine",
    "fingerprinted",
]

# Where each is; commands import what they use, and not all of it.
_PLACES = {
    "Agent": ("lionagi_qe.agents.base", "Agent"),
    "Examination": ("lionagi_qe.agents.base", "Examination"),
    "Finding": ("lionagi_qe.agents.finding", "Finding"),
    "Findings": ("lionagi_qe.agents.base", "Findings"),
    "Metric": ("lionagi_qe.agents.metric", "Metric"),
    "Outcome": ("lionagi_qe.fleet.run", "Outcome"),
    "Source": ("lionagi_qe.agents.metric", "Source"),
    "Step": ("lionagi_qe.agents.base", "Step"),
    "agent_names": ("lionagi_qe.fleet.registry", "names"),
    "examine": ("lionagi_qe.fleet.run", "examine"),
    "fingerprinted": ("lionagi_qe.agents.finding", "fingerprinted"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute
    """Import on first use."""
    if name not in _PLACES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)
