"""Trying again what surely changed nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from lionagi_qe.errors import AccessDeniedError, BackendTimeoutError, BackendUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5
_T = TypeVar("_T")
_Arguments = TypeVarTuple("_Arguments")


async def persist(
    action: Callable[[*_Arguments], Awaitable[_T]], deadline: float, *arguments: *_Arguments
) -> _T:
    """Await ``action``, again and again while the server can't be reached, until ``deadline``.

    Only what surely changed nothing is tried again; a refusal of access is final, and so is a
    backend that has used the time up.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return await action(*arguments)
        except (AccessDeniedError, BackendTimeoutError):
            raise
        except BackendUnavailableError as error:
            if error.outcome == "unknown" or asyncio.get_running_loop().time() + pause >= deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
