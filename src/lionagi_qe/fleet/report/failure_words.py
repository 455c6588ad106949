"""What is told of failing tests that are one failure: needs nothing that groups them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lionagi_qe.display import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.fleet.comparison import Since

    Group = Mapping[str, Any]

MESSAGE_LINES = 6
_SHORT = 10
# As failure groups write the innermost frame of an error.
_PLACE = re.compile(r"at (?P<place>.+?:\d+) in ")


def message_lines(group: Group) -> list[str]:
    """Return the beginning of what the failure says."""
    return [line for line in group["message"].splitlines() if line.strip()][:MESSAGE_LINES]


def place(group: Group) -> str | None:
    """Return the file and line that a failure was raised at; None if it has none of the project."""
    lines = (line.strip() for line in group["message"].splitlines())
    told = next((line for line in lines if line.startswith("at ")), "")
    found = _PLACE.match(told)
    return None if found is None else found["place"]


def before(group: Group) -> str | None:
    """Return in words where a failure was seen before; None if that isn't known.

    What is said of when it was gone is what is known: the run in which its tests passed, and the
    commits between. That one of these mended it, nobody measured.
    """
    past = group.get("before")
    if past is None:
        return None
    runs = past["runs"]
    told = f"seen before: run {runs[-1]}"
    if past["commit"]:
        told += f" at {short_commit(past['commit'])}"
    if len(runs) > 1:
        told += f", and {len(runs) - 1} more since {_began(runs[0])}"
    gone = past["gone"]
    if gone is None:
        return told
    return f"{told}; gone in run {gone['run']}{_between(gone)}"


def _began(run: str) -> str:
    """Return when a run began, which its id tells, and which it is."""
    try:
        at = datetime.strptime(run[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return f"run {run}"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC (run {run})"


def since_words(since: Since) -> str:
    """Return since when something is so, as ``since run ... (commit ...), 3 runs``."""
    commit = "" if since.commit is None else f" (commit {short_commit(since.commit)})"
    return f"since run {since.run}{commit}, {counted(since.runs, 'runs')}"


def _between(gone: Mapping[str, Any]) -> str:
    commit, commits = gone["commit"], gone["commits"]
    if commit is None:
        return ""
    if commits == 0:
        return ", at the same commit"
    if commits == 1:
        return f", with one commit between: {short_commit(commit)}"
    if commits is None:
        return f", at {short_commit(commit)}"
    return f", {commits} commits later, at {short_commit(commit)}"


def short_commit(commit: str) -> str:
    """Return a commit as people write it; that files differed from it is kept."""
    return commit.removesuffix("-dirty")[:_SHORT] + ("-dirty" if commit.endswith("-dirty") else "")
