"""Trying again: what surely changed nothing, and what comes to the same when it is done twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from lionagi_qe.errors import (
    AqeError,
    BackendUnavailableError,
    OutcomeUnknownError,
)
from lionagi_qe.persistence.contract.refused import is_worth_retrying

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5
# What a try may take of what the last one took.
_MANY_TIMES = 3
_T = TypeVar("_T")


async def retry(action: Callable[[], Awaitable[_T]], deadline: float) -> _T:
    """Await ``action``, again and again while the server can't be reached, until ``deadline``.

    Only what surely changed nothing is tried again; a refusal of access is final, and so is a
    backend that has used the time up.
    """
    try:
        return await action()
    except BackendUnavailableError as error:
        return await retry_after(error, action, deadline)


async def retry_after(
    error: BackendUnavailableError, action: Callable[[], Awaitable[_T]], deadline: float
) -> _T:
    """Do what ``retry`` does after its first try ended with ``error``.

    A try that is cut off has an unknown outcome, where the one before surely changed nothing: none
    is begun that may not have the time to end.
    """
    clock = asyncio.get_running_loop().time
    pause, took = _FIRST_PAUSE, 0.0
    while True:
        room = max(pause / 2, _MANY_TIMES * took)
        late = clock() + pause + room >= deadline
        if late or not is_worth_retrying(error):
            raise error
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
        began = clock()
        try:
            return await action()
        except BackendUnavailableError as again:
            error, took = again, clock() - began


async def repeat_until_known(
    action: Callable[[], Awaitable[_T]],
    deadline: float,
    confirm: Callable[[], Awaitable[None]] | None = None,
) -> _T:
    """Await ``action``, again when its answer was lost, until ``deadline``.

    For a change that comes to the same when it is done twice. Once an answer was lost, a refusal
    of the repeat tells nothing of what was sent first: the outcome stays unknown. A repeat that
    finds all done writes nothing that replicas could be waited for; ``confirm`` waits for what was
    written first.
    """
    lost, pause = False, _FIRST_PAUSE
    while True:
        try:
            result = await action()
            if lost and confirm is not None:
                await confirm()
            return result
        except OutcomeUnknownError:
            lost = True
            if asyncio.get_running_loop().time() + pause >= deadline:
                raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        except AqeError as error:
            if not lost:
                raise
            msg = (
                "an answer was lost and the change was sent again, which failed "
                f"({error}); it may have been applied the first time; look to find out"
            )
            raise OutcomeUnknownError(msg) from error
