"""The failures of a project's last run, those that are one together, and where each was before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.errors import InvalidValueError
from lionagi_qe.fleet.report.failure_words import before, message_lines, short_commit
from lionagi_qe.fleet.run_record import RunRecords
from lionagi_qe.fleet.trends import latest_run, points

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.fleet.run_record import RunRecord
    from lionagi_qe.fleet.trends import PastRun
    from lionagi_qe.persistence import Memory

_MOST_GROUPS = 20
_MOST_TESTS = 20
_LONGEST_TITLE = 160
_FIGURE = "failure_groups"
_EXECUTOR = "test-executor"


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures of a run.

    Attributes:
        run: its id.
        commit: that it examined, if under git.
        groups: those that are one failure together, most tests first.
        left: how many further groups there are.
        told: what is said where there are none.
    """

    run: str
    commit: str | None = None
    groups: Sequence[Mapping[str, Any]] = ()
    left: int = 0
    told: str = ""


async def failures_of(memory: Memory, folder: str, runs: Sequence[PastRun]) -> Failures | None:
    """Return the failures of the last run that was to run tests; None if none of these was.

    Costs a read of what that run found, and nothing if it tells that no test failed.

    Args:
        memory: where runs are kept.
        folder: the project's name as a segment of keys.
        runs: the last ones, the oldest first.

    """
    last = latest_run(runs)
    if last is None:
        return None
    figure = next(iter(points([last], _FIGURE)), None)
    if figure is not None and figure.value == 0:
        return Failures(last.id, told="No test failed in it.")
    try:
        record = await RunRecords.in_folder(memory, folder).retrieve(last.id)
        if record is None:
            return Failures(last.id, told="What it found is not kept any more.")
        return _shown(last.id, record)
    except (InvalidValueError, LookupError, TypeError, AttributeError):
        # Of what others wrote there.
        return Failures(last.id, told="What it found was kept by another version of aqe.")


async def failure_of(memory: Memory, folder: str, run: str, test: str) -> dict[str, Any] | None:
    """Return how a test failed in a run; None if that is not kept. Costs a read of that run.

    Args:
        memory: where runs are kept.
        folder: the project's name as a segment of keys.
        run: its id.
        test: its id.

    """
    try:
        record = await RunRecords.in_folder(memory, folder).retrieve(run)
        groups = [] if record is None else _groups_of(record)
        return next((_group(group) for group in groups if test in group["tests"]), None)
    except (InvalidValueError, LookupError, TypeError, AttributeError):
        # Of what others wrote there.
        return None


def _shown(run: str, record: RunRecord) -> Failures:
    groups = _groups_of(record)
    shown = [_group(group) for group in groups[:_MOST_GROUPS]]
    left = len(groups[_MOST_GROUPS:])
    commit = None if record.commit is None else short_commit(record.commit)
    return Failures(run, commit, shown, left, "No test failed in it.")


def _groups_of(record: RunRecord) -> list[Mapping[str, Any]]:
    found: Any = record.detail(_EXECUTOR, _FIGURE)
    return cast("list[Mapping[str, Any]]", found if isinstance(found, list) else [])


def _group(group: Mapping[str, Any]) -> dict[str, Any]:
    tests = group["tests"]
    return {
        "title": next(iter(message_lines(group)), "nothing")[:_LONGEST_TITLE],
        "count": len(tests),
        "tests": tests[:_MOST_TESTS],
        "message": group["message"],
        "before": before(group),
    }
