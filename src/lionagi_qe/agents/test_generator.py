"""Writes tests for functions that no test runs, and keeps those that are worth it."""

from __future__ import annotations

import ast
import builtins
import json
import re
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from lionagi_qe.agents import process
from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.coverage_settings import write_rcfile
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.mutants import mutants_of
from lionagi_qe.agents.mutation_trials import Candidate, guarded, try_mutants
from lionagi_qe.agents.pytest_session import run_pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.workspace import Workspace

_TOOL = "hypothesis"
_REQUIREMENT = "hypothesis[ghostwriter]>=6.115"
_DEFAULT_SECONDS = 60.0
_PASSES = 5
_SESSION_SECONDS = 30.0
# What a hundred examples may take; mutants get a multiple of it.
_FUZZ_SECONDS = 1.0
_FOLDER = "aqe_generated"


@dataclass(frozen=True, slots=True)
class _Target:
    """A function to write a test for.

    Attributes:
        file: within the project.
        module: as it is imported.
        function: its name.
        missed: its lines that no test runs.
    """

    file: str
    module: str
    function: str
    missed: tuple[int, ...]

    @property
    def test_file(self) -> str:
        """The name of the test's file."""
        return (
            f"test_generated_{re.sub(r'[^a-z0-9]+', '_', self.module.lower())}_{self.function}.py"
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """A test that is worth keeping, and why."""

    name: str
    file: str
    function: str
    source: str
    lines_added: tuple[int, ...]
    mutants_killed: int
    mutants_tried: int


class TestGenerator(Agent):
    """Property-based tests by Hypothesis' ghostwriter, tried before they are offered.

    A test is kept if it collects, passes five times with other seeds, and runs lines that no test
    ran or notices a mutant that survived. The function is called with arguments that nobody chose,
    so it may touch nothing but them. Nothing is written into the project.
    """

    name: ClassVar[str] = "test-generator"
    after: ClassVar[tuple[str, ...]] = ("test-executor", "coverage-analyzer", "mutation-tester")
    needs: ClassVar[tuple[str, ...]] = ("test-executor", "coverage-analyzer")
    elastic: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, str]] = {
        "generated_tests": "tests",
        "generated_lines": "lines",
        "generated_kills": "mutants",
        "generation_tried": "functions",
        "generation_left": "functions",
    }

    async def examine(self, examination: Examination) -> Findings:
        """Try one function after the other, those with the most missed lines first."""
        until = time.monotonic() + examination.left(_DEFAULT_SECONDS)
        commit = examination.workspace.commit
        coverage = examination.findings.get("coverage-analyzer")
        gaps = None if coverage is None else coverage.metric("gaps")
        if coverage is None or gaps is None or not gaps.measured:
            reason = "coverage was not measured" if gaps is None else str(gaps.reason)
            return self.unmeasured(Source(_TOOL, None, None, commit), reason)

        def tell(text: str) -> None:
            examination.progress(Step(self.name, text))

        tools = await examination.environment.with_tools(
            [_REQUIREMENT], examination.workspace, tell
        )
        own = replace(examination, environment=tools)
        targets = list(_targets(examination, coverage.details["gaps"]))
        kept: list[_Kept] = []
        rejected: list[dict[str, str]] = []
        tried = 0
        for target in targets:
            if time.monotonic() >= until:
                break
            tell(f"writing a test of {target.module}.{target.function}")
            tried += 1
            found = await _attempt(own, target, until)
            if isinstance(found, str):
                rejected.append({"file": target.file, "function": target.function, "why": found})
            else:
                kept.append(found)
        source = Source(_TOOL, await _version(own), "hypothesis write --style=pytest", commit)
        values = {
            "generated_tests": len(kept),
            "generated_lines": sum(len(each.lines_added) for each in kept),
            "generated_kills": sum(each.mutants_killed for each in kept),
            "generation_tried": tried,
            "generation_left": len(targets) - tried,
        }
        return Findings(
            self.name,
            tuple(source.measured(name, values[name], unit) for name, unit in self.metrics.items()),
            details={"tests": [asdict(each) for each in kept], "rejected": rejected},
        )


def _targets(examination: Examination, gaps: Sequence[Mapping[str, Any]]) -> Iterator[_Target]:
    """Yield public functions of modules with missed lines: a method needs an object to be made."""
    roots = examination.environment.layout.roots
    source = examination.workspace.source
    for gap in gaps:
        name: str = gap["function"]
        if not name.isidentifier() or name.startswith("_") or not gap["missed_lines"]:
            continue
        path = source / gap["file"]
        root = next((root for root in roots if path.is_relative_to(root)), None)
        if root is not None:
            parts = list(path.relative_to(root).with_suffix("").parts)
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if module:
                yield _Target(gap["file"], module, name, tuple(gap["missed_lines"]))


async def _attempt(examination: Examination, target: _Target, until: float) -> _Kept | str:
    """Return a test that is worth keeping, or why there is none."""
    with examination.workspace.fork(f"generate-{target.module}-{target.function}") as fork:
        own = replace(examination, workspace=fork, environment=examination.environment.within(fork))
        text = await _write(own, target, until)
        if isinstance(text, str):
            return text
        source = text[0]
        folder = fork.source / _FOLDER
        _put(folder / target.test_file, source)
        added = await _passes(own, target, until)
        if isinstance(added, str):
            return added
        killed, tried = await _kills(own, target, source, until)
        if not added and not killed:
            return "it passes, runs no line that was not run before, and notices no mutant"
        return _Kept(target.test_file, target.file, target.function, source, added, killed, tried)


