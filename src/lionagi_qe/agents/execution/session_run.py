"""Runs the tests of a workspace, in further sessions where one of them ends the process."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lionagi_qe.agents.base import LEAST_SECONDS
from lionagi_qe.agents.coverage import contexts as test_map
from lionagi_qe.agents.coverage import data as coverage_data
from lionagi_qe.agents.coverage.settings import write_rcfile
from lionagi_qe.agents.environment.cancellation import to_its_end
from lionagi_qe.agents.environment.process import usual_memory
from lionagi_qe.agents.execution.follower import Follower, test_limit
from lionagi_qe.agents.execution.pytest_session import run_pytest
from lionagi_qe.agents.execution.rewritten_tests import RewrittenTests
from lionagi_qe.agents.execution.sharding import Shard

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.execution.pytest_session import Session
    from lionagi_qe.agents.execution.sharding import MatrixShard
    from lionagi_qe.agents.project.workspace import Workspace
    from lionagi_qe.agents.selection.prioritization import TestOrder

# In whose name progress is told.
AGENT = "test-executor"
# Of pytest, which leaves the tests of other shards out.
PLUGIN = "aqe_shard"
# Tests that end the process are few, or the project has one fault that all of them meet.
_MOST_SESSIONS = 10
_MOST_STACKS = 8000
# Of a session beyond the time of its tests: Python, pytest and its plugins have to start.
_STARTING_SECONDS = 60.0


async def run_tests(
    examination: Examination,
    record: str,
    *,
    order: TestOrder | None = None,
    shard: Shard | MatrixShard | None = None,
    timeout: float | None = None,
) -> Session:
    """Run the tests; where one ends the process, go on with the others in another session.

    So it is where a file does that is imported for its tests: it counts as one that can't be
    collected.

    Args:
        examination: whose workspace and environment are used.
        record: name of the files that get the events.
        order: in which the tests run; None for pytest's own.
        shard: only these tests, while other sessions run the others; coverage.py's report is then
            left to who has the data of all of them.
        timeout: most seconds, where that is less than the settings say.

    """
    workspace = examination.workspace
    most = examination.settings.timeout
    starting = _STARTING_SECONDS + most if timeout is None else 0.0
    timeout = examination.seconds(most if timeout is None else min(most, timeout))
    ends = time.monotonic() + timeout
    limit = test_limit(examination, timeout)
    whole: Session | None = None
    left: list[str] = []
    ending: dict[str, str] = {}
    rewritten = RewrittenTests(workspace, examination.environment)
    await to_its_end(asyncio.to_thread(rewritten.bring))
    for number in range(_MOST_SESSIONS):
        path = workspace.artifacts / f"{number}-{record}"
        whole_time = examination.seconds(timeout + starting)
        limits = _Limits(limit, timeout, whole_time)
        session = await _session(examination, path, order, shard, limits, left, ending)
        timeout = max(ends - time.monotonic(), LEAST_SECONDS)
        too_late = session.completed.stopped is not None or time.monotonic() > ends
        file = None if too_late or number + 1 == _MOST_SESSIONS else _ended_at_import(session)
        if whole is None and file is not None and file not in ending:
            ending[file] = f"E   its import ends the process: it {session.completed.how}"
            continue
        if whole is not None:
            session = _continued(whole, session)
        whole, left = session, session.recording.not_run
        if not (session.recording.crashed and left) or too_late:
            break
    assert whole is not None  # noqa: S101 - there is at least one session
    whole.recording.uncollectable.update(ending)
    await to_its_end(asyncio.to_thread(rewritten.keep, whole.recording.tests))
    ended = coverage_data.exit_code_before_report(workspace)
    if whole.completed.stopped is None or ended is None:
        return whole
    # The tests had ended; what was stopped is the report, which coverage-analyzer then makes.
    return replace(whole, completed=replace(whole.completed, exit_code=ended, stopped=None))


def _ended_at_import(session: Session) -> str | None:
    """Return the file whose import ended the process, by ``os._exit`` say; None if none did."""
    recording = session.recording
    if recording.collected or recording.exit is not None or recording.internal_error is not None:
        return None
    return recording.collecting


def _continued(whole: Session, later: Session) -> Session:
    return replace(
        later,
        recording=whole.recording.continued(later.recording),
        command=whole.command,
        completed=replace(
            later.completed, seconds=whole.completed.seconds + later.completed.seconds
        ),
    )


@dataclass(frozen=True, slots=True)
class _Limits:
    """Most seconds of one test, of all tests of a session, and of the session with its start."""

    test: float
    tests: float
    session: float


async def _session(  # noqa: PLR0913, PLR0917 - a session has that many sides
    examination: Examination,
    path: Path,
    order: TestOrder | None,
    shard: Shard | MatrixShard | None,
    limits: _Limits,
    only: list[str],
    without: Iterable[str],
) -> Session:
    workspace = examination.workspace
    stacks = path.with_suffix(".stacks")
    can_measure = examination.environment.can_measure
    variables = {
        "AQE_STACKS": str(stacks),
        **(test_map.VARIABLES if examination.wants_map and can_measure else {}),
        **({} if order is None else order.variables(workspace)),
    }
    arguments = ["--continue-on-collection-errors", *([] if order is None else order.arguments())]
    arguments += [f"--ignore={file}" for file in without]
    report, memory = None, None
    if shard is None:
        coverage_data.bring_earlier_report(workspace, examination.environment)
        report = coverage_data.report_path(workspace)
    elif isinstance(shard, Shard):
        memory = usual_memory() // shard.of
    if only:
        listed = path.with_suffix(".only")
        listed.write_text(json.dumps(only), encoding="utf-8", errors="surrogateescape")
        variables["AQE_ONLY"] = str(listed)
    elif shard is not None:
        arguments += ["-p", PLUGIN]
        variables["AQE_SHARD"] = str(_written(shard, workspace))
    until = time.monotonic() + limits.session
    follower = Follower(AGENT, path, stacks, examination.progress, limits.test, limits.tests, until)
    session = await run_pytest(
        examination,
        path,
        rcfile=write_rcfile(workspace, examination.environment) if can_measure else None,
        report=report,
        arguments=arguments,
        variables=variables,
        timeout=limits.session,
        memory=memory,
        watch=follower.look,
    )
    if follower.stays is not None:
        session = _ended_by_itself(session, *follower.stays, workspace)
    recording = session.recording
    if recording.exit is None and stacks.exists():
        stood = stacks.read_text(encoding="utf-8", errors="replace")[-_MOST_STACKS:]
        if follower.has_killed:
            stood = f"killed, as it took too long; it stood at:\n{stood or 'it heard no signal'}"
        if recording.running is not None:
            recording.tests[recording.running].message += workspace.shown(stood)
        elif follower.has_killed and not recording.collected:
            recording.internal_error = workspace.shown(stood)
    return session


def _ended_by_itself(session: Session, stays: str, seconds: float, workspace: Workspace) -> Session:
    """Return a session, all of which is there, as if its process had not had to be ended."""
    by = f"waiting for threads:\n{workspace.shown(stays)}" if stays else "in a handler of atexit"
    done = session.completed
    return replace(
        session,
        completed=replace(done, exit_code=session.recording.exit, seconds=done.seconds - seconds),
        stays=f"all tests had ended, and their process stood for {seconds:.0f} s, {by}",
    )


def _written(shard: Shard | MatrixShard, workspace: Workspace) -> Path:
    """Write the plugin's file."""
    path = workspace.artifacts / "shard.json"
    document = shard.as_document() | {"collected": str(collected_path(workspace))}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def collected_path(workspace: Workspace) -> Path:
    """Return where the session of a shard writes which tests there are in all."""
    return workspace.artifacts / "collected.json"
