"""Runs the project's type checker in the project's environment, and tells which errors are new."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.environment import process
from lionagi_qe.agents.finding import Finding, fingerprinted
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.project.scratch import read_left
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.agents.scan import Scan, details_of
from lionagi_qe.agents.type_check.checker import Checker, TypeFault, Unreadable, new_among
from lionagi_qe.agents.type_check.mypy import Mypy
from lionagi_qe.agents.type_check.pyright import Pyright
from lionagi_qe.agents.type_check.stubs import declared_for_types, names
from lionagi_qe.errors import EnvironmentBuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.environment.target import Environment
    from lionagi_qe.agents.project.diff import Diff

_CHECKERS: tuple[Checker, ...] = (Mypy(), Pyright())
# A large project takes a checker without a cache some minutes.
_TIMEOUT = 900.0
_NOT_CONFIGURED = (
    "the project configures neither mypy nor pyright; name one with type-checker in [tool.aqe]"
)


class TypeChecker(Agent):
    """mypy or pyright by the project's settings; what the base had is compared, lines may move."""

    name: ClassVar[str] = "type-checker"
    metrics: ClassVar[Mapping[str, str]] = {"type_errors": "errors", "type_errors_new": "errors"}

    async def examine(self, examination: Examination) -> Findings:
        """Check a copy; with a base also the copy as it was there, by today's settings.

        Raises:
            EnvironmentBuildError: the checker could not be installed.

        """
        workspace = examination.workspace
        checker, others = _chosen(examination)
        if checker is None:
            return self.unmeasured(Source("mypy", None, None, workspace.commit), _NOT_CONFIGURED)
        examination.progress(Step(self.name, f"checking types with {checker.name}"))
        with workspace.fork("types") as fork:
            environment, notes = await _equipped(examination, checker)
            call = _Call(replace(examination, workspace=fork), environment.within(fork), checker)
            source = Source(
                checker.name, await call.version(), call.shown(), examination.workspace.commit
            )
            try:
                now = await call.faults("now")
            except Unreadable as error:
                found = self.unmeasured(source, workspace.shown(fork.shown(str(error))))
                details = details_of([Scan(source, reason=found.metrics[0].reason)], ())
                return replace(found, details=details, notes=tuple(notes))
            new: list[TypeFault] | str = "no commit to compare with was named: --base COMMIT"
            if examination.diff is not None:
                turn_back(fork.source, examination.diff, checker.config_files)
                try:
                    new = new_among(now, await call.faults("base"))
                except Unreadable as error:
                    new = f"at {examination.diff.ref}: {workspace.shown(fork.shown(str(error)))}"
        notes += [f"{other} is configured too, and was not run" for other in others]
        return self._told(examination, Told(source, checker, now, new), notes)

    def _told(self, examination: Examination, told: Told, notes: Sequence[str]) -> Findings:
        scan = Scan(told.source, tuple(told.findings()))
        findings = fingerprinted(scan.findings, examination.workspace.pristine)
        unit = self.metrics["type_errors"]
        new = (
            told.source.unmeasured("type_errors_new", unit, told.new)
            if isinstance(told.new, str)
            else told.source.measured("type_errors_new", len(told.new), unit)
        )
        return Findings(
            self.name,
            (told.source.measured("type_errors", len(told.now), unit), new),
            details=details_of([scan], findings),
            notes=tuple(notes),
        )


@dataclass(frozen=True, slots=True)
class Told:
    """What a checker said: all errors, and those that are new, or why that isn't known."""

    source: Source
    checker: Checker
    now: Sequence[TypeFault]
    new: Sequence[TypeFault] | str

    def findings(self) -> list[Finding]:
        """Return the errors as findings."""
        fresh = set() if isinstance(self.new, str) else set(map(id, self.new))
        return [
            Finding(
                self.source.tool,
                str(self.source.version),
                fault.rule,
                fault.rule,
                "error",
                fault.message + (" (new since the base)" if id(fault) in fresh else ""),
                fault.file,
                fault.line,
                fault.end_line,
                self.checker.url(fault.rule),
            )
            for fault in self.now
        ]


