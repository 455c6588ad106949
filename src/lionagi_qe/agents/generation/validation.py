"""The trial that every candidate of a test goes through, whoever wrote it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lionagi_qe.agents.coverage.settings import write_rcfile
from lionagi_qe.agents.environment import process
from lionagi_qe.agents.execution.pytest_session import run_pytest
from lionagi_qe.agents.generation.candidate import Verdict
from lionagi_qe.agents.mutation.operators import mutants_of
from lionagi_qe.agents.mutation.runner import Candidate, guarded, try_mutants

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.execution.outcomes import Recording
    from lionagi_qe.agents.generation.candidate import CandidateTest, Target
    from lionagi_qe.agents.project.workspace import Workspace

PASSES = 5
FOLDER = "aqe_generated"
# Its plugin imports all of it, which takes longer than most tests.
WITHOUT_HYPOTHESIS = ("-p", "no:hypothesispytest")
_SESSION_SECONDS = 30.0
# What a hundred examples may take; mutants get a multiple of it.
_FUZZ_SECONDS = 1.0


async def try_candidate(
    examination: Examination, target: Target, candidate: CandidateTest, until: float
) -> Verdict:
    """Try a candidate on a copy of its own, under the guard.

    It is useful if it can be collected, passes five times with other seeds, and runs lines that no
    test ran or notices a mutant that no test noticed. A test that fails twice alike is told as a
    failure: either it or the code is wrong, which nobody has judged.
    """
    with examination.workspace.fork(f"candidate-{candidate.name}") as fork:
        own = examination.within(fork)
        _put(fork.source / FOLDER / candidate.name, candidate.source)
        passed = await _pass(own, candidate, until)
        if isinstance(passed, Verdict):
            return passed
        covered = await _covered(own, target)
        added = tuple(line for line in target.missed if line in covered)
        killed, survivors = await _kills(own, target, candidate, passed, until)
        if not added and not killed:
            why = "it passes, runs no line that was not run before, and notices no mutant"
            return Verdict(candidate, "passed", why, survivors=survivors)
        return Verdict(candidate, "useful", lines_added=added, killed=killed, survivors=survivors)


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a candidate: why it did not pass, and whether a test of it failed."""

    recording: Recording
    built: bool = True
    why: str | None = None
    failed: bool = False


async def _pass(
    examination: Examination, candidate: CandidateTest, until: float
) -> Mapping[str, float] | Verdict:
    """Return the tests with their seconds once they passed five times; else the verdict.

    The first run is measured by coverage.py.
    """
    took: dict[str, float] = {}
    for number in range(PASSES):
        if time.monotonic() >= until:
            stage = "built" if number else "proposed"
            return Verdict(candidate, stage, "there was no time to see it pass five times")
        run = await _run(examination, candidate, until, number, f"pass-{number}")
        if run.why is None:
            took |= {test.id: test.seconds for test in run.recording.tests.values()}
            continue
        if not run.failed:
            return Verdict(candidate, "built" if run.built else "proposed", run.why)
        again = await _run(examination, candidate, until, number, "again")
        if again.failed:
            return Verdict(candidate, "built", run.why, failure=run.why)
        return Verdict(candidate, "built", f"it fails now and then; {run.why}")
    return took


async def _run(
    examination: Examination, candidate: CandidateTest, until: float, seed: int, name: str
) -> _Run:
    workspace = examination.workspace
    measured = seed == 0 and name != "again"
    session = await run_pytest(
        examination,
        workspace.artifacts / f"{name}.jsonl",
        rcfile=write_rcfile(workspace, examination.environment) if measured else None,
        arguments=[
            *("-p", "aqe_guard", "-p", "no:cacheprovider"),
            *([f"--hypothesis-seed={seed}"] if _is_property(candidate) else WITHOUT_HYPOTHESIS),
            f"{FOLDER}/{candidate.name}",
        ],
        variables=guarded(workspace),
        timeout=max(min(_SESSION_SECONDS, until - time.monotonic()), 1.0),
    )
    recording = session.recording
    tests = list(recording.tests.values())
    built = bool(tests) and not recording.uncollectable
    refused = _refused(workspace)
    if refused:
        return _Run(recording, built, f"it acts on more than its arguments: {refused}")
    if session.completed.stopped is not None:
        return _Run(recording, built, f"it was stopped: {session.completed.stopped}")
    if not built:
        said = next(iter(recording.uncollectable.values()), session.completed.output)
        why = f"it can't be collected: {_last_line(workspace.shown(said))}"
        return _Run(recording, built=False, why=why)
    bad = next((test for test in tests if test.outcome != "passed"), None)
    if bad is None:
        return _Run(recording)
    said = _asserted(workspace.shown(bad.message)) or bad.outcome
    return _Run(recording, why=f"it does not pass: {said}", failed=bad.outcome == "failed")


def _is_property(candidate: CandidateTest) -> bool:
    return "hypothesis" in candidate.source


async def _covered(examination: Examination, target: Target) -> frozenset[int]:
    """Return the lines of the target's file that the measured pass ran."""
    workspace, environment = examination.workspace, examination.environment
    out = workspace.artifacts / "generated.json"
    completed = await process.run(
        environment.command("aqe_coverage", str(workspace.artifacts / "coveragerc"), str(out)),
        cwd=workspace.source,
        env=environment.variables(workspace),
        log=workspace.artifacts / "coverage.log",
        timeout=_SESSION_SECONDS,
    )
    if completed.exit_code != 0:
        return frozenset()
    report = json.loads(out.read_text(encoding="utf-8"))
    return frozenset(report["files"].get(target.file, {}).get("executed_lines", []))


async def _kills(
    examination: Examination,
    target: Target,
    candidate: CandidateTest,
    took: Mapping[str, float],
    until: float,
) -> tuple[frozenset[str], frozenset[str]]:
    """Return which mutants the candidate notices and which not, of the unnoticed ones.

    These are the known survivors and the mutants of lines that no test ran.
    """
    missed = set(target.missed)
    # Line ends as they are: mutants count characters.
    with (examination.workspace.pristine / target.file).open(encoding="utf-8", newline="") as file:
        text = file.read()
    candidates = [
        Candidate(mutant, tuple(took), changed=False)
        for mutant in mutants_of(target.file, text)
        if mutant.function == target.function
        and (
            mutant.rank in target.survivors
            or not missed.isdisjoint({mutant.line, mutant.statement})
        )
    ]
    if not candidates or time.monotonic() >= until:
        return frozenset(), frozenset()
    trials = await try_mutants(
        examination,
        candidates,
        until,
        {test: max(seconds, _FUZZ_SECONDS) for test, seconds in took.items()},
        files={f"{FOLDER}/{candidate.name}": candidate.source},
        arguments=() if _is_property(candidate) else WITHOUT_HYPOTHESIS,
    )

    def with_outcome(wanted: str) -> frozenset[str]:
        return frozenset(
            candidates[number].mutant.rank
            for number, outcome in trials.outcomes.items()
            if outcome == wanted
        )

    return with_outcome("killed"), with_outcome("survived")


def _refused(workspace: Workspace) -> str:
    path = workspace.artifacts / "guard.txt"
    if not path.exists():
        return ""
    return ", ".join(sorted(set(path.read_text(encoding="utf-8").split())))


def _asserted(message: str) -> str:
    """Return what pytest marks as the error, in one line."""
    lines = [line[1:].strip() for line in message.splitlines() if line.startswith("E  ")]
    return lines[0] if lines else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _asserted(text) or (lines[-1] if lines else "pytest says nothing")


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
