"""The change feed: what happens to the entries that match a pattern, resumable at any point."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lionagi_qe.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    InvalidArgumentError,
)
from lionagi_qe.persistence.values.codec import decode
from lionagi_qe.persistence.values.entry import check_count, check_flag, check_seconds
from lionagi_qe.persistence.values.glob import compile_glob
from lionagi_qe.telemetry.log_fields import log_fields

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from lionagi_qe.persistence.contract.change_log import Kind, LogPage
    from lionagi_qe.persistence.scheduling.scheduler import Scheduler

START: Final = "start"
MAX_PAGE_SIZE = 10_000
DEFAULT_PAGE_SIZE = 500
DEFAULT_POLL = 0.25
_FIRST_PAUSE = 0.005

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of an entry.

    Attributes:
        kind: "stored", "deleted" or "expired".
        key: the entry's key.
        revision: of the entry, or of its removal; of one key they only grow.
        value: the stored value; None for a removal and where ``values=False`` was asked for.
        cursor: pass it as ``since`` to go on right behind this change.
    """

    kind: Kind
    key: str
    revision: int
    value: Any
    cursor: str


class Watch:
    """The changes of the entries that match a pattern, from a position on, without end.

    Made by ``Memory.watch``. Iterate it with ``async for``; one reader at a time. ``async with``
    fixes the beginning at once, else the first iteration does. It reads a page when the last one
    is used up, so a slow reader holds nothing up and no queue grows. While the server can't be
    reached it waits, and then goes on where it was.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, of Memory.watch
        self,
        scheduler: Scheduler,
        pattern: str,
        since: str | None,
        *,
        values: bool,
        page_size: int,
        poll: float,
        timeout: float,
    ) -> None:
        if since is not None and (not isinstance(since, str) or not since):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"since {since!r}: give a cursor, {START!r} for all that is stored, None for now"
            raise InvalidArgumentError(msg)
        self._scheduler = scheduler
        self._glob = compile_glob(pattern)
        self._since = since
        self._values = check_flag("values", values)
        self._page_size = check_count("page_size", page_size, MAX_PAGE_SIZE)
        self._poll = check_seconds("poll", poll)
        self._timeout = timeout
        self._position: str | None = None
        self._cursor: str | None = None
        self._ready: deque[Change] = deque()
        self._reading = asyncio.Lock()
        self._written = asyncio.Event()
        self._behind = True
        self._closed = False

    @property
    def cursor(self) -> str | None:
        """Where this watch is: pass it as ``since`` to go on here. None before it has begun.

        It moves on with changes of other keys too, so it stays young where Change.cursor ages.
        """
        return self._cursor if self._ready else self._position

    async def open(self) -> Self:
        """Fix the beginning: nothing that changes from now on is missed. May be called twice."""
        async with self._reading:
            await self._begin()
        return self

    async def close(self) -> None:
        """End the iteration, also that of a reader who waits."""
        self._closed = True
        self._written.set()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        """Return the next change, waiting for it as long as it takes.

        Raises:
            WatchTooOldError: deletions since the position may be forgotten; read all anew.
            MemoryClosedError: the memory was closed.
            AccessDeniedError: the server refused us.

        """
        async with self._reading:
            await self._begin()
            pause = _FIRST_PAUSE
            while not self._ready:
                if self._closed:
                    raise StopAsyncIteration
                if self._behind:
                    await self._read()
                    continue
                await self._rest(pause)
                pause = min(pause * 2, self._poll)
                self._behind = True
            change = self._ready.popleft()
        self._cursor = change.cursor
        return change

    async def _begin(self) -> None:
        if self._position is not None:
            return
        since, log = self._since, self._scheduler.log
        if since is None or since == START:
            self._position = await self._scheduler.perform(
                lambda: log.start(oldest=since == START), self._deadline(), repeat=True
            )
        else:
            await self._scheduler.perform(lambda: log.check(since), self._deadline())
            self._position = since

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._timeout

    async def _rest(self, seconds: float) -> None:
        """Wait for a write through this handle, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._written.wait()

    async def _read(self) -> None:
        """Read the next page; while the server can't be reached, again and again."""
        log, position = self._scheduler.log, self._position or ""
        troubled = False
        while not self._closed:
            # Taken before the read: a write that the read doesn't see sets it.
            self._written = self._scheduler.written
            try:
                page = await self._scheduler.perform(
                    lambda: log.read(
                        position, self._glob.prefix, self._page_size, values=self._values
                    ),
                    self._deadline(),
                    repeat=True,
                )
            except AccessDeniedError:
                raise
            except BackendUnavailableError as error:
                if not troubled:
                    _log.warning(
                        "watch waits for the server: %s", error, extra=log_fields(error=error)
                    )
                troubled = True
                await self._rest(self._poll)
            else:
                self._take(page)
                break
        if troubled:
            _log.info("watch goes on")

    def _take(self, page: LogPage) -> None:
        self._cursor = self._position
        self._position = page.position
        self._behind = page.more
        self._ready.extend(
            Change(
                record.kind,
                record.key,
                record.revision,
                None if record.entry is None else decode(record.entry.payload),
                record.position,
            )
            for record in page.records
            if self._glob.matches(record.key)
        )
