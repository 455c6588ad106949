"""Runs the project's tests once, under coverage measurement, and counts them one by one."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lionagi_qe.agents import process
from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.coverage_settings import write_rcfile
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.pytest_options import Addopts, addopts_of, unknown_options
from lionagi_qe.agents.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lionagi_qe.agents.base import Examination, Progress
    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.agents.process import Completed

_USAGE_ERROR = 4
_LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class _Session:
    """One call of pytest and what came of it."""

    completed: Completed
    recording: Recording
    command: str
    addopts: Addopts


class TestExecutor(Agent):
    """Counts tests and subtests by outcome, each test with its time and message."""

    name: ClassVar[str] = "test-executor"
    metrics: ClassVar[Mapping[str, str]] = {
        "tests_collected": "tests",
        "tests_passed": "tests",
        "tests_failed": "tests",
        "tests_errors": "tests",
        "tests_skipped": "tests",
        "tests_xfailed": "tests",
        "tests_xpassed": "tests",
        "tests_interrupted": "tests",
        "tests_not_run": "tests",
        "subtests_passed": "subtests",
        "subtests_failed": "subtests",
        "subtests_skipped": "subtests",
        "collection_errors": "files",
        "test_seconds": "s",
    }

    async def examine(self, examination: Examination) -> Findings:
        """Run pytest; see Recording for what is counted."""
        session = await _run_pytest(examination)
        recording = session.recording
        source = Source("pytest", recording.pytest, session.command, examination.workspace.commit)
        missing = _missing_packages(examination, recording)
        reason = _why_not_measured(session, missing)
        return Findings(
            self.name,
            tuple(self._metrics(source, session, reason)),
            details={
                "tests": recording.as_details(),
                "uncollectable": recording.uncollectable,
                "missing": missing,
                "complete": recording.exit is not None and not missing,
                "ended": session.completed.how,
                "exit_code": session.completed.exit_code,
                "plugins": list(recording.plugins),
                "output": examination.workspace.shown(session.completed.output),
            },
            notes=tuple(_notes(session)),
        )

    def _metrics(self, source: Source, session: _Session, reason: str | None) -> list[Metric]:
        if reason is not None:
            return [source.unmeasured(name, unit, reason) for name, unit in self.metrics.items()]
        recording = session.recording
        counts = recording.outcomes()
        subtests = recording.subtests()
        values = {
            "tests_collected": len(recording.tests),
            "tests_errors": counts["error"],
            "collection_errors": len(recording.uncollectable),
            "test_seconds": round(session.completed.seconds, 3),
        }
        for name in self.metrics:
            kind, _, outcome = name.partition("_")
            if name not in values:
                values[name] = (subtests if kind == "subtests" else counts)[outcome]
        return [source.measured(name, values[name], unit) for name, unit in self.metrics.items()]


async def _run_pytest(examination: Examination) -> _Session:
    """Run pytest; once more without options that no plugin here knows."""
    addopts = addopts_of(examination.workspace.source)
    session = await _run_once(examination, addopts)
    unknown = unknown_options(session.completed.output)
    if session.completed.exit_code == _USAGE_ERROR and unknown and session.recording.pytest is None:
        session = await _run_once(examination, addopts.without(unknown))
    return session


async def _run_once(examination: Examination, addopts: Addopts) -> _Session:
    workspace, environment = examination.workspace, examination.environment
    record = workspace.artifacts / "pytest.jsonl"
    record.unlink(missing_ok=True)
    rcfile = write_rcfile(workspace, environment)
    arguments = ["-p", "aqe_recorder", "--continue-on-collection-errors", *addopts.arguments]
    command = environment.command("pytest", *arguments, record=str(record), rcfile=str(rcfile))
    completed = await process.run(
        command,
        cwd=workspace.source,
        env=environment.variables(workspace, examination.settings.pass_env),
        log=workspace.artifacts / "pytest.log",
        timeout=examination.seconds(examination.settings.timeout),
        watch=_Follower(record, examination.progress).look,
    )
    shown = shlex.join(["python", "-m", "coverage", "run", "--branch", "-m", "pytest", *arguments])
    return _Session(completed, Recording.read(record), shown, addopts)


class _Follower:
    """Reads the record as it grows, and tells how many tests have ended."""

    def __init__(self, record: Path, progress: Progress) -> None:
        self._record = record
        self._progress = progress
        self._offset = 0
        self._done = 0
        self._total: int | None = None

    def look(self) -> None:
        """Tell what is new."""
        if not self._record.exists():
            return
        with self._record.open("rb") as file:
            file.seek(self._offset)
            news = file.read()
        news = news[: news.rfind(b"\n") + 1]
        self._offset += len(news)
        done = self._done
        for line in news.splitlines():
            event = json.loads(line)
            if event["event"] == "collected":
                self._total = len(event["ids"])
            done += event["event"] == "finish"
        if news:
            self._done = done
            self._progress(Step(TestExecutor.name, "running tests", done, self._total))


def _missing_packages(examination: Examination, recording: Recording) -> dict[str, list[str]]:
    """Return package -> files or tests that can't be imported without it.

    A missing module of the project itself is a defect, and stays one.
    """
    own = examination.environment.layout.names | _own_names(examination.workspace.source)
    missing: dict[str, list[str]] = {}
    where = dict(recording.missing)
    where |= {test.id: test.missing for test in recording.tests.values() if test.missing}
    for place, module in where.items():
        name = module.partition(".")[0]
        if name in own or name in sys.stdlib_module_names:
            continue
        missing.setdefault(name, []).append(place)
        test = recording.tests.get(place)
        if test is not None:
            test.outcome = "unimportable"
    return missing


def _own_names(source: Path) -> set[str]:
    """Return the names that modules of the tests themselves may have."""
    return {path.stem for path in source.rglob("*.py")} | {
        path.name for path in source.rglob("*") if path.is_dir()
    }


def _why_not_measured(session: _Session, missing: Mapping[str, list[str]]) -> str | None:
    recording, completed = session.recording, session.completed
    if missing:
        packages = ", ".join(sorted(missing))
        place = next(iter(missing.values()))[0]
        return (
            f"{place} needs the module {packages}, which is not installed; declare it among the "
            "project's test requirements, or name an environment that has it with --python"
        )
    nothing_ran = all(test.outcome == "not_run" for test in recording.tests.values())
    if not (recording.internal_error is not None and nothing_ran):
        if recording.tests or recording.uncollectable:
            return None
        if recording.collected and recording.exit is not None:
            return "pytest collected no tests; check testpaths and that files are named test_*.py"
    said = (recording.internal_error or completed.output).strip().splitlines()
    last = " / ".join(line.strip() for line in said[-_LAST_LINES:])
    return f"pytest {completed.how} before it had collected the tests: {last or 'it said nothing'}"


def _notes(session: _Session) -> list[str]:
    notes: list[str] = []
    recording = session.recording
    if session.addopts.dropped:
        notes.append(
            "pytest options of the project left out of the measured run: "
            + " ".join(session.addopts.dropped)
        )
    if recording.deselected:
        notes.append(f"{recording.deselected} tests deselected by the project's own options")
    if recording.skipped_modules:
        notes.append(f"{recording.skipped_modules} test files skip themselves as a whole")
    return notes
