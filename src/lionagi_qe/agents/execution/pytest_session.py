"""One call of pytest in the project's environment, and what came of it."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment import process
from lionagi_qe.agents.execution.outcomes import Recording
from lionagi_qe.agents.execution.pytest_options import (
    Addopts,
    addopts_of,
    blocked_plugins,
    names_of_test_files,
    unknown_options,
)
from lionagi_qe.agents.project.layout import own_modules
from lionagi_qe.agents.project.pytest_settings import enclosing_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.environment.process import Completed

_USAGE_ERROR = 4
_NO_TESTS = 5
_LAST_LINES = 3
_NOT_TRIED = frozenset({"not_run", "unimportable"})


@dataclass(frozen=True, slots=True)
class Session:
    """One call of pytest and what came of it.

    Attributes:
        completed: how the process ended.
        recording: what the tests did.
        command: for people, as they would call it.
        addopts: of the project, as far as they hold.
        stays: what kept its process from ending when all was done, for people; None if nothing did.
    """

    completed: Completed
    recording: Recording
    command: str
    addopts: Addopts
    stays: str | None = None


async def run_pytest(  # noqa: PLR0913 - a session has that many sides
    examination: Examination,
    record: Path,
    *,
    timeout: float,
    memory: int | None = None,
    rcfile: Path | None = None,
    report: Path | None = None,
    arguments: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    watch: Callable[[], str | None] | None = None,
    leave_out: Sequence[str] = (),
) -> Session:
    """Run pytest; once more without options that no plugin here knows, or with files it missed.

    Args:
        examination: whose workspace and environment are used.
        record: where the events go; what it held is lost.
        timeout: most seconds.
        memory: most bytes of data of each process, where the settings name none.
        rcfile: coverage.py's configuration, to measure the run.
        report: where coverage.py's report of the run goes; see ``coverage_data``.
        arguments: of pytest, beside the project's own.
        variables: of the environment, beside those that the tests see anyhow.
        watch: called about ten times a second meanwhile; it may return why to stop.
        leave_out: options that the project sets in ``addopts``, and that are not for this session.

    """
    addopts = addopts_of(examination.workspace.source, examination.environment.declared.options)
    addopts = addopts.without(leave_out) if leave_out else addopts
    blocked = [
        *blocked_plugins(examination.environment.python),
        *enclosing_options(examination.workspace.source),
    ]
    most = examination.settings.max_memory

    async def once(addopts: Addopts, *naming: str) -> Session:
        workspace, environment = examination.workspace, examination.environment
        # Who follows the record has read what is there.
        begins = _size(record)
        leaving_file(record).unlink(missing_ok=True)
        words = ["-p", "aqe_recorder", *blocked, *arguments, *addopts.arguments, *naming]
        completed = await process.run(
            environment.command(
                "pytest",
                *words,
                record=str(record),
                rcfile="" if rcfile is None else str(rcfile),
                report="" if report is None else str(report),
            ),
            cwd=workspace.source,
            env=environment.variables(workspace, examination.settings.pass_env)
            | dict(variables or {}),
            log=record.with_suffix(".log"),
            timeout=timeout,
            memory=memory if most is None else most * 1024**2,
            watch=watch,
        )
        measured = [] if rcfile is None else ["coverage", "run", "--branch", "-m"]
        shown = shlex.join(["python", "-m", *measured, "pytest", *words])
        return Session(completed, Recording.read(record, begins), shown, addopts)

    _forget(record)
    naming = names_of_test_files(examination.workspace.source)
    # Django's own way collects them together with the others.
    given = naming if examination.environment.declared.has_django_settings else []
    session = await once(addopts, *given)
    unknown = unknown_options(session.completed.output)
    if session.completed.exit_code == _USAGE_ERROR and unknown and session.recording.pytest is None:
        session = await once(addopts.without(unknown), *given)
    if session.completed.exit_code == _NO_TESTS and not session.recording.deselected:
        # As unittest and Django call them; pytest has to be told.
        session = await once(session.addopts, *naming) if naming and not given else session
    return session


def _forget(record: Path) -> None:
    record.unlink(missing_ok=True)


def leaving_file(record: Path) -> Path:
    """Return what a session's process writes last of all; see ``aqe_launch``."""
    return record.with_name(f"{record.name}.leaving")


def _size(record: Path) -> int:
    return record.stat().st_size if record.exists() else 0


def missing_packages(examination: Examination, recording: Recording) -> dict[str, list[str]]:
    """Return package -> files or tests that can't be imported without it.

    A missing module of the project itself is a defect, and stays one.
    """
    own = examination.environment.layout.names | own_modules(examination.workspace.source)
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


def why_not_measured(session: Session, missing: Mapping[str, list[str]]) -> str | None:
    """Return why nothing can be said of the tests, if so."""
    recording, completed = session.recording, session.completed
    ran = any(test.outcome not in _NOT_TRIED for test in recording.tests.values())
    if missing and not ran:
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
    at = "" if recording.collecting is None else f", when it imported {recording.collecting}"
    return f"pytest {completed.how} before it had collected the tests{at}: {last_words(session)}"


def last_words(session: Session) -> str:
    """Return what a session that broke off said at its end, on one line."""
    lines = (session.recording.internal_error or session.completed.output).splitlines()
    # Bars are drawn around what is said.
    said = [line.strip() for line in lines if line.strip() and not line.startswith("==")]
    # Of settings it can complain before it tells where they are.
    errors = [line for line in said if line.startswith("ERROR: ")]
    return " / ".join((errors or said)[-_LAST_LINES:]) or "it said nothing"
