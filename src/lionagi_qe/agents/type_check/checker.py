"""What a type checker is to us: how it is called, where it is configured, how its answer reads."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lionagi_qe.agents.environment.process import Completed
    from lionagi_qe.agents.environment.target import Environment

_LINE = re.compile(r"\bline \d+")


@dataclass(frozen=True, slots=True)
class TypeFault:
    """One error, at a place within the project."""

    file: str
    line: int | None
    end_line: int | None
    rule: str
    message: str

    @property
    def kind(self) -> tuple[str, str, str]:
        """What stays the same while lines move."""
        return self.file, self.rule, _LINE.sub("line", self.message)


class Unreadable(Exception):  # noqa: N818 - it is told, as a reason
    """The checker did not look, or not at all of it; the text says why."""


class Checker(ABC):
    """One type checker.

    Class attributes:
        name: as people call it, and as in ``python -m``.
        requirement: what to install where the project names no version.
        config_files: in which it may be configured, within the project.
    """

    name: ClassVar[str]
    requirement: ClassVar[str]
    config_files: ClassVar[tuple[str, ...]]

    @abstractmethod
    def is_configured(self, project: Path) -> bool:
        """Whether the project has settings for it."""

    @abstractmethod
    def arguments(self, project: Path, environment: Environment) -> list[str]:
        """Return what it is called with, told to people."""

    @abstractmethod
    def quiet(self, environment: Environment, scratch: Path) -> list[str]:
        """Return further arguments, of its output, its caches and its interpreter."""

    def variables(self, environment: Environment) -> dict[str, str]:
        """Return further variables."""
        del environment
        return {}

    @abstractmethod
    def read(self, completed: Completed, text: str, project: Path) -> list[TypeFault]:
        """Return the errors that it told.

        Raises:
            Unreadable: it did not check, or not everything.

        """

    def url(self, rule: str) -> str | None:
        """Return where a rule is explained."""
        del rule
        return None


def new_among(now: Sequence[TypeFault], before: Iterable[TypeFault]) -> list[TypeFault]:
    """Return the errors that were not there before, by file, rule and message; lines may move."""
    left = Counter(fault.kind for fault in before)
    found: list[TypeFault] = []
    for fault in now:
        if left[fault.kind]:
            left[fault.kind] -= 1
        else:
            found.append(fault)
    return found
