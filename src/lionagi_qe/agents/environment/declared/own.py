"""What a project itself needs, with which extras, read without building it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lionagi_qe.agents.environment.declared.declaration import (
    ini_of,
    requirement_of,
    requirements_among,
    table,
    texts,
)
from lionagi_qe.agents.environment.declared.poetry import poetry_requirements
from lionagi_qe.agents.project.metadata import project_name, setup_arguments

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def own_requirements(
    project: Path, pyproject: dict[str, Any], extras: Iterable[str] = ()
) -> tuple[str, ...] | None:
    """Return the project's dependencies and those of some extras; None if one can't be told.

    For a project that can't be built. Extras that name the project's own extras are followed.
    """
    by_extra = _declared(project, pyproject)
    own = canonicalize_name(project_name(project, pyproject))
    waiting, seen = ["", *map(canonicalize_name, extras)], set[str]()
    lines: list[str] = []
    while waiting:
        extra = waiting.pop(0)
        if extra in seen:
            continue
        seen.add(extra)
        if extra and extra not in by_extra:
            return None
        for line in by_extra.get(extra, ()):
            requirement = Requirement(line)
            if canonicalize_name(requirement.name) == own:
                waiting += sorted(map(canonicalize_name, requirement.extras))
            else:
                lines.append(line)
    return tuple(dict.fromkeys(lines))


def _declared(project: Path, pyproject: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return canonical extra, "" for none -> requirements, from the first place that has some."""
    for found in (
        _in_project(table(pyproject, "project")),
        _in_poetry(table(pyproject, "tool", "poetry")),
        _in_metadata(project / "PKG-INFO"),
        _in_setup_cfg(project / "setup.cfg"),
        _in_setup(setup_arguments(project)),
    ):
        if any(found.values()) or len(found) > 1:
            return {canonicalize_name(extra): lines for extra, lines in found.items()}
    return {}


def _in_project(tables: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    extras = table(tables, "optional-dependencies")
    dynamic = set(texts(tables.get("dynamic")))
    if dynamic & {"dependencies", "optional-dependencies"}:
        # Half of it would be taken for all of it.
        return {}
    return {
        "": requirements_among(texts(tables.get("dependencies"))),
        **{extra: requirements_among(texts(lines)) for extra, lines in extras.items()},
    }


def _in_poetry(poetry: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    dependencies = table(poetry, "dependencies")
    optional = {
        name
        for name, value in dependencies.items()
        if isinstance(value, dict) and value.get("optional")
    }
    extras = {
        extra: {name: dependencies[name] for name in texts(names) if name in dependencies}
        for extra, names in table(poetry, "extras").items()
    }
    plain = {name: value for name, value in dependencies.items() if name not in optional}
    return {extra: poetry_requirements(each) for extra, each in {"": plain, **extras}.items()}


def _in_metadata(path: Path) -> dict[str, tuple[str, ...]]:
    """Read what the build of a source distribution left in ``PKG-INFO``."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    found: dict[str, list[str]] = {"": []}
    found |= {extra: [] for extra in re.findall(r"^Provides-Extra: *(\S+)", text, re.MULTILINE)}
    for line in re.findall(r"^Requires-Dist: *(.+)", text, re.MULTILINE):
        requirement = requirement_of(line)
        if requirement is None:
            # Of an old build; what else is there is still told.
            continue
        marker, requirement.marker = requirement.marker, None
        for extra, lines in found.items():
            holds = marker is None or marker.evaluate({"extra": extra})
            if holds and not (extra and (marker is None or marker.evaluate({"extra": ""}))):
                lines.append(str(requirement))
    return {extra: tuple(lines) for extra, lines in found.items()}


def _in_setup_cfg(path: Path) -> dict[str, tuple[str, ...]]:
    parser = ini_of(path)
    required = parser.get("options", "install_requires", fallback="")
    found = {"": requirements_among(required.splitlines())}
    if parser.has_section("options.extras_require"):
        extras = parser["options.extras_require"]
        found |= {extra: requirements_among(extras[extra].splitlines()) for extra in extras}
    return found


def _in_setup(arguments: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    extras = arguments.get("extras_require")
    return {
        "": requirements_among(texts(arguments.get("install_requires"))),
        **{
            extra: requirements_among(texts(lines))
            for extra, lines in (extras.items() if isinstance(extras, dict) else ())
            # Of some, only the name can be read.
            if isinstance(lines, list)
        },
    }
