"""Failing tests, those that are one failure together, for every report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.failure_groups import by_messages
from lionagi_qe.agents.execution.session_run import AGENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.fleet.run_record import HasFindings

    Group = Mapping[str, Any]

UNCOLLECTABLE = "uncollectable"


def failure_groups(run: HasFindings) -> Sequence[Group]:
    """Return the groups of a run, most tests first; by messages where earlier versions kept it."""
    groups = run.detail(AGENT, "failure_groups")
    if groups or run.metric("failure_groups") is not None:
        return groups
    return by_messages(run.detail(AGENT, "tests"))


def outcomes(run: HasFindings) -> dict[str, str]:
    """Return test -> how it ended; what is no test is a file that could not be collected."""
    return {test["id"]: test["outcome"] for test in run.detail(AGENT, "tests")}
