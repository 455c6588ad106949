"""Sessions: entries that live and end together."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import InvalidArgumentError, RevisionConflictError, SessionEndedError
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.server_support.server_clock import ServerClock
from lionagi_qe.persistence.values.entry import check_seconds
from lionagi_qe.persistence.values.keys import check_key

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from lionagi_qe.persistence import Memory

PREFIX = "aqe/sessions/"
DEFAULT_TTL = 600.0
# Keys outlive the session by this much, so that none is missing while it still lasts.
_GRACE = 2.0
_BATCH = 1_000


class Session:
    """Entries under one name that end at one moment, by TTL or by ``end``.

    ::

        async with Session(memory, "review-42", ttl=600) as session:  # starts it, or joins it
            await session.store("draft", {"text": "..."})   # aqe/sessions/review-42/draft
            await session.extend()                          # 600 s more for all of it

    Leaving the block does not end the session: others may be at work in it. Whether it lasts is
    decided by one entry, ``aqe/sessions/<name>``, by the server's clock; reading through the
    session sees nothing any more from that moment on, whatever keys the server still holds.

    Args:
        memory: all who take part use the same fleet.
        name: the session; may have several segments.
        ttl: seconds that it lasts from its start and from each ``extend``.
    """

    def __init__(self, memory: Memory, name: str, *, ttl: float = DEFAULT_TTL) -> None:
        self._memory = memory
        self.key = check_key(f"{PREFIX}{_text('session', name)}")
        self.ttl = check_seconds("ttl", ttl)
        self._clock = ServerClock(parts_of(memory).bulk.clock)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    async def start(self) -> None:
        """Start the session if it isn't there; one that lasts already is left as it is."""
        with contextlib.suppress(RevisionConflictError):
            await self._memory.store(self.key, {"ttl": self.ttl}, ttl=self.ttl, if_revision=0)

    async def remaining(self) -> float:
        """Return for how many more seconds the session lasts; 0 if it has ended."""
        entry = await self._memory.entry(self.key)
        if entry is None or entry.expires_at is None:
            return 0.0
        left = entry.expires_at.timestamp() - await self._clock.now() / 1000
        return max(left, 0.0)

    async def store(self, key: str, value: Any) -> int:  # noqa: ANN401 - any JSON value
        """Store a value that ends with the session; return its revision. Two round trips.

        Raises SessionEndedError if the session is over.
        """
        name = check_key(f"{self.key}/{_text('key', key)}")
        left = await self.remaining()
        if not left:
            raise SessionEndedError(_ended(self.key))
        return await self._memory.store(name, value, ttl=left + _GRACE)

    async def retrieve(self, key: str, default: Any = None) -> Any:  # noqa: ANN401
        """Return a value of the session; ``default`` if there is none or it has ended."""
        name = check_key(f"{self.key}/{_text('key', key)}")
        found = await self._memory.retrieve_many([self.key, name])
        return found.get(name, default) if self.key in found else default

    async def keys(self) -> list[str]:
        """Return the session's keys, without its own name; none if it has ended."""
        names = await self._memory.list_keys(f"{self.key}/")
        if not await self._memory.exists(self.key):
            return []
        return [name.removeprefix(f"{self.key}/") for name in names]

    async def extend(self, ttl: float | None = None) -> None:
        """Let the session last ``ttl`` seconds (its own, by default) from now on.

        Raises SessionEndedError if it is over. Costs a call a key, sent together.
        """
        seconds = self.ttl if ttl is None else check_seconds("ttl", ttl)
        # The keys first: should we die on the way, none is missing while the session lasts.
        touched = await self._touch_keys(set(), seconds)
        if not await self._memory.touch(self.key, seconds):
            raise SessionEndedError(_ended(self.key))
        # And those that others stored meanwhile, by the end that they knew of.
        await self._touch_keys(touched, seconds)

    async def _touch_keys(self, but: set[str], seconds: float) -> set[str]:
        names = set(await self._memory.list_keys(f"{self.key}/")) - but
        await asyncio.gather(*(self._memory.touch(name, seconds + _GRACE) for name in names))
        return names

    async def end(self) -> bool:
        """End the session now, and remove what it holds; False if it had ended."""
        lasted = await self._memory.delete(self.key)
        names = await self._memory.list_keys(f"{self.key}/")
        for start in range(0, len(names), _BATCH):
            await self._memory.delete_many(names[start : start + _BATCH])
        return lasted


def _ended(key: str) -> str:
    return f"the session {key!r} has ended; start it anew"


def _text(kind: str, text: object) -> str:
    if isinstance(text, str) and text:
        return text
    msg = f"{kind} {text!r}: is a non-empty string"
    raise InvalidArgumentError(msg)
