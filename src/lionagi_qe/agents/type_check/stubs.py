"""What a project declares for its type checker: the checker's version, plugins, stubs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from lionagi_qe.agents.environment.declared.declaration import requirement_of
from lionagi_qe.agents.environment.declared.pyproject_tables import in_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from lionagi_qe.agents.environment.declared.declaration import Declaration

_FOR_TYPES = re.compile(r"(types?|typing|type-?check(ing|er)?|static-typing|mypy|pyright)")
_STUBS = re.compile(r"types-.+|.+-stubs|mypy(-.+)?|.+-mypy|pyright")


def declared_for_types(project: Path, pyproject: dict[str, Any]) -> list[str]:
    """Return the requirements of groups for type checking, and stubs among those of the others.

    What the tests need is in their environment already.

    Raises:
        ProjectError: a dependency group is not valid.

    """
    found: dict[str, None] = {}
    for declaration in in_tables(project, pyproject):
        for line in (*declaration.lines, *declaration.behind):
            name = _name(line)
            if name and (_is_for_types(declaration) or _STUBS.fullmatch(name)):
                found[line] = None
    return [*found]


def names(lines: list[str]) -> set[str]:
    """Return the names of the distributions that requirements are about."""
    return set(filter(None, map(_name, lines)))


def _is_for_types(declaration: Declaration) -> bool:
    return any(_FOR_TYPES.fullmatch(word) for word in _words(declaration.origin))


def _words(origin: str) -> Iterator[str]:
    yield from (canonicalize_name(word) for word in re.findall(r"[\w-]+", origin))


def _name(line: str) -> str | None:
    requirement = requirement_of(line)
    if requirement is None:
        return None
    if requirement.marker is not None and not requirement.marker.evaluate():
        return None
    return canonicalize_name(requirement.name)
