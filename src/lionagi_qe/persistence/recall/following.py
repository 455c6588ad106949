"""How an index follows the entries: it reads the change log on, and notes how far it has come.

A new index first goes through the entries under its pattern in the order of their keys, then reads
what changed since it began. Each step writes documents and the new position together, if the index
is still where the step began; so any number of processes may do it, and none does it twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from lionagi_qe.errors import (
    BackendTimeoutError,
    BackendUnavailableError,
    IndexBehindError,
    OutcomeUnknownError,
    WatchTooOldError,
)
from lionagi_qe.persistence.recall.analysis import Analyzer
from lionagi_qe.persistence.recall.terms import document_number
from lionagi_qe.persistence.values.glob import compile_glob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lionagi_qe.persistence.contract.indexes import Document, IndexBackend
    from lionagi_qe.persistence.contract.records import Record
    from lionagi_qe.persistence.recall.declaration import Declaration
    from lionagi_qe.persistence.recall.embedding import Embedding
    from lionagi_qe.persistence.scheduling.scheduler import Scheduler

PAGE = 500
# Counts up when other terms are made of the same entries: what has others is made anew.
FORM = 4
# A position that has moved so far past what others do is noted, so that it needn't be read again.
_NOTED_SECONDS = 60.0
POSTINGS_AT_ONCE = 10_000
# What as much of a vector takes as a posting, about.
_POSTING_BYTES = 256
DROPPED_AT_ONCE = 100


class IndexMovedError(Exception):
    """The data that were followed are gone: the index was made anew, or its server lost them."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far an index has come: in the log, and (until it is done) in the keys; of which form."""

    log: str
    after: str | None = None
    form: int = FORM

    def __str__(self) -> str:
        return orjson.dumps([self.log, self.after, self.form]).decode()

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read what ``str`` made."""
        log, after, *form = orjson.loads(text)
        return cls(log, after, *(form or [1]))


class Follower:
    """Keeps one index's data up to what the memory holds.

    Args:
        scheduler: carries all that is read and written.
        declaration: what the index is of.
        embedding: makes its vectors, if it has any.
        progress: gets the number of entries that were indexed.
        former: the data of an index like it, whose vectors needn't be made again.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        declaration: Declaration,
        embedding: Embedding | None,
        progress: Callable[[int], None] | None = None,
        former: str | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._declaration = declaration
        self._glob = compile_glob(declaration.pattern)
        self._lock = asyncio.Lock()
        self._next: asyncio.Future[bool] | None = None
        self._steps = 0
        self._was_there = False
        self._progress = progress
        self._indexed = 0
        self._analyzer = Analyzer(scheduler, declaration, embedding, former)
        # As the store has it, and as far as we have read since.
        self._noted: str | None = None
        self._noted_at = 0.0
        self._place: Place | None = None

    @property
    def _indexes(self) -> IndexBackend:
        return self._scheduler.indexes

    async def catch_up(self, deadline: float) -> None:
        """Index all that was stored before this call; those who ask meanwhile share the next.

        Raises:
            IndexBehindError: the time was up; what was done is kept.
            IndexMovedError: the declaration has to be read again.

        """
        steps = self._steps
        # A little before the calls' own: that the time is up is told by what was done in it.
        ends = deadline - min(0.25, (deadline - asyncio.get_running_loop().time()) / 20)
        try:
            async with asyncio.timeout_at(ends):
                # Whose turn is still to begin sees what was stored before we came.
                while self._next is not None:
                    if await asyncio.shield(self._next):
                        return
                await self._take_turn(deadline)
        except TimeoutError as error:
            if self._steps == steps:
                msg = "no answer from the server in time; nothing was indexed"
                raise BackendTimeoutError(msg) from error
            raise self._behind() from error

    async def _take_turn(self, deadline: float) -> None:
        """Follow for all who come before it begins; they go on together, or by themselves."""
        turn = self._next = asyncio.get_running_loop().create_future()
        try:
            await asyncio.sleep(0)
            async with self._lock:
                self._next = None
                await self._follow(deadline)
            turn.set_result(True)
        finally:
            if self._next is turn:
                self._next = None
            if not turn.done():
                turn.set_result(False)

    @property
    def noted(self) -> str | None:
        """How far the index has come in the store, as far as we know; see ``forget``."""
        return self._noted

    def _behind(self) -> IndexBehindError:
        name = self._declaration.name
        building = self._place is None or self._place.after is not None
        state = "isn't built yet" if building else "is behind what was stored"
        return IndexBehindError(
            f"index {name!r} {state}, and the time is up; what was indexed is kept: give more "
            f"timeout, await memory.refresh_index({name!r}, timeout=...) first, or recall with "
            "refresh=False to search in what is there"
        )

    async def _follow(self, deadline: float) -> None:
        more = True
        while more:
            if self._place is None:
                await self._load(deadline)
            more = await self._step(deadline)

    async def _load(self, deadline: float) -> None:
        """Learn how far the index has come; begin it if nobody has."""
        name = self._declaration.data
        noted = await self._ask(lambda: self._indexes.position(name), deadline)
        if not noted and self._was_there:
            raise IndexMovedError
        self._was_there = bool(noted)
        if not noted:
            log = self._scheduler.log
            # Removals that were forgotten meanwhile do no harm: a search looks at the entries.
            now = await self._ask(lambda: log.start(oldest=False, removals=False), deadline)
            await self._write("", Place(now, ""), [], [], deadline)
            return
        place = Place.parse(noted)
        if place.form < FORM:
            await self.rebuild(deadline)
            return
        self._noted, self._place = noted, place
        self._noted_at = asyncio.get_running_loop().time()

    async def _step(self, deadline: float) -> bool:
        """Index the next page; return whether more may follow."""
        place = self._place
        if place is None:
            return True
        if place.after is not None:
            return await self._step_through_keys(place, place.after, deadline)
        log = self._scheduler.log
        try:
            page = await self._ask(
                lambda: log.read(place.log, self._glob.prefix, PAGE, values=True, bury=False),
                deadline,
            )
        except WatchTooOldError:
            # The store was restored, or lost its last writes: what is indexed can't be relied on.
            await self.rebuild(deadline)
            return True
        records = [each for each in page.records if self._declaration.covers(each.key)]
        stored = [each.entry for each in records if each.entry is not None]
        gone = [document_number(each.key) for each in records if each.entry is None]
        await self._advance(replace(place, log=page.position), stored, gone, deadline)
        return page.more or self._place is None

    async def _step_through_keys(self, place: Place, after: str, deadline: float) -> bool:
        keys = self._glob.keys
        keys = keys.after(after) if after else keys
        page = await self._scheduler.ask(lambda backend: backend.page(keys, PAGE, None), deadline)
        covered = [each for each in page.records if self._declaration.covers(each.key)]
        await self._advance(replace(place, after=page.after), covered, [], deadline)
        return True

    async def _advance(
        self, place: Place, stored: Sequence[Record], gone: Sequence[int], deadline: float
    ) -> None:
        self._steps += 1
        documents, empty = await self._analyzer.documents(stored, deadline)
        gone = [*gone, *empty]
        now = asyncio.get_running_loop().time()
        moved = place.after != (self._place or place).after
        if documents or gone or moved or now - self._noted_at > _NOTED_SECONDS:
            await self._write(self._noted or "", place, documents, gone, deadline)
        else:
            self._place = place
        self._indexed += len(documents)
        if self._progress is not None:
            self._progress(self._indexed)

    async def _write(
        self,
        expected: str,
        place: Place,
        documents: Sequence[Document],
        gone: Sequence[int],
        deadline: float,
    ) -> None:
        """Write a step; forget where we are if somebody else was quicker."""
        text = str(place)
        # Not repeated, but read again: who sent it twice would take himself for somebody else.
        self._place = self._noted = None
        *before, last = _parts(documents) or [[]]
        for part in before:
            # What was told of a step that isn't done comes again.
            if not await self._send(expected, expected, part, [], deadline):
                return
        if await self._send(expected, text, last, gone, deadline):
            self._place, self._noted, self._was_there = place, text, True
            self._noted_at = asyncio.get_running_loop().time()

    async def _send(
        self,
        expected: str,
        position: str,
        documents: Sequence[Document],
        gone: Sequence[int],
        deadline: float,
    ) -> bool:
        name = self._declaration.data
        try:
            written = await self._scheduler.perform(
                lambda: self._indexes.write(name, expected, position, documents, gone), deadline
            )
        except OutcomeUnknownError:
            # Where the index is tells.
            return False
        self._steps += written
        return written

    async def forget(self, gone: Sequence[int], noted: str | None, deadline: float) -> None:
        """Take documents out whose entries a search didn't find.

        Unless the index has moved on from where it was ``noted`` when the search began: what
        was gone may be there again.
        """
        name = self._declaration.data
        if noted and gone:
            # The search has its answer; a standby, or a server that is full, can be told later.
            with contextlib.suppress(BackendUnavailableError):
                await self._scheduler.perform(
                    lambda: self._indexes.write(name, noted, noted, [], gone), deadline
                )

    async def rebuild(self, deadline: float) -> None:
        """Remove what is indexed, to begin anew."""
        self._place = self._noted = None
        self._was_there = False
        await drop_data(self._scheduler, self._declaration.data, deadline)

    async def _ask(self, question: Any, deadline: float) -> Any:  # noqa: ANN401
        return await self._scheduler.perform(question, deadline, repeat=True)


def _parts(documents: Sequence[Document]) -> list[list[Document]]:
    """Return the documents in parts that a server takes in without keeping others waiting."""
    parts: list[list[Document]] = []
    room = 0
    for document in documents:
        size = len(document.postings) + len(document.vector) // _POSTING_BYTES
        if not parts or size > room:
            parts.append([])
            room = POSTINGS_AT_ONCE
        parts[-1].append(document)
        room -= size
    return parts


async def drop_data(scheduler: Scheduler, name: str, deadline: float) -> None:
    """Remove the data of an index, in bounded steps."""
    more = True
    while more:
        more = await scheduler.perform(
            lambda: scheduler.indexes.drop(name, DROPPED_AT_ONCE), deadline, repeat=True
        )
