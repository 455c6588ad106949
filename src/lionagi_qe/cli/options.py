"""Options that several commands share: which memory is meant, and how the answer is written."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from lionagi_qe.cli.output import say
from lionagi_qe.errors import MemoryMissingError
from lionagi_qe.persistence.connect import DEFAULT_URL, URL_VARIABLE, open_memory
from lionagi_qe.persistence.values.keys import DEFAULT_FLEET
from lionagi_qe.persistence.values.url import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.persistence import Memory

_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class MemoryChoice:
    """Which memory a command is about.

    Attributes:
        url: its URL.
        fleet: whose part of it.
        origin: what it is, where the caller named none: told, so that nobody has to guess.
        is_missing: it is a project's own that nothing has made yet.
    """

    url: str = field(repr=False)
    fleet: str
    origin: str | None = None
    is_missing: bool = False

    @classmethod
    def of(cls, url: str | None, fleet: str, project: Path | None = None) -> MemoryChoice:
        """Choose by URL, else by the environment, else the memory of a project.

        Args:
            url: as the caller named it; or a project's directory, or the file of a memory.
            fleet: whose part of it.
            project: a directory; without one the environment goes before the working directory.

        Raises:
            ProjectError: the project's settings are not valid.

        """
        if url and "://" not in url:
            place = Path(url)
            if place.is_dir():
                url, project = None, place
            elif place.is_file():
                url = f"{_SQLITE}{url}"
        named = url or (os.environ.get(URL_VARIABLE) if project is None else None)
        if named:
            return cls(named, fleet)
        # What it imports takes as long as a short command.
        from lionagi_qe.fleet.project_memory import memory_around

        found = memory_around(project or Path.cwd())
        own = Path(DEFAULT_URL.removeprefix(_SQLITE))
        if project is None and not found.file.exists() and own.exists():
            return cls(DEFAULT_URL, fleet, "made by a program in this directory")
        origin = f"of the project in {found.project}"
        return cls(found.url, fleet, origin, is_missing=not found.file.exists())

    @property
    def is_file(self) -> bool:
        """Whether it is in a file, or of one process alone: nobody else writes there."""
        return self.url.startswith((_SQLITE, "memory:"))

    def open(self, **settings: Any) -> Memory:  # noqa: ANN401 - Memory's settings
        """Return the memory, to be used in ``async with``; name it on stderr unless the caller did.

        Raises:
            MemoryMissingError: it is a project's own that is not there, and may not be made.

        """
        if self.is_missing and settings.get("migrate") is False:
            beside = next(iter(sorted(Path().glob("*.db"))), None)
            other = f", as {_SQLITE}{beside} here" if beside else ""
            raise MemoryMissingError(
                f"there is no memory {self.origin} yet: aqe run makes one; go to the project, or "
                f"name its directory, or another memory by its URL{other}"
            )
        if self.origin is not None:
            say(f"memory: {self.shown} ({self.origin})", err=True)
        return open_memory(self.url, fleet=self.fleet, cleanup_interval=None, **settings)

    def look(self) -> Memory:
        """Return the memory, which must be there: nobody who only looks wants a new one."""
        return self.open(migrate=False)

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return redact(self.url)


fleet_option = click.option(
    "--fleet",
    default=DEFAULT_FLEET,
    show_default=True,
    help="Which fleet's part of the memory; fleets see nothing of each other.",
)


def memory_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --memory, --project and --fleet: one MemoryChoice called ``choice`` for the command."""

    @click.option(
        "--memory",
        "url",
        metavar="URL",
        help=f"Whose memory: a URL; by default ${URL_VARIABLE}, else that of the project.",
    )
    @click.option(
        "--project",
        "directory",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="PATH",
        help="The memory of the project in this directory; by default the one around the working "
        "directory.",
    )
    @fleet_option
    @wraps(command)
    def with_choice(
        *arguments: Any,  # noqa: ANN401 - the command's own
        url: str | None,
        directory: Path | None,
        fleet: str,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        if url and directory:
            raise click.UsageError("--memory and --project each name a memory; give one of them")
        return command(*arguments, choice=MemoryChoice.of(url, fleet, directory), **options)

    return with_choice


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json, for machines."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")(
        command
    )


def standard_input() -> BinaryIO:
    """Return standard input, binary; UsageError if the shell closed it."""
    if sys.stdin is None:
        raise click.UsageError("-: standard input is closed")
    return sys.stdin.buffer


def standard_output() -> BinaryIO:
    """Return standard output, binary; UsageError if the shell closed it."""
    if sys.stdout is None:
        raise click.UsageError("-: standard output is closed")
    return sys.stdout.buffer


def show_json(value: object) -> None:
    """Write a value as JSON on standard output."""
    say(json.dumps(value, ensure_ascii=False, indent=2))
