"""Leases: one holder at a time, told when it is no longer the one, and fenced off by the server."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lionagi_qe.coordination.lease_traces import LeaseTraces
from lionagi_qe.coordination.undoing import or_undo
from lionagi_qe.errors import (
    AqeError,
    BackendTimeoutError,
    BackendUnavailableError,
    InvalidArgumentError,
    LeaseLostError,
)
from lionagi_qe.persistence.contract.operations import Fence
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.values.entry import check_count, check_seconds
from lionagi_qe.persistence.values.keys import check_name
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from lionagi_qe.persistence import Memory
    from lionagi_qe.persistence.contract.leases import Tenure

DEFAULT_TTL = 15.0
# Renewals a TTL: two may be lost before the lease is.
_RENEWALS = 3
_LATE_ANSWER = 1.0
_LONGEST_PAUSE = 0.25
_SHORTEST_PAUSE = 0.01

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseState:
    """Who holds a lease: its token, its label, and for how many more seconds."""

    name: str
    token: int
    holder: str
    remaining: float


def _state(name: str, tenure: Tenure) -> LeaseState:
    label = tenure.holder.rpartition("#")[0]
    return LeaseState(name, tenure.token, label, tenure.remaining_ms / 1000)


async def held_leases(memory: Memory, limit: int = 100, after: str = "") -> list[LeaseState]:
    """Return the leases that are held now, by name; ``after``: only those behind this name.

    One round trip (on Redis Cluster one for each shard). Costs a look at what the page holds, on
    Redis at the names of all that are held.

    Raises:
        InvalidArgumentError: ``after`` can't be a lease's name, or ``limit`` is no count.

    """
    behind = "" if after == "" else check_name("lease", after)
    found = await parts_of(memory).leases.list_held(behind, check_count("limit", limit))
    return [_state(name, tenure) for name, tenure in found]


class Lease:
    """The right to be the only one, for as long as it is renewed.

    ::

        async with Lease(memory, "leader", ttl=15) as lease:   # waits for its turn
            await memory.store("aqe/plan", plan, fence=lease)  # refused once another is the leader

    It renews itself at a third of ``ttl``. When it is lost (the process was stopped, or the server
    out of reach, for longer than ``ttl``), the body is cancelled and ``async with`` raises
    LeaseLostError. A body that doesn't get to run doesn't get to know: only what carries
    ``fence=lease`` is protected, by the server. Tokens only grow, whatever becomes of the holders.

    An object holds the lease once at a time and may be used again after that. Not for several
    tasks at once: make a Lease each.

    Args:
        memory: where the lease lives; all who contend use the same fleet.
        name: what is leased; any text of at most 128 bytes.
        ttl: seconds after which a holder that doesn't renew loses it.
        holder: what others see in ``state()``; host and process by default.
    """

    def __init__(
        self, memory: Memory, name: str, *, ttl: float = DEFAULT_TTL, holder: str | None = None
    ) -> None:
        self._memory = memory
        self.name = check_name("lease", name)
        self.ttl = check_seconds("ttl", ttl)
        self._ttl_ms = math.ceil(self.ttl * 1000)
        label = holder if holder is not None else f"{socket.gethostname()}:{os.getpid()}"
        self.holder = check_name("holder", label)
        self.lost = asyncio.Event()
        self._fence: Fence | None = None
        self._held = False
        self._other: Tenure | None = None
        self._ends = 0.0
        self._since = 0.0
        self._traces = LeaseTraces(parts_of(memory).telemetry, memory.fleet, self.name)
        self._renewing: asyncio.Task[None] | None = None
        self._body: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._cancelled_body = False

    # What it is

    @property
    def held(self) -> bool:
        """Whether it is held as far as this process can tell."""
        return self._held and asyncio.get_running_loop().time() < self._ends

    @property
    def fence(self) -> Fence:
        """What to give as ``fence=``; that of the last time once it has ended."""
        if self._fence is None:
            msg = f"lease {self.name!r} was never acquired; use it inside async with, or acquire it"
            raise InvalidArgumentError(msg)
        return self._fence

    @property
    def token(self) -> int:
        """The fencing token: greater than that of every earlier holder."""
        return self.fence.token

    async def state(self) -> LeaseState | None:
        """Ask the server who holds the lease; None if nobody does."""
        tenure = await parts_of(self._memory).leases.look(self.name)
        return None if tenure is None else _state(self.name, tenure)

    async def revoke(self) -> bool:
        """End the lease, whoever holds it; return False if nobody did. Two round trips.

        For an operator: the holder's fenced writes are refused from now on, and it is told that
        the lease is lost when it renews next. Another who took the lease meanwhile keeps it.
        """
        leases = parts_of(self._memory).leases
        tenure = await leases.look(self.name)
        return tenure is not None and await leases.release(Fence(self.name, tenure.token))

    # Taking and giving back

    async def try_acquire(self) -> bool:
        """Take the lease if it is free; return whether it was. One round trip."""
        attempt = self._new_attempt()
        with self._traces.acquiring() as told:
            taken = (await self._attempt(attempt)) is None
            self._traces.acquired(told, self.token if taken else None)
        return taken

    async def acquire(self, timeout: float | None = None) -> None:
        """Wait for the lease and take it.

        While another holds it, asks again after what the server says is left, four times a second
        at least; who has waited long asks more often, so that turns are roughly in order.

        Raises:
            BackendTimeoutError: it was not free within ``timeout`` seconds (None: no limit); where
                the server is silent, told up to a second later.

        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        deadline = None if timeout is None else began + check_seconds("timeout", timeout)
        attempt = self._new_attempt()
        with self._traces.acquiring() as told:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wait_for_turn(attempt, began, deadline)
            except TimeoutError as error:
                if isinstance(error, AqeError):
                    raise
                why = (
                    "its holder kept it"
                    if self._other is not None
                    else "the server gave no answer (a standby, or one that is away, gives none)"
                )
                msg = f"lease {self.name!r} was not free within {timeout} s: {why}"
                raise BackendTimeoutError(msg) from error
            self._traces.acquired(told, self.token)

    async def _wait_for_turn(self, attempt: str, began: float, deadline: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._other = None
        while (other := await self._attempt(attempt, deadline)) is not None:
            self._other = other
            waited = loop.time() - began
            most = max(_LONGEST_PAUSE / (1 + waited), _SHORTEST_PAUSE)
            left = other.remaining_ms / 1000
            await asyncio.sleep(min(left + 0.001, most) * random.uniform(0.5, 1))  # noqa: S311

    def _new_attempt(self) -> str:
        if self._held:
            msg = f"lease {self.name!r} is already held by this object; make another Lease"
            raise InvalidArgumentError(msg)
        return f"{self.holder}#{secrets.token_hex(8)}"

    async def _attempt(self, attempt: str, deadline: float | None = None) -> Tenure | None:
        """Return who else has the lease; None if we have it now."""

        async def give_back(tenure: Tenure) -> None:
            if tenure.holder == attempt:
                await self._give_up(Fence(self.name, tenure.token))

        started = asyncio.get_running_loop().time()
        calls = parts_of(self._memory).leases
        timeout = calls.timeout
        if deadline is not None:
            # A little longer than we wait: an answer that comes late tells what to give back.
            timeout = min(timeout, max(deadline - started, 0) + _LATE_ANSWER)
        # Nobody would renew it.
        tenure = await or_undo(
            calls.acquire(self.name, attempt, self._ttl_ms, timeout=timeout), give_back
        )
        if tenure.holder != attempt:
            return tenure
        self._fence = Fence(self.name, tenure.token)
        # Counted from before we asked: never longer than by the server's own count.
        self._ends = started + self.ttl
        self._held = True
        self._since = started
        self.lost.clear()
        self._renewing = asyncio.create_task(self._renew(), name=f"renew lease {self.name}")
        return None

    async def release(self) -> bool:
        """Give the lease back; return False if it had been lost. Goes on if it is cancelled."""
        if not self._held:
            return False
        fence = self.fence
        self._held = False
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None
        self._traces.ended(asyncio.get_running_loop().time() - self._since, lost=False)
        releasing = asyncio.ensure_future(self._release(fence))
        try:
            return await asyncio.shield(releasing)
        except asyncio.CancelledError:
            await asyncio.wait({releasing})
            raise

    async def _release(self, fence: Fence) -> bool:
        with self._traces.releasing():
            return await self._give_up(fence)

    async def _give_up(self, fence: Fence) -> bool:
        try:
            return await parts_of(self._memory).leases.release(fence)
        except AqeError as error:
            _log.warning(
                "lease %r could not be released, and ends by itself within %s s: %s",
                self.name,
                self.ttl,
                error,
                extra=log_fields(lease=self.name, error=error),
            )
            return True

    # Keeping it

    async def _renew(self) -> None:
        """Renew until that fails for good."""
        loop = asyncio.get_running_loop()
        pause = self.ttl / _RENEWALS
        kept = True
        while kept:
            await asyncio.sleep(pause)
            started = loop.time()
            if started >= self._ends:
                break
            try:
                kept = await parts_of(self._memory).leases.renew(
                    self.fence, self._ttl_ms, timeout=self._ends - started
                )
            except BackendUnavailableError as error:
                _log.warning(
                    "lease %r could not be renewed yet: %s",
                    self.name,
                    error,
                    extra=log_fields(lease=self.name, error=error),
                )
                pause = min(_LONGEST_PAUSE, self.ttl / 10)
            except AqeError as error:
                _log.exception(
                    "lease %r can't be renewed",
                    self.name,
                    extra=log_fields(lease=self.name, error=error),
                )
                kept = False
            else:
                self._ends = started + self.ttl
                pause = self.ttl / _RENEWALS
        self._lose()

    def _lose(self) -> None:
        self._traces.ended(asyncio.get_running_loop().time() - self._since, lost=True)
        self._held = False
        self._renewing = None
        self.lost.set()
        if self._body is not None:
            self._cancelled_body = True
            self._body.cancel()

    # Holding it for a body

    async def __aenter__(self) -> Self:
        await self.acquire()
        # Nothing was awaited since it was acquired: the loss can't have come before this.
        self._body = asyncio.current_task()
        self._cancelling = 0 if self._body is None else self._body.cancelling()
        self._cancelled_body = False
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        body, self._body = self._body, None
        if self._cancelled_body and body is not None:
            # As asyncio.timeout does: a cancellation that was asked for besides ours goes on.
            others = body.uncancel() > self._cancelling
            if error is None or (kind is asyncio.CancelledError and not others):
                raise LeaseLostError(self.name, self.token) from error
            return
        in_time = self.held
        kept = await self.release()
        if error is None and not (in_time and kept):
            raise LeaseLostError(self.name, self.token)
