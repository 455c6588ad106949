"""What a project needs of the repository around it: its other projects, and what it declares."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lionagi_qe.agents.environment.declared.declaration import Declaration
from lionagi_qe.agents.environment.declared.own import own_requirements
from lionagi_qe.agents.environment.requirements import NONE_DECLARED, Sibling, requirements_of
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

    Other projects in it that are required are installed from there. Where the project declares no
    test requirements, those of the top hold; where it does, what they lack is looked for there. So
    are modules that it imports, and others of these projects have: nothing says that it may.

    Args:
        requirements: that the project declares itself.
        project: its directory, in the user's tree.

    """
    top = enclosing_repository(project)
    try:
        if top is not None and is_project(project):
            requirements = _with_declared(requirements, top)
        names: dict[str, Path] = {
            canonicalize_name(project_name(path, read_pyproject(path))): path
            for path in siblings_of(project, top)
        }
        members = _required([*requirements.lines, *(requirements.dependencies or ())], names)
        siblings = list(_siblings(project, names, members))
    except ProjectError:
        # What is wrong around a project is told to who examines that.
        return requirements
    return replace(requirements, members=tuple(sorted(members.items())), siblings=tuple(siblings))


def _required(lines: Iterable[str], names: Mapping[str, Path]) -> dict[str, Path]:
    """Return those of the projects that lines require, and those that these require in turn."""
    waiting, found = [*lines], dict[str, Path]()
    while waiting:
        name = _name_of(waiting.pop())
        if name in names and name not in found:
            found[name] = names[name]
            waiting += own_requirements(names[name], read_pyproject(names[name])) or ()
    return found


def _siblings(
    project: Path, names: Mapping[str, Path], members: Mapping[str, Path]
) -> Iterator[Sibling]:
    """Yield the projects that are not required and have something that the project imports."""
    others = sorted(names.items() - members.items())
    imported = imports_of_others(project) if others else frozenset[str]()
    for name, path in others:
        if modules := layout_of(path).names & imported:
            needed = _required([name], names).items() - members.items()
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
    try:
        return canonicalize_name(Requirement(line).name)
    except InvalidRequirement:
        # A path or an address names no other project by its name.
        return ""


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
