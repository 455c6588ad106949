"""Calls that go to the backend by themselves, not in a batch: questions, sweeps, leases."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from lionagi_qe.errors import AqeError, BackendTimeoutError, OutcomeUnknownError
from lionagi_qe.persistence.scheduling.retry import retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class DirectCalls:
    """Makes such calls, and knows when none is under way."""

    def __init__(self) -> None:
        self._under_way = 0
        self._idle: asyncio.Event | None = None

    async def call(
        self, action: Callable[[], Awaitable[T]], deadline: float, *, mutates: bool = False
    ) -> T:
        """Await ``action`` until ``deadline`` (the loop's clock), with our own errors."""
        self._under_way += 1
        try:
            async with asyncio.timeout_at(deadline):
                return await retry(action, deadline)
        except TimeoutError as error:
            if isinstance(error, AqeError):
                raise
            if mutates:
                msg = (
                    "no answer from the server in time: what was asked for may or may not have "
                    "been done, in part where it takes several requests; look to find out"
                )
                raise OutcomeUnknownError(msg) from error
            msg = "the call did not end in time; raise timeout, or ask for less"
            raise BackendTimeoutError(msg) from error
        finally:
            self._under_way -= 1
            if self._idle is not None and not self._under_way:
                self._idle.set()

    async def close(self) -> None:
        """Wait until every call has ended: each one does by its own deadline."""
        while self._under_way:
            self._idle = asyncio.Event()
            await self._idle.wait()
