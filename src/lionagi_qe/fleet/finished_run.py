"""A run that is over, found again in the memory, with what the memory knows beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.fleet.project_past import ProjectPast, past_until
from lionagi_qe.fleet.run_record import KEPT_RUNS, RunRecord, RunRecords
from lionagi_qe.fleet.trends import latest_run, runs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence import Memory

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that is over.

    Attributes:
        record: what it found.
        past: of the project, up to it.
    """

    record: RunRecord
    past: ProjectPast


async def finished_run(memory: Memory, project: str, named: str | None) -> FinishedRun:
    """Return a run of a project; costs a scan of the figures of all, and one of all tests.

    Args:
        memory: that was asked to keep it.
        project: the project's name.
        named: the run's id, or a part of it that no other has; None for the last one that was to
            run tests, or, if none was, the last of all.

    Raises:
        InvalidArgumentError: there is no such run, or the name is that of several.
        InvalidValueError: it was kept by another version of aqe.

    """
    records = RunRecords(memory, project)
    ids = await records.runs()
    run = await _latest(memory, project, ids) if named is None else _one_of(ids, named, project)
    record = None if run is None else await records.retrieve(run)
    if record is None:
        raise InvalidArgumentError(
            f"no run of {project!r} is kept with what it found; start with aqe run"
        )
    return FinishedRun(record, await past_until(memory, project, record.run))


async def _latest(memory: Memory, project: str, ids: Sequence[str]) -> str | None:
    known = frozenset(ids)
    runs = [run for run in await runs_of(memory, project) if run.id in known]
    latest = latest_run(runs)
    if latest is not None:
        return latest.id
    return ids[-1] if ids else None


def _one_of(ids: Sequence[str], named: str, project: str) -> str:
    found = [run for run in ids if run == named] or [run for run in ids if named in run]
    if len(found) == 1:
        return found[0]
    several = ", ".join(reversed(found[-_MOST_NAMED:]))
    if found:
        raise InvalidArgumentError(
            f"run {named!r}: {len(found)} runs of {project!r} have that in their names, "
            f"the last ones {several}; write more of it"
        )
    kept = ", ".join(reversed(ids[-_MOST_NAMED:])) or "none"
    raise InvalidArgumentError(
        f"run {named!r}: no run of {project!r} has that in its name; what the last {KEPT_RUNS} "
        f"found is kept, the last ones {kept}"
    )
