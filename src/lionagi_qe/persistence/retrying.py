"""Trying again what surely changed nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from lionagi_qe.errors import AccessDeniedError, BackendTimeoutError, BackendUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5
_T = TypeVar("_T")


async def persist(action: Callable[[], Awaitable[_T]], deadline: float) -> _T:
    """Await ``action``, again and again while the server can't be reached, until ``deadline``.

    Only what surely changed nothing is tried again; a refusal of access is final, and so is a
    backend that has used the time up.
    """
    loop = asyncio.get_running_loop()
    pause = _FIRST_PAUSE
    while True:
        try:
            return await action()
        except (AccessDeniedError, BackendTimeoutError):
            raise
        except BackendUnavailableError as error:
            if error.outcome == "unknown" or loop.time() + pause >= deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
