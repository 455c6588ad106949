"""The interpreter that the project's code runs in, with everything its tests need.

By default a cached virtual environment holds what the project declares. With ``--python`` the
user's own is used as it is, and the tools come from a cached directory behind its packages.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
import sysconfig
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from platformdirs import user_cache_path

from lionagi_qe.agents.environment.installation import install_declared
from lionagi_qe.agents.environment.installer import Installer
from lionagi_qe.agents.environment.interpreter import probe
from lionagi_qe.agents.environment.lock_files import held_to_lock, lock_file_of
from lionagi_qe.agents.environment.members import digest_of, with_repository
from lionagi_qe.agents.environment.process import allowed_environment
from lionagi_qe.agents.environment.requirements import (
    Requirements,
    build_metadata,
    requirement_inputs,
    requirements_of,
)
from lionagi_qe.agents.environment.tool_overlay import tool_overlay_of
from lionagi_qe.agents.environment.tool_pins import workable
from lionagi_qe.agents.environment.variables import DeclaredVariables, variables_of
from lionagi_qe.agents.environment.well_known import SETTINGS
from lionagi_qe.agents.project.built_files import (
    adopt_built_files,
    build_inputs,
    set_aside_sources,
    shipped_names,
)
from lionagi_qe.agents.project.imports import test_imports
from lionagi_qe.agents.project.layout import Layout, layout_of
from lionagi_qe.agents.project.pytest_settings import has_pytest_env_table, pytest_settings
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.agents.project.version_control import described, reads_version
from lionagi_qe.errors import EnvironmentBuildError, ProjectError
from lionagi_qe.files import make_directories, own_directory, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from lionagi_qe.agents.project.settings import Settings
    from lionagi_qe.agents.project.workspace import Workspace

TOOLS = ("pytest>=7", "coverage>=7.6")
INJECTED = Path(__file__).parents[1] / "inject"
# Raise when environments are built differently, so that old ones are not used.
_RECIPE = "11"
# Processes that tests start may be given a PYTHONPATH of their own; this they still meet.
_ROOTS = "AQE_ROOTS"
_PTH = (
    f'import os, sys; roots = os.environ.get("{_ROOTS}", "").split(os.pathsep); '
    "sys.path += filter(None, roots)"
)


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
            _ROOTS: os.pathsep.join(map(str, self.layout.roots)),
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
            adopt_built_files(self.python.parent.parent, workspace.source)
        layout = layout_of(workspace.source).only(self.layout.names)
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
    declared = variables_of(workspace.source, pyproject, settings.pass_env)
    if python is not None:
        if settings.locked:
            raise ProjectError("locked: an interpreter of the user's own has the versions it has")
        environment = await _given(workspace, python, tell)
    else:
        own = requirements_of(workspace.source, pyproject)
        requirements = with_repository(own, workspace.project)
        _check_python(workspace, pyproject)
        environment = await _cached(
            workspace, pyproject, requirements, tell, locked=settings.locked
        )
    notes = (*environment.notes, *declared.notes)
    return replace(environment, declared=declared, notes=notes)


def _check_python(workspace: Workspace, pyproject: dict[str, Any]) -> None:
    project = pyproject.get("project", {})
    wanted = project.get("requires-python") if isinstance(project, dict) else None
    if wanted is None:
        return
    ours = ".".join(map(str, sys.version_info[:3]))
    try:
        fits = SpecifierSet(wanted).contains(ours, prereleases=True)
    except (InvalidSpecifier, TypeError) as error:
        raise ProjectError(
            f"{workspace.project / 'pyproject.toml'}: requires-python = {wanted!r} is not valid"
        ) from error
    if not fits:
        raise EnvironmentBuildError(
            f"the project requires Python {wanted} and aqe runs on {ours}; name an interpreter "
            "that has the project's dependencies with --python"
        )


async def _cached(
    workspace: Workspace,
    pyproject: dict[str, Any],
    requirements: Requirements,
    tell: Callable[[str], None],
    *,
    locked: bool | None,
) -> Environment:
    """Find the environment in the cache, or build it there."""
    cache = own_directory(user_cache_path("aqe", appauthor=False)) / "environments"
    name = _fingerprint(workspace.source, pyproject, requirements, locked=locked)
    pointer = cache / f"{name}.json"
    built = _read_pointer(pointer)
    if built is None:
        make_directories(cache)
        built = await _build(cache, workspace, requirements, tell, locked=locked)
        write_text(pointer, json.dumps(built))
        # Builds write into the sources, version files say; later runs don't meet that either.
        workspace.renew()
        origin = f"built with {built['installer']} in {built['seconds']:.1f} s"
    else:
        pointer.touch()
        origin = f"cached, built with {built['installer']}"
    directory = Path(built["directory"])
    adopt_built_files(directory, workspace.source)
    layout, shipped = layout_of(workspace.source), built["shipped"]
    held = f", versions of {built['locked']}" if built["locked"] else ""
    named = bool(pyproject.get("tool", {}).get("aqe", {}).get("source"))
    scope = "[tool.aqe] source" if named else "what the build ships"
    return Environment(
        directory / "bin" / "python",
        built["version"],
        layout if named else layout.only(shipped),
        tool_overlays=(),
        origin=f"{origin}; test requirements: {requirements.origin}{held}",
        changeable=True,
        notes=tuple(built["notes"]),
        scope_origin=scope if named or shipped else "by the folders' names",
    )


def _fingerprint(
    source: Path, pyproject: dict[str, Any], requirements: Requirements, *, locked: bool | None
) -> str:
    """Name an environment after everything that decides what is in it."""
    digest = hashlib.sha256()
    parts = [_RECIPE, sys.version, sysconfig.get_platform(), sys.prefix, *TOOLS]
    parts += [*requirements.extras, *requirements.lines, *test_imports(source)]
    parts.append(f"locked={locked}")
    parts += [digest_of(requirements.members)] if requirements.members else []
    parts += sorted(SETTINGS.keys() & _read_settings(source).keys())
    inputs = [*requirement_inputs(source, requirements)]
    lock = lock_file_of(source)
    if lock is not None:
        inputs.append(lock)
    parts += [f"{line} {each.origin}" for each in requirements.others for line in each.lines]
    if requirements.installable:
        parts.append(build_metadata(pyproject))
        inputs += build_inputs(source)
        if reads_version(source):
            parts.append(described(source) or "")
    for part in parts:
        digest.update(part.encode() + b"\0")
    for path in sorted(set(inputs)):
        digest.update(os.path.relpath(path, source).encode(errors="surrogateescape") + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:32]


def _read_pointer(pointer: Path) -> dict[str, Any] | None:
    try:
        built = json.loads(pointer.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        # Half a file of a machine that went down: build anew and replace it.
        return None
    return built if Path(built["directory"]).exists() else None


async def _build(
    cache: Path,
    workspace: Workspace,
    requirements: Requirements,
    tell: Callable[[str], None],
    *,
    locked: bool | None,
) -> dict[str, Any]:
    """Create an environment; two runs that build the same at once don't meet."""
    members = {name: workspace.copy_beside(path) for name, path in requirements.members}
    installer = Installer.find().for_build_of(workspace).without_sources_of(members)
    started = time.monotonic()
    directory = cache / uuid.uuid4().hex
    tell(f"building an environment with {installer.name} {installer.version}")
    requirements, notes = workable(requirements, TOOLS)
    notes += [f"{name} was installed from the same repository" for name in members]
    lines = (*requirements.lines, *map(str, members.values()))
    requirements = replace(requirements, lines=lines)
    try:
        creating = asyncio.create_task(installer.create(directory, workspace))
        try:
            installer = await installer.configured()
        finally:
            await asyncio.wait([creating])
        python = creating.result()
        held, lock = await held_to_lock(installer, workspace, wanted=locked)
        try:
            notes += await install_declared(held, python, workspace, requirements, TOOLS)
        except EnvironmentBuildError as error:
            if locked or lock is None:
                raise
            notes.append(f"the versions of {lock} were not used: {error}")
            held, lock = installer, None
            notes += await install_declared(installer, python, workspace, requirements, TOOLS)
        shipped = shipped_names(directory, workspace.source)
        set_aside_sources(directory, workspace.source, workspace.pristine)
        for site in directory.glob("lib/python*/site-packages"):
            (site / "aqe_roots.pth").write_text(f"{_PTH}\n", encoding="utf-8")
        notes += await _complete(held, python, workspace, requirements)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return {
        "directory": str(directory),
        # That of the interpreter that it was created with.
        "version": ".".join(map(str, sys.version_info[:3])),
        "installer": f"{installer.name} {installer.version}",
        "locked": lock,
        "seconds": time.monotonic() - started,
        "notes": notes,
        "shipped": shipped,
    }


