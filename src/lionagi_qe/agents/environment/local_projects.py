"""Other projects that a project names by where they lie: next to it, say, on no index."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from lionagi_qe.agents.environment.declared.declaration import purpose_of, requirement_of, table
from lionagi_qe.agents.project.isolation import isolation
from lionagi_qe.agents.project.monorepo import enclosing_repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.requirements import Requirement

_OF_PROJECTS = ("pyproject.toml", "setup.py")
_FILE = re.compile(r"^file:(?://(?:localhost)?(?=/))?")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_RELATIVE = re.compile(r"""@[ ]?file:(?!/)([^\s"';]{1,1000})""")
# A line of a requirement file: -e, a name, and the path, with extras or a marker behind it.
_LINE = re.compile(
    r"(?P<editable>\s{0,20}(?:-e|--editable)[\s=]{0,20})?\s{0,20}"
    r"(?:[\w.-]{1,100}(?:\[[^\]]{0,200}\])?\s{0,9}@\s{0,9})?"
    r"(?P<path>[^\s;\[#]+)"
)


def paths_of_poetry(project: Path, pyproject: dict[str, Any]) -> dict[str, Path]:
    """Return the projects that Poetry requires by a path, for the project itself or its tests."""
    poetry = table(pyproject, "tool", "poetry")
    groups = [
        table(poetry, "dependencies"),
        table(poetry, "dev-dependencies"),
        *(
            table(poetry, "group", name, "dependencies")
            for name in table(poetry, "group")
            if purpose_of(name) != "other"
        ),
    ]
    found: dict[str, Path] = {}
    for name, value in (each for group in groups for each in group.items()):
        for entry in value if isinstance(value, list) else [value]:
            if place := _place(project, entry):
                found.setdefault(canonicalize_name(name), place)
    return found


def _place(project: Path, entry: object) -> Path | None:
    path = entry.get("path") if isinstance(entry, dict) else None
    return place_of(project, path) if isinstance(path, str) else None


def place_of(project: Path, path: str) -> Path | None:
    """Return the directory at a path from a project's; None unless it is another project.

    Nor if a run that is isolated may not read it, which is all outside of the repository.
    """
    origin = project.resolve()
    # Links on the way stay: the copy lies where the path leads.
    place = Path(os.path.normpath(origin / path))
    # What is no path, or too long for one, is nowhere.
    if place == origin or not any(os.path.isfile(place / name) for name in _OF_PROJECTS):  # noqa: PTH113
        return None
    if isolation() is not None:
        readable = enclosing_repository(project) or origin
        if not place.resolve().is_relative_to(readable.resolve()):
            return None
    return place


def path_in(requirement: Requirement) -> str | None:
    """Return the path that a requirement gives relative to the project, if it gives one."""
    path = unquote(_FILE.sub("", requirement.url or "", count=1))
    return None if "://" in path or path[:1] in {"", "/"} else path


def places_in(project: Path, lines: Iterable[str]) -> Iterator[Path]:
    """Yield the projects that requirements name by relative paths."""
    for line in lines:
        requirement = requirement_of(line)
        path = path_in(requirement) if requirement else None
        if path and (place := place_of(project, path)):
            yield place


def places_in_file(project: Path, text: str) -> Iterator[tuple[Path, re.Match[str]]]:
    """Yield the projects that lines of a requirement file name by relative paths; with the line."""
    for line in text.splitlines():
        match = _LINE.match(_COMMENT.sub("", line))
        path = _FILE.sub("", match["path"], count=1) if match else ""
        if match and path[:1] not in {"", "/", "-"} and (place := place_of(project, path)):
            yield place, match


def placed(lines: Iterable[str], source: Path) -> Iterator[str]:
    """Yield requirements as installers take them on their command line: with whole paths."""
    for line in lines:
        requirement = requirement_of(line)
        if requirement and (path := path_in(requirement)):
            requirement.url = _address(source, path)
            yield str(requirement)
        else:
            yield line


def _address(source: Path, path: str) -> str:
    return Path(os.path.normpath(source / path)).as_uri()


def text_of(file: Path) -> str:
    """Return what is in a file, also what is no UTF-8; written with "surrogateescape" it stays."""
    return file.read_text(encoding="utf-8", errors="surrogateescape")


def make_paths_whole(file: Path, source: Path) -> None:
    """Write whole paths into a pyproject.toml of a copy: with others uv refuses all of it."""
    text = text_of(file)
    written = _RELATIVE.sub(lambda match: "@ " + _address(source, unquote(match[1])), text)
    if written != text:
        _rewrite(file, written)


def make_installable(file: Path, project: Path) -> None:
    """Rewrite a requirement file in a copy so that every installer reads it, and for later runs.

    Lines that a backslash continues are joined, which uv reads only where hashes follow. Of what
    lies outside of the project nothing is installed as editable: the copy will be gone.

    Args:
        file: in the copy.
        project: its directory, in the user's tree.

    """
    before = text_of(file).splitlines()
    lines = list(_joined(before))
    for number, line in enumerate(lines):
        for place, match in places_in_file(project, line):
            if match["editable"] and not place.is_relative_to(project.resolve()):
                lines[number] = line[match.end("editable") :]
    if lines != before:
        _rewrite(file, "\n".join([*lines, ""]))


def _rewrite(file: Path, text: str) -> None:
    # It may be one that nobody may write.
    file.unlink()
    file.write_text(text, encoding="utf-8", errors="surrogateescape")


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines as pip reads them: a comment is not continued, and ends what was."""
    before = ""
    for line in lines:
        if line.endswith("\\") and not _COMMENT.search(line):
            before += line[:-1]
        else:
            yield before + (" " if before and line.startswith("#") else "") + line
            before = ""
    if before:
        yield before
