"""The interpreter that the project's code runs in, with everything its tests need.

By default a cached virtual environment holds what the project declares. With ``--python`` the
user's own is used as it is, and the tools come from a cached directory behind its packages.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.base_python import base_python
from lionagi_qe.agents.environment.built import ROOTS, TOOLS, Plan, find_or_build
from lionagi_qe.agents.environment.coverage_file import coverage_file_of
from lionagi_qe.agents.environment.declared.tox_directory import notes_on_directory
from lionagi_qe.agents.environment.interpreter import probe
from lionagi_qe.agents.environment.members import with_repository
from lionagi_qe.agents.environment.process import allowed_environment
from lionagi_qe.agents.environment.requirements import requirements_of
from lionagi_qe.agents.environment.tool_overlay import tool_overlay_of
from lionagi_qe.agents.environment.variables import DeclaredVariables, variables_of
from lionagi_qe.agents.project.built_files import adopt_built_files
from lionagi_qe.agents.project.isolation import isolation
from lionagi_qe.agents.project.layout import Layout, layout_of
from lionagi_qe.agents.project.monorepo import notes_on_place
from lionagi_qe.agents.project.pytest_settings import notes_on_settings
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from lionagi_qe.agents.project.settings import Settings
    from lionagi_qe.agents.project.workspace import Workspace

INJECTED = Path(__file__).parents[1] / "inject"


@dataclass(frozen=True, slots=True)
class Environment:
    """An interpreter and how to run the project's code in it.

    Attributes:
        python: the interpreter.
        version: of Python.
        layout: where the project's code is in the workspace.
        tool_overlays: directories of tools for the end of ``sys.path``.
        origin: how it came to be, for people.
        changeable: it is ours, so that tools may write into it.
        notes: what a reader should know.
        scope_origin: how it is known which code is the product's, for people.
        declared: the variables that the project sets for its tests.
        coverage_file: where coverage.py reads the project's settings, from its directory; "" for
            where it finds them itself.
    """

    python: Path
    version: str
    layout: Layout
    tool_overlays: tuple[Path, ...]
    origin: str
    changeable: bool
    notes: tuple[str, ...] = ()
    scope_origin: str = "by the folders' names"
    declared: DeclaredVariables = field(default_factory=DeclaredVariables)
    coverage_file: str = ""

    @property
    def can_measure(self) -> bool:
        """Whether the tests can be measured: not those of coverage.py, which replace what does."""
        return "coverage" not in self.layout.names

    def command(
        self, module: str, *arguments: str, record: str = "", rcfile: str = "", report: str = ""
    ) -> list[str]:
        """Return the command that runs a module with the tools at hand.

        Args:
            module: as in ``python -m``.
            arguments: of the module.
            record: where the pytest plugin writes its events.
            rcfile: coverage.py's configuration, to measure the module's run.
            report: where coverage.py's JSON report of that run goes; see ``coverage_data``.

        """
        launcher = [str(self.python), str(INJECTED / "aqe_launch.py")]
        tool_overlays = os.pathsep.join(map(str, self.tool_overlays))
        return [*launcher, record, tool_overlays, rcfile, report, module, *arguments]

    def variables(self, workspace: Workspace, extra: Iterable[str] = ()) -> dict[str, str]:
        """Return all that the project's code sees of the environment; see ``process``."""
        variables = allowed_environment(extra)
        directory = str(self.python.parent)
        roots = [*map(str, self.layout.roots), *self.declared.import_path_at(workspace.source)]
        variables |= self.declared.at(
            workspace.source, workspace.home, workspace.temporary, self.python
        )
        variables |= {
            "HOME": str(workspace.home),
            "PATH": os.pathsep.join([directory, variables.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(roots)),
            ROOTS: os.pathsep.join(map(str, self.layout.roots)),
            "TMPDIR": str(workspace.temporary),
        }
        if not self.changeable:
            variables["PYTHONDONTWRITEBYTECODE"] = "1"
        if (self.python.parent.parent / "pyvenv.cfg").is_file():
            variables["VIRTUAL_ENV"] = str(self.python.parent.parent)
        return variables

    def within(self, workspace: Workspace) -> Environment:
        """Return this environment for the code in another workspace of the same project."""
        if self.changeable:
            adopt_built_files(self.python.parent.parent, workspace.source, self.layout.names)
        layout = layout_of(workspace.source, self.layout.names).only(self.layout.names)
        return replace(self, layout=layout)

    async def with_tools(
        self, tools: Sequence[str], workspace: Workspace, tell: Callable[[str], None]
    ) -> Environment:
        """Return this environment with more tools behind its packages; see ``tool_overlay_of``."""
        tag = probe(self.python)["tag"]
        overlay = await tool_overlay_of(tools, self.python, tag, workspace, tell)
        return replace(self, tool_overlays=(*self.tool_overlays, overlay))


async def prepare(
    workspace: Workspace,
    pyproject: dict[str, Any],
    python: Path | None,
    tell: Callable[[str], None],
    settings: Settings,
) -> Environment:
    """Return the environment for a project's tests; the first time it takes what installing takes.

    Args:
        workspace: the copy of the project.
        pyproject: its metadata.
        python: the user's own interpreter, or None to use a cached environment.
        tell: called before anything that takes long.
        settings: of the run; which variables the tests may see, and whose versions hold.

    Raises:
        EnvironmentBuildError: it could not be built.
        ProjectError: the interpreter doesn't run, or the metadata are not valid.

    """
    if python is not None:
        if settings.locked:
            raise ProjectError("locked: an interpreter of the user's own has the versions it has")
        environment = await _given(workspace, python, tell)
    else:
        base = base_python(workspace.source, pyproject, workspace.project)
        own = requirements_of(workspace.source, pyproject, base.minor)
        requirements = with_repository(own, workspace.project)
        plan = Plan(base, requirements, settings.locked)
        environment = await _cached(workspace, pyproject, plan, tell)
    major, minor, _ = environment.version.split(".")
    version = int(major), int(minor)
    declared = variables_of(workspace.source, pyproject, settings.pass_env, version)
    notes = (*environment.notes, *declared.notes, *notes_on_settings(workspace.source))
    notes += (*workspace.notes, *notes_on_place(workspace.project))
    notes += (*notes_on_directory(workspace.source, pyproject, version),)
    named = coverage_file_of(workspace.source, declared)
    if named is not None:
        environment = replace(environment, coverage_file=named.path)
        notes += (named.note,)
    how = isolation()
    if how is not None:
        told = f"{environment.origin}; isolated, {'with' if how.network else 'without'} network"
        environment = replace(environment, origin=told)
    if settings.withheld:
        names = ", ".join(settings.withheld)
        notes += (f"pass-env of the project, which is isolated, lets nothing through: {names}",)
    return replace(environment, declared=declared, notes=notes)


async def _cached(
    workspace: Workspace, pyproject: dict[str, Any], plan: Plan, tell: Callable[[str], None]
) -> Environment:
    """Find the environment in the cache, or build it there."""
    built, is_new = await find_or_build(workspace, pyproject, plan, tell)
    if is_new:
        # Builds write into the sources, version files say; later runs don't meet that either.
        workspace.renew()
        origin = f"built with {built['installer']} in {built['seconds']:.1f} s"
    else:
        origin = f"cached, built with {built['installer']}"
    directory = Path(built["directory"])
    shipped = built["shipped"]
    adopt_built_files(directory, workspace.source, shipped)
    layout = layout_of(workspace.source, shipped)
    held = f", versions of {built['locked']}" if built["locked"] else ""
    named = bool(pyproject.get("tool", {}).get("aqe", {}).get("source"))
    scope = "[tool.aqe] source" if named else "what the build ships"
    return Environment(
        directory / "bin" / "python",
        built["version"],
        layout if named else layout.only(shipped),
        tool_overlays=(),
        origin=f"{origin}; test requirements: {plan.requirements.origin}{held}",
        changeable=True,
        notes=(*([plan.base.note] if plan.base.note else []), *built["notes"]),
        scope_origin=scope if named or shipped else "by the folders' names",
    )


async def _given(workspace: Workspace, python: Path, tell: Callable[[str], None]) -> Environment:
    """Use the user's interpreter as it is, with the tools that it lacks behind its packages."""
    found = probe(python)
    missing = [tool for tool in TOOLS if found["tools"][tool.split(">")[0]] is None]
    tool_overlays = (
        (await tool_overlay_of(TOOLS, python, found["tag"], workspace, tell),) if missing else ()
    )
    tools = f"; {' and '.join(tool.split('>')[0] for tool in missing)} injected" if missing else ""
    return Environment(
        python,
        found["version"],
        layout_of(workspace.source),
        tool_overlays,
        origin=f"given: {python}, left as it is{tools}",
        changeable=False,
    )
