"""What all pages share: the memory, and who may do what."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from starlette.requests import Request

    from lionagi_qe.persistence import Memory
    from lionagi_qe.web.protection import Access

PAGE = 50
MOST_STREAMS = 64


@dataclass(frozen=True, slots=True)
class Console:
    """One memory as pages show it.

    Attributes:
        memory: open for as long as the console is.
        access: who may look and who may change.
        shown_url: where the memory is, without secrets.
        streams: how many pages may listen for changes at once.
        wrong_tokens: held by whoever tries one.
        ending: set when the console ends, and what listens for changes with it.
    """

    memory: Memory
    access: Access
    shown_url: str = ""
    streams: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_STREAMS))
    wrong_tokens: asyncio.Lock = field(default_factory=asyncio.Lock)
    ending: asyncio.Event = field(default_factory=asyncio.Event)


def console_of(request: Request) -> Console:
    """Return the console that a request is for."""
    console: Console = request.app.state.console
    return console


def memory_of(request: Request) -> Memory:
    """Return the memory that a request is about."""
    return console_of(request).memory


def asked(request: Request, name: str) -> str:
    """Return a part of the address; InvalidArgumentError if it lacks."""
    found = request.query_params.get(name, "")
    if not found:
        msg = f"this address lacks {name!r}: follow a link of another page"
        raise InvalidArgumentError(msg)
    return found