async def _write(examination: Examination, target: _Target, until: float) -> tuple[str] | str:
    """Return the test's text, or why the ghostwriter has none."""
    workspace, environment = examination.workspace, examination.environment
    out = workspace.artifacts / "ghost.py"
    exceptions = _raised(workspace.pristine / target.file, target.function)
    completed = await process.run(
        environment.command(
            "aqe_ghostwriter", str(out), target.module, target.function, *exceptions
        ),
        cwd=workspace.source,
        env=environment.variables(workspace, examination.settings.pass_env),
        log=workspace.artifacts / "ghost.log",
        timeout=max(min(_SESSION_SECONDS, until - time.monotonic()), 1.0),
    )
    if completed.exit_code != 0:
        said = workspace.shown(completed.output).strip().splitlines()
        return f"the ghostwriter can't write it: {said[-1] if said else completed.how}"
    text = _read(out)
    if "st.nothing()" in text:
        return "the types of its arguments are not known: annotate them"
    return (text,)


async def _passes(examination: Examination, target: _Target, until: float) -> tuple[int, ...] | str:
    """Return the lines that the test adds, once it passed five times; or why it is not kept."""
    workspace = examination.workspace
    rcfile = write_rcfile(workspace, examination.environment)
    for number in range(_PASSES):
        if time.monotonic() >= until:
            return "there was no time to see it pass five times"
        session = await run_pytest(
            examination,
            workspace.artifacts / f"pass-{number}.jsonl",
            rcfile=rcfile if number == 0 else None,
            arguments=[
                *("-p", "aqe_guard", "-p", "no:cacheprovider", f"--hypothesis-seed={number}"),
                f"{_FOLDER}/{target.test_file}",
            ],
            variables=guarded(workspace),
            timeout=max(min(_SESSION_SECONDS, until - time.monotonic()), 1.0),
        )
        refused = _refused(workspace)
        if refused:
            return f"it acts on more than its arguments: {refused}"
        tests = session.recording.tests.values()
        if not tests or session.recording.uncollectable:
            return "it can't be collected"
        failed = next((test for test in tests if test.outcome != "passed"), None)
        if failed is not None:
            lines = [line for line in failed.message.splitlines() if line.startswith("E  ")]
            said = lines[0][1:].strip() if lines else failed.outcome
            return f"it does not pass: {said}"
    covered = await _covered(examination, target)
    return tuple(line for line in target.missed if line in covered)


async def _covered(examination: Examination, target: _Target) -> frozenset[int]:
    """Return the lines of the target's file that the measured pass ran."""
    workspace, environment = examination.workspace, examination.environment
    rcfile = f"--rcfile={workspace.artifacts / 'coveragerc'}"
    out = workspace.artifacts / "generated.json"
    for arguments in (["combine", rcfile], ["json", rcfile, "-i", "-o", str(out)]):
        completed = await process.run(
            environment.command("coverage", *arguments),
            cwd=workspace.source,
            env=environment.variables(workspace),
            log=workspace.artifacts / "coverage.log",
            timeout=_SESSION_SECONDS,
        )
        if completed.exit_code != 0:
            return frozenset()
    report = json.loads(_read(out))
    return frozenset(report["files"].get(target.file, {}).get("executed_lines", []))


async def _kills(
    examination: Examination, target: _Target, source: str, until: float
) -> tuple[int, int]:
    """Return how many mutants of the function the test notices, and how many were tried."""
    path = examination.workspace.pristine / target.file
    name = f"{_FOLDER}/{target.test_file}"
    test = f"{name}::test_fuzz_{target.function}"
    candidates = [
        Candidate(mutant, (test,), changed=False)
        for mutant in mutants_of(target.file, path.read_text(encoding="utf-8"))
        if mutant.function == target.function
    ]
    if not candidates or time.monotonic() >= until:
        return 0, 0
    trials = await try_mutants(
        examination, candidates, until, {test: _FUZZ_SECONDS}, files={name: source}
    )
    noticed = [outcome for outcome in trials.outcomes.values() if outcome == "killed"]
    return len(noticed), len(trials.outcomes)


def _refused(workspace: Workspace) -> str:
    path = workspace.artifacts / "guard.txt"
    return ", ".join(sorted(set(_read(path).split()))) if path.exists() else ""


def _raised(path: Path, function: str) -> list[str]:
    """Return the built-in exceptions that a function raises on purpose, by its text."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(_read(path))):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            for each in ast.walk(node):
                if isinstance(each, ast.Raise) and each.exc is not None:
                    raised = each.exc.func if isinstance(each.exc, ast.Call) else each.exc
                    if isinstance(raised, ast.Name):
                        names.add(raised.id)
    return sorted(name for name in names if _is_exception(name))


def _is_exception(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, Exception)


async def _version(examination: Examination) -> str:
    """Return Hypothesis' version, from the overlay that was used."""
    overlay = examination.environment.overlays[-1]
    return _dist_version(overlay)


def _dist_version(overlay: Path) -> str:
    found = sorted(overlay.glob("hypothesis-*.dist-info"))
    return found[0].name.split("-")[1].removesuffix(".dist") if found else "unknown"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
