"""Calls that follow what changes."""

from __future__ import annotations

from lionagi_qe.deprecation import renamed
from lionagi_qe.persistence.calls.base import Calls
from lionagi_qe.persistence.values.entry import check_seconds
from lionagi_qe.persistence.watch import DEFAULT_PAGE_SIZE, DEFAULT_POLL, Watch


class WatchCalls(Calls):
    """Follow the changes of entries."""

    @renamed(page="page_size")
    def watch(  # noqa: PLR0913 - keyword-only settings with defaults
        self,
        pattern: str = "*",
        since: str | None = None,
        *,
        values: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        poll: float = DEFAULT_POLL,
        timeout: float | None = None,
    ) -> Watch:
        """Yield what is stored, deleted or expires under a pattern, from ``since`` on.

        ``async for change in memory.watch("aqe/plans/*")``; use it as ``async with`` first to fix
        the beginning. Of one key the revisions only grow and its last state always arrives;
        states in between that the reader was too slow for are merged into it. Changes of
        different keys come in about the order in which they were made. Nothing is missed or seen
        twice across lost connections, restarts of the server, and restarts of the reader that
        passes the last change's cursor, as long as the server itself loses no acknowledged write.

        Args:
            pattern: a glob, see ``glob``; costs what changes under its literal prefix.
            since: a ``Change.cursor`` or ``Watch.cursor`` of this memory; "start" for all that is
                stored, then what follows (deletions of the last minutes may be among it); None for
                what happens from now on.
            values: hand out the values too; without, a page costs no more for large ones.
            page_size: most changes read, and held, at once.
            poll: longest pause in seconds between two looks at an idle server. After a change it
                looks again after 5 ms, then more and more rarely; writes through this handle
                wake it at once.
            timeout: seconds for one read, after which it is tried again; the memory's own if None.

        Raises (on iteration):
            WatchTooOldError: the position is older than the tombstones kept (5 minutes).

        """
        return Watch(
            self._scheduler,
            pattern,
            since,
            values=values,
            page_size=page_size,
            poll=poll,
            timeout=self.timeout if timeout is None else check_seconds("timeout", timeout),
        )
