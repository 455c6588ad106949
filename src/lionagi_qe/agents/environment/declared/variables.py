"""One place in which a project sets variables for its tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.agents.environment.declared.declaration import Purpose

# What stands in values for places that each copy of the project has its own of. No variable can
# hold such a character.
SOURCE, HOME, TEMPORARY, PYTHON = "\0source\0", "\0home\0", "\0temporary\0", "\0python\0"


@dataclass(frozen=True, slots=True)
class VariableDeclaration:
    """One place that sets variables for the tests.

    Attributes:
        origin: where it is, for people.
        purpose: what its name says that it is for.
        values: name -> value as the file has it; None where it is computed.
        known: references in values -> what they stand for.
        unknown: references that only the tool can resolve.
    """

    origin: str
    purpose: Purpose
    values: Mapping[str, str | None]
    known: Mapping[str, str] = field(default_factory=dict[str, str])
    unknown: frozenset[str] = frozenset()
