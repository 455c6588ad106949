"""Where ``[tool.uv.sources]`` says that requirements come from, which their lines don't tell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from packaging.markers import InvalidMarker, Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from lionagi_qe.agents.environment.declared.declaration import requirement_of, table
from lionagi_qe.agents.environment.local_projects import place_of
from lionagi_qe.agents.project.isolation import isolation
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_REVISIONS = ("rev", "tag", "branch")


def sources_of_uv(project: Path, pyproject: dict[str, Any]) -> dict[str, Path]:
    """Return the projects that have a path there: canonical name -> directory."""
    places = {
        name: place_of(project, entry["path"])
        for name, entry in _sources(pyproject).items()
        if isinstance(entry.get("path"), str)
    }
    return {name: place for name, place in places.items() if place is not None}


def located(
    lines: Iterable[str], project: Path, pyproject: dict[str, Any], copied: Path
) -> Iterator[str]:
    """Yield requirements with the repository, the address or the file that they come from.

    The name of one that is another project's stays: that is installed from its directory. So does
    one with an index of its own.

    Args:
        lines: requirements.
        project: its directory.
        pyproject: its metadata.
        copied: the project that is examined, in whose copy its files are found.

    Raises:
        ProjectError: nothing is where one comes from; an index may have another of its name.

    """
    sources = _sources(pyproject)
    for line in lines:
        requirement, url = requirement_of(line), None
        if requirement and not requirement.url:
            entry = sources.get(canonicalize_name(requirement.name), {})
            url = _url(requirement.name, entry, project, copied)
        if requirement and url is not None:
            requirement.url, requirement.specifier = url, SpecifierSet()
            yield str(requirement)
        else:
            yield line


def _url(name: str, entry: dict[str, Any], project: Path, copied: Path) -> str | None:
    if isinstance(entry.get("git"), str):
        revision = next((entry[key] for key in _REVISIONS if key in entry), None)
        at = "" if revision is None else f"@{revision}"
        below = f"#subdirectory={entry['subdirectory']}" if "subdirectory" in entry else ""
        return f"git+{entry['git'].removeprefix('git+')}{at}{below}"
    if isinstance(entry.get("url"), str):
        return entry["url"]
    if isinstance(entry.get("path"), str) and place_of(project, entry["path"]) is None:
        return _file(name, entry["path"], project, copied.resolve())
    return None


def _file(name: str, path: str, project: Path, copied: Path) -> str:
    """Return the address of a file; one of the project is taken from its copy."""
    place = Path(os.path.normpath(project.resolve() / path))
    if place.is_relative_to(copied):
        if os.path.isfile(place):  # noqa: PTH113 - of no path, too
            return f"file:{quote(str(place.relative_to(copied)))}"
    elif isolation() is not None:
        raise ProjectError(
            f"{name}: [tool.uv.sources] has it at {path}, which an isolated run does not read; "
            "run without --isolate, or name an environment that has it with --python"
        )
    elif os.path.isfile(place):  # noqa: PTH113
        return place.as_uri()
    raise ProjectError(
        f"{name}: [tool.uv.sources] has it at {path}, where no project and no file is; "
        "put it there, or name an environment that has it with --python"
    )


def _sources(pyproject: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return canonical name -> the first source that holds here, for all that require it."""
    found: dict[str, dict[str, Any]] = {}
    for name, source in table(pyproject, "tool", "uv", "sources").items():
        for entry in source if isinstance(source, list) else [source]:
            if isinstance(entry, dict) and _holds(entry.get("marker")):
                found.setdefault(canonicalize_name(name), entry)
    return found


def _holds(marker: object) -> bool:
    try:
        return not isinstance(marker, str) or Marker(marker).evaluate()
    except InvalidMarker:
        # uv says so, where it reads the table.
        return False
