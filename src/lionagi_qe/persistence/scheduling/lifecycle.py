"""How a memory begins and ends: opened once for all callers, closed when their calls have ended."""

from __future__ import annotations

import asyncio
import os
from asyncio import get_running_loop
from typing import TYPE_CHECKING
from weakref import WeakSet

from lionagi_qe.errors import (
    AqeError,
    BackendTimeoutError,
    MemoryClosedError,
    WrongEventLoopError,
)
from lionagi_qe.persistence.scheduling.batcher import Batcher
from lionagi_qe.persistence.scheduling.direct import DirectCalls
from lionagi_qe.persistence.scheduling.sweeping import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.persistence.contract.backend import Backend

_living: WeakSet[Lifecycle] = WeakSet()


def _disown() -> None:
    """Leave the parent's connections to the parent."""
    for lifecycle in _living:
        lifecycle.batcher = None
        lifecycle.inherited = True


os.register_at_fork(after_in_child=_disown)


class Lifecycle:
    """Opens a backend on its first call, and closes it when its last one has ended.

    Attributes:
        batcher: what calls go to; None while there is none, and once there will be none any more.
        inherited: made by a parent process, and of no use here.
        direct: makes the calls that aren't batched.
    """

    def __init__(  # noqa: PLR0913 - keyword-only settings
        self,
        backend: Backend,
        fleet: str,
        *,
        migrate: bool,
        timeout: float,
        cleanup_interval: float | None,
        make_batcher: Callable[[], Batcher] = Batcher,
    ) -> None:
        self.batcher: Batcher | None = None
        self.inherited = False
        self.direct = DirectCalls()
        self.sweeper = Sweeper(backend, fleet, self.direct)
        self._backend = backend
        self._fleet = fleet
        self._make_batcher = make_batcher
        self._migrate = migrate
        self._timeout = timeout
        self._cleanup_interval = cleanup_interval
        self._opened: Batcher | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Lock | None = None
        self._closing: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        _living.add(self)

    @property
    def state(self) -> str:
        """Whether it is open, for people."""
        if self.inherited:
            return "made before a fork"
        if self._closing is not None:
            return "closed"
        return "not opened" if self._opened is None else "open"

    async def ready(self, deadline: float) -> Batcher:
        """Return the batcher, opening the backend by ``deadline`` if need be.

        Raises:
            MemoryClosedError: it is closed, or a fork's parent made it.
            WrongEventLoopError: it was opened on another loop.

        """
        batcher = self.batcher
        if batcher is None:
            return await self._open(deadline)
        self._check_loop()
        return batcher

    async def _open(self, deadline: float) -> Batcher:
        self._check_open()
        if self._opening is None:
            self._opening = asyncio.Lock()
        if self._opened is None:
            self._loop = get_running_loop()
        try:
            async with asyncio.timeout_at(deadline), self._opening:
                return self._opened or await self._connect()
        except TimeoutError as error:
            if isinstance(error, AqeError):
                raise
            name = self._backend.capabilities.name.removeprefix("hybrid-")
            msg = (
                f"no {name} server answered in time while opening; check its address, that such a "
                "server is up there (with TLS if the URL says so), and timeout"
            )
            raise BackendTimeoutError(msg) from error

    async def _connect(self) -> Batcher:
        self._check_open()
        try:
            # Tried once: an address where nobody answers is most often a wrong one.
            await self._backend.open(self._fleet, migrate=self._migrate)
        except BaseException:
            await self._backend.close()
            raise
        if self._closing is not None:
            await self._backend.close()
            self._check_open()
        self.batcher = self._opened = self._make_batcher()
        if self._cleanup_interval is not None:
            self._sweeping = asyncio.create_task(
                self.sweeper.sweep_now_and_then(self._cleanup_interval, self._timeout)
            )
        return self.batcher

    async def close(self) -> None:
        """Refuse new calls, let those under way end, stop sweeping, close the backend.

        Goes on by itself where its caller is cancelled.
        """
        if self.inherited:
            return
        while (closing := self._closing) is None or not closing.done() or closing.cancelled():
            if self._opened is not None or (self._opening is not None and self._opening.locked()):
                self._check_loop()
            if closing is None or closing.cancelled():
                self.batcher = None
                closing = self._closing = asyncio.create_task(self._close())
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                # Somebody may have cancelled the closing and not us: then it is done again.
                if not closing.cancelled() or (task is not None and task.cancelling()):
                    raise

    async def _close(self) -> None:
        if self._opening is not None:
            # Whoever opens it right now closes what it opened.
            async with self._opening:
                pass
        if self._opened is None:
            return
        try:
            if self._sweeping is not None:
                self._sweeping.cancel()
                # Waited for, not awaited: a cancellation of ours must not pass for its own.
                await asyncio.wait([self._sweeping])
            await self._opened.close()
            await self.direct.close()
        finally:
            await self._backend.close()

    def _check_open(self) -> None:
        if self.inherited:
            msg = "this memory was made before a fork; make a new one in the child process"
            raise MemoryClosedError(msg)
        if self._closing is not None:
            msg = "this memory is closed; make a new one with open_memory(url)"
            raise MemoryClosedError(msg)

    def _check_loop(self) -> None:
        if self._loop is not None and self._loop is not get_running_loop():
            msg = (
                "this memory was opened on another event loop; open and use it inside one "
                "asyncio.run(), or make one memory for each loop"
            )
            raise WrongEventLoopError(msg)
