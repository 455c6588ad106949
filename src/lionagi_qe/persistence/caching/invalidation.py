"""Follows a durable memory's log for a cache: marks what changed, and knows how far it came."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from typing import TYPE_CHECKING

from lionagi_qe.errors import AqeError, InvalidArgumentError, WatchTooOldError
from lionagi_qe.persistence.contract.change_log import KEPT_SECONDS
from lionagi_qe.persistence.server_support.server_clock import ServerClock
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lionagi_qe.persistence.contract.cache import Cache
    from lionagi_qe.persistence.contract.change_log import ChangeLog

_PAGE = 1_000
# While the position is kept, no deletion behind it can be forgotten.
_POSITION_LIFE_MS = (KEPT_SECONDS - 60) * 1000
_KEEP_EVERY = 1.0
_STEP_TIMEOUT = 2.0

_log = logging.getLogger(__name__)


class Follower:
    """Reads the log to its end every ``poll`` seconds and marks the changes in the cache."""

    def __init__(self, log: ChangeLog, cache: Cache, *, poll: float) -> None:
        self._log = log
        self._cache = cache
        self._poll = poll
        self._position: str | None = None
        self._anew = False
        self._synced_at = -math.inf
        self._trusted_from = -math.inf
        self._owed: set[str] = set()
        self._clock = ServerClock(log.clock)
        self._kept_at = -math.inf
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._round = asyncio.Event()

    def start(self) -> None:
        """Begin to follow."""
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """End it; the cache isn't trusted any more."""
        self._synced_at = -math.inf
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            # Waited for, not awaited: a cancellation of ours must not pass for its own.
            await asyncio.wait([task])

    def age(self) -> float:
        """Return for how many seconds changes may have gone unmarked; infinite if unknown."""
        if self._synced_at < self._trusted_from:
            return math.inf
        return asyncio.get_running_loop().time() - self._synced_at

    def durable_ms(self) -> float:
        """Return the time in ms since 1970 by the durable memory's clock."""
        return self._clock.estimate()

    def distrust(self, changes: Iterable[tuple[str, int | None]]) -> None:
        """Trust the cache only once it was told of these keys and the log was read from now on."""
        self._trusted_from = asyncio.get_running_loop().time()
        self._owed.update(key for key, _ in changes)
        self._wanted.set()

    async def caught_up(self) -> None:
        """Wait until the cache can be trusted again."""
        while self._synced_at < self._trusted_from:
            await self._round.wait()

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        troubled = False
        while True:
            self._wanted.clear()
            began = loop.time()
            try:
                async with asyncio.timeout(_STEP_TIMEOUT):
                    more = await self._step()
            except (WatchTooOldError, InvalidArgumentError) as error:
                _log.warning("the cache begins anew: %s", error, extra=log_fields(error=error))
                self._position, self._anew, more = None, True, False
            except (AqeError, TimeoutError) as error:
                if not troubled:
                    _log.warning(
                        "the cache is not trusted until it can be followed: %s",
                        error,
                        extra=log_fields(error=error),
                    )
                troubled, more = True, False
            else:
                if troubled:
                    _log.info("the cache is followed again")
                troubled = False
                if not more:
                    self._synced_at = began
                    self._round.set()
                    self._round = asyncio.Event()
            if not more:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll):
                        await self._wanted.wait()

    async def _step(self) -> bool:
        """Read one page of the log and mark it; return whether there is more."""
        await self._clock.now()
        if self._position is None:
            self._position = await self._begin()
        reading = await self._cache.begin()
        page = await self._log.read(self._position, "", _PAGE, values=False, bury=False)
        owed, marks = set(self._owed), {r.key: r.revision for r in page.records}
        await self._cache.mark([*marks.items(), *((key, None) for key in owed)])
        self._owed -= owed
        moved, self._position = page.position != self._position, page.position
        now = asyncio.get_running_loop().time()
        if moved and now - self._kept_at >= _KEEP_EVERY:
            await self._cache.keep_position(reading, page.position, _POSITION_LIFE_MS)
            self._kept_at = now
        return page.more

    async def _begin(self) -> str:
        """Go on where a handle before us came to, or with an empty cache from now on."""
        position = None if self._anew else await self._cache.position()
        if position is not None:
            await self._log.check(position)
            return position
        position = await self._log.start(oldest=False)
        await self._cache.renew()
        reading = await self._cache.begin()
        await self._cache.keep_position(reading, position, _POSITION_LIFE_MS)
        self._anew = False
        return position
