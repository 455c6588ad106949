"""Options that several commands share: which memory is meant, and how the answer is written."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from lionagi_qe.cli.output import say
from lionagi_qe.persistence.connect import DEFAULT_URL, URL_VARIABLE, open_memory
from lionagi_qe.persistence.values.keys import DEFAULT_FLEET
from lionagi_qe.persistence.values.url import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.persistence import Memory


@dataclass(frozen=True, slots=True)
class MemoryChoice:
    """Which memory a command is about."""

    url: str = field(repr=False)
    fleet: str

    @classmethod
    def of(cls, url: str | None, fleet: str) -> MemoryChoice:
        """Choose by URL, else by the environment, else the default file."""
        return cls(url or os.environ.get(URL_VARIABLE) or DEFAULT_URL, fleet)

    def open(self, **settings: Any) -> Memory:  # noqa: ANN401 - Memory's settings
        """Return the memory, to be used in ``async with``."""
        return open_memory(self.url, fleet=self.fleet, cleanup_interval=None, **settings)

    def look(self) -> Memory:
        """Return the memory, which must be there: nobody who only looks wants a new one."""
        return self.open(migrate=False)

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return redact(self.url)


def memory_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --memory and --fleet; the command gets them as one MemoryChoice called ``choice``."""

    @click.option(
        "--memory",
        "url",
        metavar="URL",
        help=f"Whose memory: a URL; ${URL_VARIABLE}, else {DEFAULT_URL}, by default.",
    )
    @click.option("--fleet", default=DEFAULT_FLEET, show_default=True, help="Which fleet's.")
    @wraps(command)
    def with_choice(*arguments: Any, url: str | None, fleet: str, **options: Any) -> Any:  # noqa: ANN401
        return command(*arguments, choice=MemoryChoice.of(url, fleet), **options)

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