@dataclass(frozen=True, slots=True)
class _Call:
    """How a checker is run over a workspace."""

    examination: Examination
    environment: Environment
    checker: Checker

    def shown(self) -> str:
        project = self.examination.workspace.source
        return shlex.join([self.checker.name, *self.checker.arguments(project, self.environment)])

    async def version(self) -> str:
        """Return the checker's version; EnvironmentBuildError if it doesn't start."""
        completed, text = await self._run("version", ["--version"])
        words = [word for word in text.split() if word[:1].isdigit()]
        if completed.exit_code != 0 or not words:
            said = text.strip().splitlines()
            raise EnvironmentBuildError(
                f"{self.checker.name} does not start in the project's environment: "
                f"{said[-1] if said else 'it said nothing'}"
            )
        return words[0]

    async def faults(self, name: str) -> list[TypeFault]:
        """Return the errors; Unreadable if it did not look."""
        checker, workspace = self.checker, self.examination.workspace
        words = checker.arguments(workspace.source, self.environment)
        quiet = checker.quiet(self.environment, workspace.artifacts)
        completed, text = await self._run(name, [*quiet, *words])
        return checker.read(completed, text, workspace.source)

    async def _run(self, name: str, words: Sequence[str]) -> tuple[process.Completed, str]:
        workspace, environment = self.examination.workspace, self.environment
        variables = environment.variables(workspace, self.examination.settings.pass_env)
        # The checker would take the project's code there for installed packages.
        variables.pop("PYTHONPATH", None)
        variables |= self.checker.variables(environment)
        log = workspace.artifacts / f"{self.checker.name}-{name}.log"
        completed = await process.run(
            environment.command(self.checker.name, *words),
            cwd=workspace.source,
            env=variables,
            log=log,
            timeout=self.examination.seconds(_TIMEOUT),
        )
        return completed, read_left(log).decode("utf-8", "replace")


def _chosen(examination: Examination) -> tuple[Checker | None, list[str]]:
    """Return the checker, and the names of others that are configured."""
    wanted = examination.settings.type_checker
    if wanted != "auto":
        return next(each for each in _CHECKERS if each.name == wanted), []
    project = examination.workspace.pristine
    configured = [each for each in _CHECKERS if each.is_configured(project)]
    if not configured:
        return None, []
    return configured[0], [each.name for each in configured[1:]]


async def _equipped(examination: Examination, checker: Checker) -> tuple[Environment, list[str]]:
    """Return the environment with the checker and what the project declares for it."""
    workspace, environment = examination.workspace, examination.environment

    def tell(text: str) -> None:
        examination.progress(Step(TypeChecker.name, text))

    pyproject = read_pyproject(workspace.pristine)
    declared = declared_for_types(workspace.pristine, pyproject)
    if not declared:
        return await environment.with_tools([checker.requirement], workspace, tell), []
    own = [] if checker.name in names(declared) else [checker.requirement]
    try:
        return await environment.with_tools([*own, *declared], workspace, tell), []
    except EnvironmentBuildError as error:
        note = f"what is declared for type checking was not installed: {error}"
        return await environment.with_tools([checker.requirement], workspace, tell), [note]


def turn_back(tree: Path, diff: Diff, keep: Sequence[str]) -> None:
    """Write the files of a tree as they were at the base, but for those at its top in ``keep``.

    Where the project has put links since, nothing is written through them.
    """
    for name, change in diff.changes.items():
        path = tree / name
        is_inside = path.parent.resolve().is_relative_to(tree.resolve())
        if name in keep or not is_inside or (change.before is None and change.after is None):
            continue
        if path.is_symlink() or change.before is None:
            path.unlink(missing_ok=True)
        if change.before is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(change.before) + "\n", encoding="utf-8")
