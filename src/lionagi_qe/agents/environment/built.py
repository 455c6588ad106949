"""Cached environments: what names one, and how it is built."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sysconfig
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.cache_directory import (
    hold,
    kept,
    own_root,
    prune,
    release,
    size_of,
)
from lionagi_qe.agents.environment.compiling import compile_beside
from lionagi_qe.agents.environment.installation import install_declared
from lionagi_qe.agents.environment.installer import Installer
from lionagi_qe.agents.environment.local_projects import make_installable, make_paths_whole, placed
from lionagi_qe.agents.environment.lock_files import held_to_lock, lock_file_of
from lionagi_qe.agents.environment.members import digest_of
from lionagi_qe.agents.environment.requirements import (
    Requirements,
    build_metadata,
    requirement_files_of,
    requirement_inputs,
)
from lionagi_qe.agents.environment.tool_pins import workable
from lionagi_qe.agents.environment.variables import variables_of
from lionagi_qe.agents.environment.well_known import SETTINGS
from lionagi_qe.agents.project.built_files import (
    build_inputs,
    set_aside_sources,
    shipped_names,
    sites_of,
)
from lionagi_qe.agents.project.imports import test_imports
from lionagi_qe.agents.project.monorepo import enclosing_repository
from lionagi_qe.agents.project.pytest_settings import has_pytest_env_table, pytest_settings
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.agents.project.version_control import described, reads_version
from lionagi_qe.errors import EnvironmentBuildError
from lionagi_qe.files import make_directories, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from lionagi_qe.agents.environment.base_python import BasePython
    from lionagi_qe.agents.environment.completion import Uses
    from lionagi_qe.agents.project.workspace import Workspace

TOOLS = ("pytest>=7", "coverage>=7.6")
# Processes that tests start may be given variables of their own; this they still meet.
ROOTS = "AQE_ROOTS"
# Raise when environments are built differently, so that old ones are not used.
_RECIPE = "15"
_INJECTED = Path(__file__).parents[1] / "inject"


@dataclass(frozen=True, slots=True)
class Plan:
    """What an environment is to be made of.

    Attributes:
        base: the interpreter.
        requirements: what goes into it.
        locked: whether to keep to a lock file; None where there is one that can be kept to.
    """

    base: BasePython
    requirements: Requirements
    locked: bool | None


async def find_or_build(
    workspace: Workspace, pyproject: dict[str, Any], plan: Plan, tell: Callable[[str], None]
) -> tuple[dict[str, Any], bool]:
    """Return what is known of the environment for a project, and whether it is new.

    Raises EnvironmentBuildError: it could not be built. Costs what installing takes, once.
    """
    cache = own_root() / "environments"
    name = _fingerprint(workspace.source, pyproject, plan)
    pointer = cache / f"{name}.json"
    built = _read_pointer(pointer)
    if built is not None and hold(Path(built["directory"])):
        pointer.touch()
        return built, False
    make_directories(cache)
    built = await _build(cache, workspace, plan, tell)
    write_text(pointer, json.dumps(built))
    tell_from_thread = partial(asyncio.get_running_loop().call_soon_threadsafe, tell)
    settling = Thread(target=_settle, args=(pointer, built, tell_from_thread), name="settle")
    settling.start()
    workspace.at_end.callback(settling.join)
    return built, True


def _settle(pointer: Path, built: dict[str, Any], tell: Callable[[str], object]) -> None:
    """Note how large a new environment is, and make room for it, while the tests run."""
    # What can't be done now is done when the next one is made.
    with suppress(OSError):
        write_text(pointer, json.dumps(built | {"bytes": size_of(Path(built["directory"]))}))
        # Only here the cache grows by much.
        if deleted := prune(kept()).deleted:
            tell(f"deleted {len(deleted)} things from the cache that were not used for long")


def _fingerprint(source: Path, pyproject: dict[str, Any], plan: Plan) -> str:
    """Name an environment after everything that decides what is in it."""
    digest, requirements = hashlib.sha256(), plan.requirements
    parts = [_RECIPE, plan.base.identity, sysconfig.get_platform(), *TOOLS]
    parts += [*requirements.extras, *requirements.lines, *test_imports(source)]
    parts += [each for each in requirements.constraints if "://" in each]
    parts.append(f"locked={plan.locked}")
    around = [
        *requirements.members,
        *((path.name, path) for path in requirements.beside),
        *(part for each in requirements.siblings for part in each.parts),
    ]
    parts += [digest_of(around)] if around else []
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
    cache: Path, workspace: Workspace, plan: Plan, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Create an environment; two runs that build the same at once don't meet."""
    requirements = plan.requirements
    members = {name: workspace.copy_beside(path) for name, path in requirements.members}
    installer = Installer.find().for_build_of(workspace).without_sources_of(members)
    started = time.monotonic()
    directory = cache / uuid.uuid4().hex
    hold(directory, unmade=True)
    tell(f"building an environment with {installer.name} {installer.version}")
    requirements, notes = workable(requirements, TOOLS)
    notes += _origins(requirements.members, workspace.project)
    requirements = _with_copies(requirements, workspace, members)
    settings = _read_settings(workspace.source)
    try:
        installer = installer.configured()
        python = await installer.create(directory, workspace, plan.base.program)
        # Only read there, so that it can be done while the installer is at work in the source.
        reading = asyncio.ensure_future(asyncio.to_thread(_uses, workspace.pristine, settings))
        try:
            installed = await _install(
                installer, python, workspace, requirements, locked=plan.locked
            )
        finally:
            # It reads what is deleted when this fails.
            await asyncio.wait({reading})
        notes += installed.notes
        compile_beside(python, workspace)
        shipped = shipped_names(directory, workspace.source)
        set_aside_sources(directory, workspace.source, workspace.pristine)
        for site in sites_of(directory):
            find_in_copy(site)
        uses = reading.result().without(shipped)
        notes += await _complete(installed.installer, python, workspace, requirements, uses)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        release(directory)
        raise
    return {
        "directory": str(directory),
        "project": str(workspace.project),
        "version": plan.base.version,
        "installer": f"{installer.name} {installer.version}",
        "locked": installed.lock,
        "seconds": time.monotonic() - started,
        "notes": notes,
        "shipped": shipped,
    }


