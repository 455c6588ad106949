"""Runs the tests in several sessions of pytest side by side, each in a copy of the project."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lionagi_qe.agents.base import Step
from lionagi_qe.agents.coverage import data as coverage_data
from lionagi_qe.agents.execution.outcomes import Recording, read_event
from lionagi_qe.agents.execution.session_run import AGENT, PLUGIN, collected_path, run_tests

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lionagi_qe.agents.base import Examination, Progress
    from lionagi_qe.agents.environment.process import Completed
    from lionagi_qe.agents.execution.outcomes import Test
    from lionagi_qe.agents.execution.pytest_session import Session
    from lionagi_qe.agents.execution.sharding import Shard
    from lionagi_qe.agents.project.workspace import Workspace

# pytest's exit status where a session had nothing to run, which says nothing of the others.
_NO_TESTS = 5
# For coverage.py to bring the data of all sessions together.
MERGE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class ParallelRun:
    """What sessions side by side did, as if they were one.

    Attributes:
        session: of all tests; None where the sessions' results make no whole.
        trouble: why they don't, or why nobody should trust them.
        seconds: of all that it took, copies and the report of coverage.py too.
    """

    session: Session | None
    trouble: str | None
    seconds: float


async def run_parallel(
    examination: Examination, shards: Sequence[Shard], into: Workspace, timeout: float
) -> ParallelRun:
    """Run each shard in a session of its own; bring coverage.py's data of all of them together.

    Costs a copy of the project, the collection of all tests and the session's fixtures for each.

    Args:
        examination: of the project.
        shards: that make up all tests.
        into: whose artifacts get coverage.py's data and report.
        timeout: most seconds of the tests.

    """
    began = time.monotonic()
    forks: list[Workspace] = []
    try:
        # One by one, so that those which are there are removed where the next one fails.
        # Their names are short, for the sake of sockets.
        forks.extend(examination.workspace.fork(str(shard.number)) for shard in shards)
        sessions = await _side_by_side(examination, shards, forks, timeout)
        tests_took = time.monotonic() - began
        sessions = [
            _named_as_in(examination.workspace, fork, session)
            for session, fork in zip(sessions, forks, strict=True)
        ]
        session, trouble = _joined(sessions, forks, tests_took)
        if trouble is None:
            time_left = examination.seconds(MERGE_SECONDS)
            trouble = await coverage_data.merge(examination, into, forks, time_left)
    finally:
        for fork in forks:
            fork.remove()
    return ParallelRun(session, trouble, time.monotonic() - began)


async def _side_by_side(
    examination: Examination, shards: Sequence[Shard], forks: Sequence[Workspace], timeout: float
) -> list[Session]:
    told = _Together(examination.progress)

    async def run(shard: Shard, fork: Workspace) -> Session:
        own = replace(examination.within(fork), progress=told.of(shard))
        return await run_tests(own, "pytest.jsonl", shard=shard, timeout=timeout)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(run(shard, fork))
                for shard, fork in zip(shards, forks, strict=True)
            ]
    except BaseExceptionGroup as errors:
        # Whoever told one session's error tells that of several.
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


def _named_as_in(workspace: Workspace, fork: Workspace, session: Session) -> Session:
    """Return a session that names files and itself as it would in the workspace."""
    here, there, recording = str(workspace.root), str(fork.root), session.recording
    for test in recording.tests.values():
        test.message = test.message.replace(there, here)
    for told in (recording.uncollectable, recording.skipped_files, recording.overdue):
        for name, text in told.items():
            told[name] = text.replace(there, here)
    output = session.completed.output.replace(there, here)
    return replace(
        session,
        completed=replace(session.completed, output=output),
        command=session.command.replace(f" -p {PLUGIN}", ""),
    )


class _Together:
    """Tells the progress of several sessions as one."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._steps: dict[int, Step] = {}

    def of(self, shard: Shard) -> Progress:
        """Return what the session of a shard tells its progress to."""

        def tell(step: Step) -> None:
            self._steps[shard.number] = step
            steps = list(self._steps.values())
            totals = [each.total for each in steps if each.total is not None]
            whole = sum(totals) if len(totals) == shard.of else None
            text = f"running tests in {shard.of} sessions"
            self._progress(Step(AGENT, text, sum(each.done or 0 for each in steps), whole))

        return tell


