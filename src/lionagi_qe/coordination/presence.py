"""Who is alive: members of a group whose entries end by themselves when they stop beating."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lionagi_qe.errors import (
    AqeError,
    BackendUnavailableError,
    InvalidArgumentError,
    RevisionConflictError,
)
from lionagi_qe.persistence.values.entry import check_seconds
from lionagi_qe.persistence.values.glob import escape_glob
from lionagi_qe.persistence.values.keys import check_key
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from lionagi_qe.persistence import Entry, Memory
    from lionagi_qe.persistence.contract.change_log import Kind
    from lionagi_qe.persistence.watch import Watch

PREFIX = "aqe/presence/"
DEFAULT_GROUP = "agents"
DEFAULT_TTL = 15.0
# Beats a TTL: two may be lost before the member is.
_BEATS = 3

MovementKind = Literal["joined", "left", "expired"]
# What a change of a member's entry means.
_KINDS: Mapping[Kind, MovementKind] = {"stored": "joined", "deleted": "left", "expired": "expired"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who is alive: since when (server's clock), where, and what it tells of itself."""

    agent_id: str
    since: datetime
    host: str
    process: int
    info: Any


@dataclass(frozen=True, slots=True)
class Movement:
    """Somebody joined or left a group; ``expired`` if it left without a word."""

    kind: MovementKind
    agent_id: str


class Presence:
    """Shows that an agent is alive, for as long as it beats.

    ::

        async with Presence(memory, "tester-7", ttl=15) as presence:
            print([member.agent_id for member in await presence.alive()])

    It beats at a third of ``ttl``, unseen by watchers; while the server can't be reached it tries
    again. Who leaves is gone at once, unless the answer to its last beat was lost: that may still
    be applied, and show it for up to ``ttl`` more. An agent that comes back under the same id
    (after a crash, say) takes the place over: ``replaced`` is set on the former one, and it beats
    no more.

    Args:
        memory: all members use the same fleet.
        agent_id: one segment of a key, no "/".
        ttl: seconds after the last beat at which a member counts as gone.
        group: members of other groups aren't seen; one segment too.
        info: JSON data that others see.
    """

    def __init__(
        self,
        memory: Memory,
        agent_id: str,
        *,
        ttl: float = DEFAULT_TTL,
        group: str = DEFAULT_GROUP,
        info: Any = None,  # noqa: ANN401 - any JSON value
    ) -> None:
        self._memory = memory
        self._prefix = f"{PREFIX}{_segment('group', group)}/"
        self.agent_id = _segment("agent_id", agent_id)
        self.ttl = check_seconds("ttl", ttl)
        self._value = {"host": socket.gethostname(), "process": os.getpid(), "info": info}
        # What tells our entry from that of another with our id.
        self._stay = ""
        # None while we don't know it: the answer to a store was lost.
        self._revision: int | None = None
        self._beating: asyncio.Task[None] | None = None
        self.replaced = asyncio.Event()

    @property
    def key(self) -> str:
        """The entry that stands for this agent."""
        return self._prefix + self.agent_id

    async def __aenter__(self) -> Self:
        self.replaced.clear()
        self._stay = self._value["stay"] = secrets.token_hex(8)
        self._revision = await self._memory.store(self.key, self._value, ttl=self.ttl)
        self._beating = asyncio.create_task(self._beat_on())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._beating is not None:
            self._beating.cancel()
            # Waited for, not awaited: a cancellation of ours must not pass for its own.
            await asyncio.wait([self._beating])
            self._beating = None
        if not self.replaced.is_set():
            try:
                await self._leave()
            except BackendUnavailableError as error_:
                _log.warning(
                    "%s leaves without a word, which takes its ttl: %s",
                    self.key,
                    error_,
                    extra=log_fields(member=self.key, error=error_),
                )

    async def _leave(self) -> None:
        revision = self._revision
        if revision is None:
            entry = await self._memory.entry(self.key)
            if entry is None:
                return
            revision = entry.revision if self._is_ours(entry) else 0
        try:
            await self._memory.delete(self.key, if_revision=revision)
        except RevisionConflictError:
            self.replaced.set()

    def _is_ours(self, entry: Entry) -> bool:
        return isinstance(entry.value, dict) and entry.value.get("stay") == self._stay

    async def _beat_on(self) -> None:
        while not self.replaced.is_set():
            await asyncio.sleep(self.ttl / _BEATS)
            try:
                await self.beat()
            except BackendUnavailableError as error:
                _log.warning(
                    "%s could not beat: %s",
                    self.key,
                    error,
                    extra=log_fields(member=self.key, error=error),
                )
            except AqeError as error:
                _log.exception(
                    "%s could not beat",
                    self.key,
                    extra=log_fields(member=self.key, error=error),
                )

    async def beat(self) -> bool:
        """Show now that we are alive; False, and ``replaced``, if another took our place.

        Two round trips, more for one that ends meanwhile. A member that was gone already (its host
        slept, the server was away for too long) joins anew.
        """
        while (entry := await self._memory.entry(self.key)) is not None:
            if entry.revision != self._revision and not self._is_ours(entry):
                self.replaced.set()
                return False
            self._revision = entry.revision
            if await self._memory.touch(self.key, self.ttl):
                return True
            # It ended since it was read.
        self._revision = None
        try:
            self._revision = await self._memory.store(
                self.key, self._value, ttl=self.ttl, if_revision=0
            )
        except RevisionConflictError:
            self.replaced.set()
        return not self.replaced.is_set()

    async def alive(self) -> list[Member]:
        """Return who is alive in the group now, ourselves included, by id."""
        alive = [
            Member(
                entry.key.removeprefix(self._prefix),
                entry.created_at,
                entry.value["host"],
                entry.value["process"],
                entry.value["info"],
            )
            async for entry in self._memory.scan(self._prefix)
        ]
        return sorted(alive, key=lambda member: member.agent_id)

    def movements(self, *, poll: float = 0.25) -> Movements:
        """Yield who joins and leaves from now on; an expiry is told within about ``poll`` s.

        ``async with presence.movements() as movements`` fixes now, as for ``Memory.watch``;
        without it, now is when the first one is asked for.
        """
        pattern = f"{escape_glob(self._prefix)}*"
        return Movements(self._memory.watch(pattern, values=False, poll=poll), self._prefix)


class Movements:
    """Who joins and leaves a group, without end; made by ``Presence.movements``."""

    def __init__(self, watch: Watch, prefix: str) -> None:
        self._watch = watch
        self._prefix = prefix

    async def __aenter__(self) -> Self:
        await self._watch.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._watch.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Movement:
        change = await anext(self._watch)
        return Movement(_KINDS[change.kind], change.key.removeprefix(self._prefix))


def _segment(name: str, text: str) -> str:
    """Return a text that can be one segment of a key, or raise InvalidArgumentError."""
    try:
        whole = "/" not in text and bool(check_key(f"{PREFIX}{text}"))
    except (ValueError, TypeError) as error:
        msg = f"{name} {text!r}: can't be part of a key ({error})"
        raise InvalidArgumentError(msg) from error
    if not whole:
        msg = f"{name} {text!r}: is one segment of a key, so it has no '/'"
        raise InvalidArgumentError(msg)
    return text
