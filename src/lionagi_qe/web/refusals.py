"""What of a page may not be read: out of a scope, or sealed by a key that isn't here.

The rest of the page is shown, with what was refused at its head.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from lionagi_qe.errors import AccessDeniedError, DecryptionError, IndexNotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from starlette.requests import Request

    from lionagi_qe.errors import AqeError
    from lionagi_qe.persistence import Entry, Memory

T = TypeVar("T")


async def allowed(request: Request, part: Awaitable[T], otherwise: T) -> T:
    """Return what a part of a page is made of; ``otherwise``, noted for the page, if refused."""
    try:
        return await part
    except (AccessDeniedError, DecryptionError) as error:
        refused_of(request).append(str(error))
        return otherwise


def refused_of(request: Request) -> list[str]:
    """Return what a request was refused so far, as the memory told it."""
    if not hasattr(request.state, "refused"):
        request.state.refused = []
    refused: list[str] = request.state.refused
    return refused


async def readable_entries(memory: Memory, keys: Sequence[str]) -> dict[str, Entry | str]:
    """Return the entries that are there; for one that can't be opened, why.

    Costs a read for all, and one for each only where one of them can't be opened.
    """
    try:
        return {**await memory.entries_many(keys)}
    except DecryptionError:
        found = await asyncio.gather(*(_entry_or_why(memory, key) for key in keys))
        return {key: each for key, each in zip(keys, found, strict=True) if each is not None}


async def _entry_or_why(memory: Memory, key: str) -> Entry | str | None:
    try:
        return await memory.entry(key)
    except DecryptionError as error:
        return str(error)


def status_of(error: AqeError) -> int:
    """Return the status of a page that tells of an error."""
    if isinstance(error, (AccessDeniedError, DecryptionError)):
        return 403
    if isinstance(error, IndexNotFoundError):
        return 404
    # Errors of what was asked are ValueErrors, too; all others are the memory's.
    return 400 if isinstance(error, ValueError) else 503
