"""One place in which a project says what its tests need, and how its text is read."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Purpose = Literal["test", "development", "other"]
# Tables first, since people keep them for every tool; then files; then what one tool installs.
Kind = Literal["table", "file", "tool", "mention"]

_TEST = frozenset({"test", "tests", "testing"})
_DEVELOPMENT = frozenset({"dev", "develop", "development", "ci", "dev-dependencies"})


@dataclass(frozen=True, slots=True)
class Declaration:
    """One place that declares requirements.

    Attributes:
        origin: where it is, for people.
        purpose: what its name says that they are for.
        kind: of place; see Kind.
        extras: of the project.
        lines: requirements (PEP 508).
        files: requirement files.
        behind: what the extras need, as far as that can be read; it is installed with them.
        constraints: files and addresses of versions that are kept to.
    """

    origin: str
    purpose: Purpose
    kind: Kind
    extras: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    behind: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it declares nothing to install."""
        return not (self.extras or self.lines or self.files)


def purpose_of(name: str) -> Purpose:
    """Return what a group, extra or environment of this name is for."""
    canonical = canonicalize_name(name)
    if canonical in _TEST:
        return "test"
    return "development" if canonical in _DEVELOPMENT else "other"


def table(parent: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the table at this path of a TOML document; {} if there is none."""
    for name in names:
        inner = parent.get(name, {})
        parent = inner if isinstance(inner, dict) else {}
    return parent


def texts(value: object) -> list[str]:
    """Return the texts of a list, without what else is in it."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def requirements_among(lines: Iterable[str]) -> tuple[str, ...]:
    """Return those lines that are requirements (PEP 508)."""
    return tuple(line for line in lines if requirement_of(line))


def requirement_of(line: str) -> Requirement | None:
    """Return the requirement (PEP 508) that a line is; None if it is none."""
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


def ini_of(path: Path) -> configparser.ConfigParser:
    """Return what an INI file says; an empty parser without one.

    Raises:
        ProjectError: it can't be read.

    """
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ProjectError(f"{path}: can't be read: {error}".splitlines()[0]) from error
    return parser


@dataclass(slots=True)
class InstallWords:
    """What the words of a ``pip install`` command name: see ``take``."""

    project: Path
    extras: list[str]
    lines: list[str]
    files: list[Path]
    constraints: list[str]

    @classmethod
    def of(cls, project: Path, words: Iterable[str]) -> InstallWords:
        """Sort the words of a ``pip install`` command that runs in the project's directory."""
        found = cls(project, [], [], [], [])
        waiting = iter(words)
        for word in waiting:
            option, _, value = word.partition("=")
            if option in {"-r", "--requirement"}:
                found.take_file(value or next(waiting, ""))
            elif option.startswith("-r") and not option.startswith("--"):
                found.take_file(option[2:])
            elif option in {"-c", "--constraint"}:
                found.take_constraint(value or next(waiting, ""))
            elif option.startswith("-c") and not option.startswith("--"):
                found.take_constraint(option[2:])
            elif option in {"--index-url", "-i", "--extra-index-url"}:
                _ = value or next(waiting, "")
            else:
                found.take(word)
        return found

    def take_file(self, name: str) -> None:
        """Take a requirement file, if there is one of that name in the project."""
        path = self.project / name
        if name and path.is_file():
            self.files.append(path)

    def take_constraint(self, name: str) -> None:
        """Take versions to keep to: an address, or a file, if the project has one of that name."""
        if name.startswith(("http://", "https://")):
            self.constraints.append(name)
        elif name and (self.project / name).is_file():
            self.constraints.append(str(self.project / name))

    def add(self, other: InstallWords) -> None:
        """Take all that another command names."""
        self.extras += other.extras
        self.lines += other.lines
        self.files += other.files
        self.constraints += other.constraints

    def take(self, word: str) -> None:
        """Take ``.[extras]`` or a requirement; other words are for the tool alone."""
        if own := re.fullmatch(r"(?:-e)?\.?/?\[([\w\s,.-]+)\](?:\s*;.*)?", word):
            self.extras += [extra.strip() for extra in own[1].split(",")]
        elif requirement_of(word):
            self.lines.append(word)

    def as_declaration(self, origin: str, purpose: Purpose, kind: Kind) -> Declaration:
        """Return the declaration that the words amount to."""
        return Declaration(
            origin,
            purpose,
            kind,
            tuple(self.extras),
            tuple(self.lines),
            tuple(self.files),
            constraints=tuple(self.constraints),
        )
