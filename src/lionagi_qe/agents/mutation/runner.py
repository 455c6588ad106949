"""Trials of mutants: one pytest process that forks for each of them; see ``aqe_mutants``."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.pytest_session import last_words, run_pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.mutation.operators import Mutant
    from lionagi_qe.agents.project.workspace import Workspace

# What the end of pytest's process may take of the time there is.
_SHUTDOWN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mutant, the tests that run its line, and whether the line was changed since the base."""

    mutant: Mutant
    tests: tuple[str, ...]
    changed: bool


@dataclass(slots=True)
class Trials:
    """What came of the mutants that were tried.

    Attributes:
        outcomes: number among the candidates -> "killed", "survived", "timed out", "invalid" (the
            change is no Python), "unreached" (no function to change lives) or "unjudged".
        excluded: tests that fail on the unchanged code, when they run a second time, or in another
            order.
        problem: why none was tried, if so.
    """

    outcomes: dict[int, str] = field(default_factory=dict[int, str])
    excluded: frozenset[str] = frozenset()
    problem: str | None = None


async def try_mutants(  # noqa: PLR0913 - trials have that many sides
    examination: Examination,
    candidates: Sequence[Candidate],
    until: float,
    took: Mapping[str, float],
    *,
    files: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    tell: Callable[[int], None] | None = None,
) -> Trials:
    """Run the tests on the mutants in one pytest process, which forks for each of them.

    Args:
        examination: of what.
        candidates: the mutants, in the order in which they are tried.
        until: by ``time.monotonic``, when to stop.
        took: test -> seconds on the unchanged code, where that is known.
        files: further test files, name -> text; then these alone are collected, and from the start
            they are kept from touching anything outside the scratch directory.
        arguments: further ones of pytest.
        tell: called with how many were tried, now and then.

    """
    with examination.workspace.fork("mutants") as fork:
        own = examination.within(fork)
        out = fork.artifacts / "mutants.jsonl"
        task = fork.artifacts / "mutants.json"
        until = max(until, time.monotonic() + _SHUTDOWN_SECONDS + 1.0)
        _write_task(task, out, candidates, took, fork, until - _SHUTDOWN_SECONDS)
        for name, text in (files or {}).items():
            _put(fork.source / name, text)

        def watch() -> None:
            if tell is not None and out.exists():
                # Counted and not parsed, ten times a second.
                tell(out.read_bytes().count(b'"outcome"'))

        session = await run_pytest(
            own,
            fork.artifacts / "session.jsonl",
            arguments=[
                *(("-p", "aqe_guard") if files else ()),
                *("-p", "aqe_mutants", "-p", "no:randomly", "-p", "no:random_order"),
                *("-p", "no:cacheprovider", "-s", "--continue-on-collection-errors"),
                *arguments,
                *(files or ()),
            ],
            variables={"AQE_MUTANTS": str(task), "PYTHONHASHSEED": "0"}
            | (guarded(fork) if files else {}),
            timeout=until - time.monotonic(),
            watch=watch,
        )
        lines = _lines(out)
        completed = session.completed
        ended_early = completed.stopped is None and completed.exit_code != 0
        if not lines or (ended_early and not any("id" in line for line in lines)):
            said = fork.shown(last_words(session))
            return Trials(
                problem=f"pytest {session.completed.how} before a mutant was tried: {said}"
            )
        return _trials_of(lines, candidates)


def guarded(workspace: Workspace) -> dict[str, str]:
    """Return the environment under which ``aqe_guard`` keeps code from touching the project."""
    allowed = (workspace.artifacts, workspace.temporary, workspace.home)
    return {
        "AQE_GUARD": os.pathsep.join(map(str, allowed)),
        "AQE_GUARD_READS": str(workspace.root),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(workspace.temporary / "hypothesis"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _write_task(  # noqa: PLR0913, PLR0917 - what the plugin is to do
    task: Path,
    out: Path,
    candidates: Sequence[Candidate],
    took: Mapping[str, float],
    fork: Workspace,
    until: float,
) -> None:
    tests = sorted({test for each in candidates for test in each.tests})
    numbers = {test: number for number, test in enumerate(tests)}
    document = {
        "out": str(out),
        "until": until,
        "tests": tests,
        "took": [took.get(test, 0.0) for test in tests],
        "mutants": [
            {
                "id": number,
                "path": str(fork.source / each.mutant.file),
                "start": each.mutant.start,
                "end": each.mutant.end,
                "replacement": each.mutant.replacement,
                "name": each.mutant.outermost[0],
                "line": each.mutant.outermost[1],
                # The quickest first: most mutants fall to the first test that looks.
                "tests": [
                    numbers[test]
                    for test in sorted(each.tests, key=lambda test: took.get(test, 0.0))
                ],
            }
            for number, each in enumerate(candidates)
        ],
    }
    task.write_text(json.dumps(document), encoding="utf-8")


def _trials_of(lines: Sequence[dict[str, Any]], candidates: Sequence[Candidate]) -> Trials:
    tests = sorted({test for each in candidates for test in each.tests})
    judged = {
        tests[int(number)]: passed
        for line in lines
        for number, passed in line.get("judged", {}).items()
    }
    if len(judged) == len(tests) and not any(judged.values()):
        return Trials(problem="no test passes on the unchanged code, so none can judge")
    outcomes: dict[int, str] = {line["id"]: line["outcome"] for line in lines if "id" in line}
    return Trials(outcomes, frozenset(test for test, passed in judged.items() if not passed))


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
