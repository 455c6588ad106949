"""Projects that pin versions of pytest or coverage.py which are older than we can work with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name

from lionagi_qe.agents.environment.declared.declaration import requirement_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lionagi_qe.agents.environment.requirements import Requirements


def workable(requirements: Requirements, tools: Sequence[str]) -> tuple[Requirements, list[str]]:
    """Return requirements that go with our tools, and what was changed for it, for people.

    Where a tool is pinned below what we need, its line is left out and the exact versions beside it
    become the lowest ones: plugins of that age don't go with a tool of today. Extras are then
    replaced by what they need.
    """
    needed = {str(canonicalize_name(each.name)): each.specifier for each in map(Requirement, tools)}
    lines, dropped = _relaxed(requirements.lines, needed)
    changed = replace(requirements, lines=tuple(lines)) if dropped else requirements
    if requirements.extras and requirements.dependencies is not None:
        inner, of_extras = _relaxed(requirements.dependencies, needed)
        if of_extras:
            changed = replace(changed, extras=(), lines=(*changed.lines, *inner))
            dropped += of_extras
    if not dropped:
        return requirements, []
    wanted = " and ".join(tools)
    note = (
        f"{', '.join(dropped)} is older than what aqe works with ({wanted}): left out, and exact "
        "versions beside it were taken as the lowest"
    )
    return changed, [note]


def _relaxed(lines: Iterable[str], needed: dict[str, SpecifierSet]) -> tuple[list[str], list[str]]:
    """Return the lines that are kept, and those that are not."""
    kept: list[Requirement] = []
    dropped: list[str] = []
    for line in lines:
        requirement = requirement_of(line)
        if requirement is None:
            return list(lines), []
        own = needed.get(canonicalize_name(requirement.name))
        holds = requirement.marker is None or requirement.marker.evaluate()
        if own is not None and holds and (requirement.specifier & own).is_unsatisfiable():
            dropped.append(line)
        else:
            kept.append(requirement)
    if not dropped:
        return list(lines), []
    for requirement in kept:
        requirement.specifier = SpecifierSet(map(_as_lowest, requirement.specifier))
    return list(map(str, kept)), dropped


def _as_lowest(specifier: Specifier) -> Specifier:
    if specifier.operator not in {"==", "==="}:
        return specifier
    return Specifier(f">={specifier.version.removesuffix('.*')}")
