"""What all pages share: the memory, and who may do what."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lionagi_qe.persistence.contract.records import entry_of
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.values.keys import KeyRange, check_prefix

if TYPE_CHECKING:
    from starlette.requests import Request

    from lionagi_qe.persistence import Entry, Memory
    from lionagi_qe.web.protection import Access

PAGE = 50
MOST_STREAMS = 64
_MOST_CHILDREN = 200
_ABOVE_SLASH = "0"


@dataclass(frozen=True, slots=True)
class Console:
    """One memory as pages show it.

    Attributes:
        memory: open for as long as the console is.
        access: who may look and who may change.
        shown_url: where the memory is, without secrets.
        streams: how many pages may listen for changes at once.
    """

    memory: Memory
    access: Access
    shown_url: str = ""
    streams: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_STREAMS))


def memory_of(request: Request) -> Memory:
    """Return the memory that a request is about."""
    console: Console = request.app.state.console
    return console.memory


async def entries_after(
    memory: Memory, prefix: str, after: str, limit: int = PAGE
) -> tuple[list[Entry], str | None]:
    """Return a page of entries, and behind which key the next one goes on; None at the end.

    Costs what the page holds, however many entries there are.
    """
    keys = KeyRange.of_prefix(check_prefix(prefix))
    page = await parts_of(memory).bulk.page(keys.after(after) if after else keys, limit, None)
    return [entry_of(record) for record in page.records], page.after


async def children(memory: Memory, prefix: str) -> tuple[list[str], bool]:
    """Return the next segments below a prefix that ends with "/", and whether there are more.

    Costs a round trip a child: what lies under each of them is leapt over.
    """
    found: list[str] = []
    whole = KeyRange.of_prefix(prefix)
    keys = whole
    bulk = parts_of(memory).bulk
    while len(found) < _MOST_CHILDREN:
        page = await bulk.page(keys, 1, None)
        if not page.records:
            # A page may be empty of live entries and go on all the same.
            if page.after is None:
                return found, False
            keys = whole.after(page.after)
            continue
        child = page.records[0].key[len(prefix) :].split("/", 1)[0]
        # Once more where a child whose name goes on with "-", say, lies between its keys.
        if child not in found:
            found.append(child)
        # "0" follows "/" in the order of keys: behind all that lies under this child.
        keys = KeyRange(f"{prefix}{child}{_ABOVE_SLASH}", whole.before)
        if page.records[0].key == f"{prefix}{child}":
            keys = whole.after(page.records[0].key)
    return found, True