async def _complete(
    installer: Installer, python: Path, workspace: Workspace, requirements: Requirements
) -> list[str]:
    """Install what the tests use and the chosen declaration leaves out; return what was done."""
    # Only where an environment is built.
    from lionagi_qe.agents.environment.completion import (
        additions_for,
        ask_what_is_absent,
        extras_to_try,
        uses_of,
    )

    uses = uses_of(workspace.source, _read_settings(workspace.source))
    absent, installed = ask_what_is_absent(python, uses.modules)
    notes: list[str] = []
    extras, needed = extras_to_try(uses, absent, requirements)
    if extras and requirements.installable:
        try:
            await installer.install(python, [f".[{','.join(extras)}]"], workspace)
        except EnvironmentBuildError as error:
            notes.append(f"tests import {needed}; the project's extras were not installed: {error}")
        else:
            set_aside_sources(python.parent.parent, workspace.source, workspace.pristine)
            notes.append(f"tests import {needed}; installed the extras {', '.join(extras)}")
        absent, installed = ask_what_is_absent(python, uses.modules)
    for addition in additions_for(uses, absent, installed, requirements):
        try:
            await installer.install(python, [addition.line], workspace)
        except EnvironmentBuildError as error:
            notes.append(f"{addition.why}; not installed: {error}")
        else:
            notes.append(f"{addition.why}; installed")
    return notes


def _read_settings(source: Path) -> dict[str, Any]:
    """Return pytest's settings, and what its plugins read that are not among them."""
    declared = variables_of(source, read_pyproject(source))
    settings = dict.fromkeys(name for name, _ in declared.values if name in SETTINGS)
    settings |= {"env": None} if has_pytest_env_table(source) else {}
    return settings | pytest_settings(source)


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
