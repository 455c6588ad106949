"""Cached environments: what names one, and how it is built."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sysconfig
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lionagi_qe.agents.environment.cache_directory import hold, kept, prune, release, root, size_of
from lionagi_qe.agents.environment.installation import install_declared
from lionagi_qe.agents.environment.installer import Installer
from lionagi_qe.agents.environment.lock_files import held_to_lock, lock_file_of
from lionagi_qe.agents.environment.members import digest_of
from lionagi_qe.agents.environment.requirements import (
    Requirements,
    build_metadata,
    requirement_inputs,
)
from lionagi_qe.agents.environment.tool_pins import workable
from lionagi_qe.agents.environment.variables import variables_of
from lionagi_qe.agents.environment.well_known import SETTINGS
from lionagi_qe.agents.project.built_files import build_inputs, set_aside_sources, shipped_names
from lionagi_qe.agents.project.imports import test_imports
from lionagi_qe.agents.project.pytest_settings import has_pytest_env_table, pytest_settings
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.agents.project.version_control import described, reads_version
from lionagi_qe.errors import EnvironmentBuildError
from lionagi_qe.files import make_directories, own_directory, write_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lionagi_qe.agents.environment.base_python import BasePython
    from lionagi_qe.agents.project.workspace import Workspace

TOOLS = ("pytest>=7", "coverage>=7.6")
# Processes that tests start may be given a PYTHONPATH of their own; this they still meet.
ROOTS = "AQE_ROOTS"
# Raise when environments are built differently, so that old ones are not used.
_RECIPE = "14"
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
    cache = own_directory(root()) / "environments"
    name = _fingerprint(workspace.source, pyproject, plan)
    pointer = cache / f"{name}.json"
    built = _read_pointer(pointer)
    if built is not None and hold(Path(built["directory"])):
        pointer.touch()
        return built, False
    make_directories(cache)
    built = await _build(cache, workspace, plan, tell)
    write_text(pointer, json.dumps(built))
    # Only here the cache grows by much.
    if deleted := prune(kept()).deleted:
        tell(f"deleted {len(deleted)} things from the cache that were not used for long")
    return built, True


def _fingerprint(source: Path, pyproject: dict[str, Any], plan: Plan) -> str:
    """Name an environment after everything that decides what is in it."""
    digest, requirements = hashlib.sha256(), plan.requirements
    parts = [_RECIPE, plan.base.identity, sysconfig.get_platform(), *TOOLS]
    parts += [*requirements.extras, *requirements.lines, *test_imports(source)]
    parts.append(f"locked={plan.locked}")
    around = [
        *requirements.members,
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
    notes += [f"{name} was installed from the same repository" for name in members]
    lines = (*requirements.lines, *map(str, members.values()))
    requirements = replace(requirements, lines=lines)
    try:
        installer = installer.configured()
        python = await installer.create(directory, workspace, plan.base.program)
        held, lock = await held_to_lock(installer, workspace, wanted=plan.locked)
        try:
            notes += await install_declared(held, python, workspace, requirements, TOOLS)
        except EnvironmentBuildError as error:
            if plan.locked or lock is None:
                raise
            notes.append(f"the versions of {lock} were not used: {error}")
            held, lock = installer, None
            notes += await install_declared(installer, python, workspace, requirements, TOOLS)
        shipped = shipped_names(directory, workspace.source)
        set_aside_sources(directory, workspace.source, workspace.pristine)
        for site in directory.glob("lib/python*/site-packages"):
            find_in_copy(site)
        notes += await _complete(held, python, workspace, requirements)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        release(directory)
        raise
    return {
        "directory": str(directory),
        "project": str(workspace.project),
        "bytes": size_of(directory),
        "version": plan.base.version,
        "installer": f"{installer.name} {installer.version}",
        "locked": lock,
        "seconds": time.monotonic() - started,
        "notes": notes,
        "shipped": shipped,
    }


def find_in_copy(site: Path) -> None:
    """Have processes whose packages are in a directory find the project where ROOTS says."""
    shutil.copyfile(_INJECTED / "aqe_roots.py", site / "aqe_roots.py")
    (site / "~aqe_roots.pth").write_text("import aqe_roots\n", encoding="utf-8")


async def _complete(
    installer: Installer, python: Path, workspace: Workspace, requirements: Requirements
) -> list[str]:
    """Install what the tests use and the chosen declaration leaves out; return what was done."""
    # Only where an environment is built.
    from lionagi_qe.agents.environment.completion import (
        additions_for,
        ask_what_is_absent,
        extras_to_try,
        siblings_to_install,
        uses_of,
    )

    uses = uses_of(workspace.source, _read_settings(workspace.source))
    absent, installed = ask_what_is_absent(python, uses.modules)
    notes: list[str] = []
    for sibling, needed in siblings_to_install(uses, absent, requirements):
        copies = {name: workspace.copy_beside(path) for name, path in sibling.parts}
        heedless = installer.without_sources_of(copies)
        why = f"tests import {needed}: {sibling.name} of the same repository, declared nowhere"
        notes.append(await _tried(heedless, python, [*map(str, copies.values())], workspace, why))
        absent, installed = ask_what_is_absent(python, uses.modules)
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