def _joined(
    sessions: Sequence[Session], forks: Sequence[Workspace], seconds: float
) -> tuple[Session | None, str | None]:
    """Return the sessions as one, and what makes that doubtful."""
    collected = [_collected(fork) for fork in forks]
    all_of_first = collected[0]
    if all_of_first is None or None in collected:
        return None, "a session ended before it had collected the tests"
    for each in collected:
        if each is not None and Counter(each) != Counter(all_of_first):
            example = min({*each} ^ {*all_of_first}, default="the same tests, more or less often")
            return None, f"not every session collects the same tests: {example}"
    recordings = [session.recording for session in sessions]
    if wrong := _wrongly_divided(recordings, all_of_first):
        return None, wrong
    whole = replace(
        sessions[0],
        recording=_merged(recordings, all_of_first),
        completed=_completed([session.completed for session in sessions], seconds),
    )
    broken = {frozenset(recording.uncollectable) for recording in recordings}
    return whole, "not every session can collect the same files" if len(broken) > 1 else None


def _collected(fork: Workspace) -> list[str] | None:
    try:
        return read_event(collected_path(fork).read_bytes())["ids"]
    except (FileNotFoundError, ValueError):
        # It did not come so far, or was stopped while it wrote.
        return None


def _wrongly_divided(recordings: Sequence[Recording], order: Sequence[str]) -> str | None:
    """Return which test is in two sessions or in none, as plugins may bring about."""
    seen = Counter(name for recording in recordings for name in recording.tests)
    if twice := [name for name, times in seen.items() if times > 1]:
        return f"{min(twice)} ran in two sessions"
    if lost := set(order) - seen.keys():
        return f"{min(lost)} ran in no session"
    return None


def _merged(recordings: Sequence[Recording], order: Sequence[str]) -> Recording:
    """Return the recording of all sessions, the tests in the order of one."""
    tests: dict[str, Test] = {}
    for recording in recordings:
        tests |= recording.tests
    ordered = {name: tests[name] for name in dict.fromkeys([*order, *tests])}
    exits = [recording.exit for recording in recordings]
    ended = [code for code in exits if code is not None]
    told = [code for code in ended if code != _NO_TESTS]
    first = recordings[0]
    return replace(
        first,
        tests=ordered,
        missing={name: each for part in recordings for name, each in part.missing.items()},
        overdue={name: each for part in recordings for name, each in part.overdue.items()},
        running=next((part.running for part in recordings if part.running is not None), None),
        exit=None if len(ended) < len(exits) else max(told, default=_NO_TESTS),
        internal_error=next(
            (part.internal_error for part in recordings if part.internal_error is not None), None
        ),
        stopped=any(part.stopped for part in recordings),
        exits=next((part.exits for part in recordings if part.exits is not None), None),
        seconds=None,
    )


def worst(codes: Iterable[int]) -> int:
    """Return the exit code that tells most of what went wrong in several processes of pytest."""
    return max((code for code in codes if code != _NO_TESTS), key=_gravity, default=0)


def _gravity(code: int) -> tuple[bool, int]:
    """Order exit codes: a signal is worse than what pytest says, which is the worse the higher."""
    return code < 0, abs(code)


def _completed(parts: Sequence[Completed], seconds: float) -> Completed:
    stopped = next((part.stopped for part in parts if part.stopped is not None), None)
    return replace(
        parts[0],
        exit_code=None if stopped else worst(part.exit_code or 0 for part in parts),
        stopped=stopped,
        seconds=seconds,
        output="\n".join(part.output for part in parts),
    )