def _origins(members: Iterable[tuple[str, Path]], project: Path) -> list[str]:
    """Say where other projects are installed from."""
    top = enclosing_repository(project)
    notes: list[str] = []
    for name, path in members:
        way = os.path.relpath(path, project.resolve())
        within = top is not None and path.is_relative_to(top.resolve())
        notes.append(
            f"{name} was installed from " + (f"the same repository, {way}" if within else way)
        )
    return notes


def _with_copies(
    requirements: Requirements, workspace: Workspace, members: dict[str, Path]
) -> Requirements:
    """Copy what paths lead to; return the requirements as they name it in the workspace."""
    for path in requirements.beside:
        workspace.copy_beside(path)
    for file in requirement_files_of(requirements):
        if file.is_relative_to(workspace.source):
            make_installable(file, workspace.project)
    if (pyproject := workspace.source / "pyproject.toml").is_file():
        make_paths_whole(pyproject, workspace.source)
    own = requirements.dependencies
    return replace(
        requirements,
        lines=(*placed(requirements.lines, workspace.source), *map(str, members.values())),
        dependencies=None if own is None else tuple(placed(own, workspace.source)),
    )


@dataclass(frozen=True, slots=True)
class _Installed:
    """What is declared is installed.

    Attributes:
        installer: that did it, and keeps to the same versions.
        lock: name of the lock file whose versions these are, if so.
        notes: what a reader should know.
    """

    installer: Installer
    lock: str | None
    notes: list[str]


async def _install(
    installer: Installer,
    python: Path,
    workspace: Workspace,
    requirements: Requirements,
    *,
    locked: bool | None,
) -> _Installed:
    """Install what is declared, in versions of a lock file and of constraints where that can be."""
    constraints = requirements.constraints
    constrained = installer.held_to(*constraints)
    held, lock = await held_to_lock(constrained, workspace, wanted=locked)
    ways = [(held, lock)] if lock is not None else []
    ways += [(constrained, ", ".join(map(workspace.shown, constraints)))] if constraints else []
    notes: list[str] = []
    for way, versions in ways:
        try:
            said = await install_declared(way, python, workspace, requirements, TOOLS)
        except EnvironmentBuildError as error:
            if locked:
                raise
            notes.append(f"the versions of {versions} were not used: {error}")
        else:
            return _Installed(way, lock if way is held else None, [*notes, *said])
    said = await install_declared(installer, python, workspace, requirements, TOOLS)
    return _Installed(installer, None, [*notes, *said])


def _uses(pristine: Path, settings: dict[str, Any]) -> Uses:
    # Only where an environment is built.
    from lionagi_qe.agents.environment.completion import uses_of

    return uses_of(pristine, settings)


def find_in_copy(site: Path) -> None:
    """Have processes whose packages are in a directory find the project where ROOTS says."""
    shutil.copyfile(_INJECTED / "aqe_roots.py", site / "aqe_roots.py")
    (site / "~aqe_roots.pth").write_text("import aqe_roots\n", encoding="utf-8")


async def _complete(
    installer: Installer, python: Path, workspace: Workspace, requirements: Requirements, uses: Uses
) -> list[str]:
    """Install what the tests use and the chosen declaration leaves out; return what was done."""
    from lionagi_qe.agents.environment.completion import (
        additions_for,
        extras_to_try,
        siblings_to_install,
        what_is_absent,
    )

    absent, installed = what_is_absent(python, uses.modules)
    notes: list[str] = []
    for sibling, needed in siblings_to_install(uses, absent, requirements):
        copies = {name: workspace.copy_beside(path) for name, path in sibling.parts}
        heedless = installer.without_sources_of(copies)
        why = f"tests import {needed}: {sibling.name} of the same repository, declared nowhere"
        notes.append(await _tried(heedless, python, [*map(str, copies.values())], workspace, why))
        absent, installed = what_is_absent(python, uses.modules)
    extras, needed = extras_to_try(uses, absent, requirements)
    if extras and requirements.installable:
        try:
            await installer.install(python, [f".[{','.join(extras)}]"], workspace)
        except EnvironmentBuildError as error:
            notes.append(f"tests import {needed}; the project's extras were not installed: {error}")
        else:
            set_aside_sources(python.parent.parent, workspace.source, workspace.pristine)
            notes.append(f"tests import {needed}; installed the extras {', '.join(extras)}")
        absent, installed = what_is_absent(python, uses.modules)
    return notes + [
        await _tried(installer, python, [each.line], workspace, each.why)
        for each in additions_for(uses, absent, installed, requirements)
    ]


async def _tried(
    installer: Installer, python: Path, wanted: list[str], workspace: Workspace, why: str
) -> str:
    """Install what is missed, if that can be; return why, and what came of it."""
    try:
        await installer.install(python, wanted, workspace)
    except EnvironmentBuildError as error:
        return f"{why}; not installed: {error}"
    return f"{why}; installed"


def _read_settings(source: Path) -> dict[str, Any]:
    """Return pytest's settings, and what its plugins read that are not among them."""
    declared = variables_of(source, read_pyproject(source))
    settings = dict.fromkeys(name for name, _ in declared.values if name in SETTINGS)
    settings |= {"env": None} if has_pytest_env_table(source) else {}
    return settings | pytest_settings(source)
