"""What a project needs of the repository around it: its other projects, and what it declares."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from lionagi_qe.agents.environment.declared.declaration import Declaration, requirement_of
from lionagi_qe.agents.environment.declared.own import own_requirements
from lionagi_qe.agents.environment.local_projects import (
    paths_of_poetry,
    places_in,
    places_in_file,
    text_of,
)
from lionagi_qe.agents.environment.requirements import (
    NONE_DECLARED,
    Sibling,
    requirement_files_of,
    requirements_of,
)
from lionagi_qe.agents.environment.uv_sources import located, sources_of_uv
from lionagi_qe.agents.project.ignored import is_ignored
from lionagi_qe.agents.project.imports import imports_of_others
from lionagi_qe.agents.project.layout import layout_of
from lionagi_qe.agents.project.metadata import project_name
from lionagi_qe.agents.project.monorepo import enclosing_repository, is_project, siblings_of
from lionagi_qe.agents.project.settings import read_pyproject
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lionagi_qe.agents.environment.requirements import Requirements


def with_repository(requirements: Requirements, project: Path) -> Requirements:
    """Return the requirements with what the repository around the project has of them.

    Other projects in it that are required are installed from there, and so are those that the
    project gives a path for, wherever they lie. Where the project declares no test requirements,
    those of the top hold; where it does, what they lack is looked for there. So are modules that it
    imports, and others of these projects have: nothing says that it may.

    Args:
        requirements: that the project declares itself.
        project: its directory, in the user's tree.

    Raises:
        ProjectError: nothing is where ``[tool.uv.sources]`` says that a requirement lies.

    """
    top = enclosing_repository(project)
    requirements = _with_sources(requirements, project, top)
    try:
        if top is not None and is_project(project):
            requirements = _with_declared(requirements, top)
        names: dict[str, Path] = {
            canonicalize_name(project_name(path, read_pyproject(path))): path
            for path in siblings_of(project, top)
        }
        names |= {} if top is None else _named_by_path(top)
        pyproject = read_pyproject(project)
        lines = [*requirements.lines, *(requirements.dependencies or ())]
        lines += paths_of_poetry(project, pyproject)
        members = _required(lines, names, project)
        siblings = list(_siblings(project, names, members))
        others = _beside(project, lines, requirement_files_of(requirements))
    except ProjectError:
        # What is wrong around a project is told to who examines that.
        return requirements
    return replace(
        requirements,
        members=tuple(sorted(members.items())),
        beside=others,
        siblings=tuple(siblings),
    )


def _with_sources(requirements: Requirements, project: Path, top: Path | None) -> Requirements:
    """Return the requirements with where they come from, as the project and what is around say."""
    lines = tuple(located(requirements.lines, project, read_pyproject(project), project))
    around = dict[str, Any]()
    if top is not None:
        # What is wrong with a file around a project is told to who examines that.
        with suppress(ProjectError):
            around = read_pyproject(top)
    lines = tuple(located(lines, top or project, around, project))
    return replace(requirements, lines=lines)


def _required(lines: Iterable[str], names: Mapping[str, Path], project: Path) -> dict[str, Path]:
    """Return the projects that lines require, and those that these require in turn.

    Args:
        lines: requirements.
        names: canonical name -> directory of those in the repository.
        project: that is examined; it may name the directories of more, and is none of them.

    """
    waiting, found = [*lines], dict[str, Path]()
    known = {**names, **_named_by_path(project)}
    while waiting:
        name = _name_of(waiting.pop())
        if name in known and name not in found and known[name] != project.resolve():
            place = found[name] = known[name]
            known = {**_named_by_path(place), **known}
            pyproject = read_pyproject(place)
            waiting += own_requirements(place, pyproject) or ()
            waiting += paths_of_poetry(place, pyproject)
    return found


def _named_by_path(project: Path) -> dict[str, Path]:
    pyproject = read_pyproject(project)
    return {**paths_of_poetry(project, pyproject), **sources_of_uv(project, pyproject)}


def _beside(project: Path, lines: Iterable[str], files: Iterable[Path]) -> tuple[Path, ...]:
    """Return the projects outside of a project that requirements name by relative paths.

    With those that they name in turn. Copies of them are to lie where the paths lead.

    Args:
        project: its directory, in the user's tree.
        lines: requirements.
        files: those of requirements, with all that they include.

    """
    waiting = [
        *places_in(project, lines),
        *(place for file in files for place, _ in places_in_file(project, text_of(file))),
    ]
    found: dict[Path, None] = {}
    while waiting:
        place = waiting.pop(0)
        if place in found or place.is_relative_to(project.resolve()):
            continue
        found[place] = None
        pyproject = read_pyproject(place)
        waiting += sources_of_uv(place, pyproject).values()
        waiting += paths_of_poetry(place, pyproject).values()
        waiting += places_in(place, own_requirements(place, pyproject) or ())
    return tuple(found)


def _siblings(
    project: Path, names: Mapping[str, Path], members: Mapping[str, Path]
) -> Iterator[Sibling]:
    """Yield the projects that are not required and have something that the project imports."""
    others = sorted(names.items() - members.items())
    imported = imports_of_others(project) if others else frozenset[str]()
    for name, path in others:
        if modules := layout_of(path).names & imported:
            needed = _required([name], names, project).items() - members.items()
            yield Sibling(name, modules, tuple(sorted(needed)))


def _with_declared(requirements: Requirements, top: Path) -> Requirements:
    pyproject = read_pyproject(top)
    around = requirements_of(top, pyproject)
    plain = own_requirements(top, pyproject) or ()
    own = canonicalize_name(project_name(top, pyproject))
    lines = [*around.lines, *(each for each in around.dependencies or () if each not in plain)]
    lines = [line for line in dict.fromkeys(lines) if _name_of(line) != own]
    if requirements.origin == NONE_DECLARED and around.origin != NONE_DECLARED:
        origin = f"{around.origin} of the repository"
        files = (*requirements.files, *around.files)
        requirements = replace(
            requirements, lines=(*requirements.lines, *lines), files=files, origin=origin
        )
        lines = []
    # Extras of the top are none of the project's; what they need is.
    others = [replace(each, extras=()) for each in around.others]
    if lines:
        others.append(Declaration("the repository", "test", "table", lines=tuple(lines)))
    return replace(requirements, others=(*requirements.others, *others))


def _name_of(line: str) -> str:
    requirement = requirement_of(line)
    # A path or an address names no other project by its name.
    if requirement is None or requirement.url:
        return ""
    return canonicalize_name(requirement.name)


def digest_of(members: Iterable[tuple[str, Path]]) -> str:
    """Return what changes when a file of one of these projects does; reads all of them."""
    found = hashlib.sha256()
    for name, path in members:
        found.update(name.encode() + b"\0")
        for file in sorted(_files(path)):
            found.update(os.fsencode(file.relative_to(path)) + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def _files(directory: Path) -> Iterator[Path]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if is_ignored(entry) or entry.is_symlink():
                continue
            if entry.is_dir():
                yield from _files(Path(entry.path))
            elif entry.is_file():
                yield Path(entry.path)
