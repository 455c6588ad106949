"""LionAGI on the shared memory: ``Session(memory=FleetMemoryStore(url))``.

LionAGI (0.35.5 and later) has a seam for memory, ``lionagi.MemoryStore``, and a store of its own
that lives and dies with the process. This one is durable, and shared by all processes, sessions
and branches that name the same memory and prefix.
"""

from __future__ import annotations

import heapq
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lionagi.protocols.memory import MemoryItem

from lionagi_qe.agents.llm.conversation import (
    Conversation,
    ConversationHeldError,
    ConversationLostError,
    ConversationNotFoundError,
    Conversations,
)
from lionagi_qe.agents.llm.recall import FleetRecall
from lionagi_qe.agents.llm.tools import as_tool, fleet_tools, memory_tools
from lionagi_qe.errors import InvalidArgumentError, InvalidValueError
from lionagi_qe.fleet.request import request_for
from lionagi_qe.integrations.memory_choice import choose_memory
from lionagi_qe.integrations.qe_actions import DEFAULT_SECONDS, qe_actions
from lionagi_qe.persistence.calls.recalls import MOST_RECALLED
from lionagi_qe.persistence.values.codec import decode, encode
from lionagi_qe.persistence.values.entry import check_flag, check_ttl
from lionagi_qe.persistence.values.glob import escape_glob
from lionagi_qe.persistence.values.keys import check_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from lionagi.protocols.action.tool import Tool
    from lionagi.protocols.memory import MemoryQuery

    from lionagi_qe.persistence import Entry, Memory
    from lionagi_qe.persistence.recall.embedding import Embed

__all__ = [
    "Conversation",
    "ConversationHeldError",
    "ConversationLostError",
    "ConversationNotFoundError",
    "Conversations",
    "FleetMemoryStore",
    "FleetRecall",
    "fleet_tools",
    "memory_tools",
    "qe_tools",
]

DEFAULT_PREFIX = "aqe/lionagi/items"
PARTITION = "lionagi"
SCAN_PAGE = 500
_CRITERIA = frozenset({"text", "tags", "filters", "limit"})


def qe_tools(
    path: Path, memory_url: str, *, python: Path | None = None, seconds: float = DEFAULT_SECONDS
) -> list[Tool]:
    """Return tools that run QE agents over a project, on a copy; they return what was measured.

    qe_run_tests, qe_coverage_gaps, qe_hunt_flaky and qe_mutants. The figures are kept in the
    memory, where fleet_tools find them, and come with their sources. Errors come back as values.

    Args:
        path: the project's directory, which is only read.
        memory_url: where the figures are kept.
        python: the project's own interpreter; None for a cached environment.
        seconds: most time for all measurements together, from now on.

    Raises:
        ProjectError: the project's metadata are not valid.
    """
    request = request_for(path, agents=[], memory=memory_url, python=python)
    until = time.monotonic() + seconds
    return [as_tool(action) for action in qe_actions(request, until=until)]


class FleetMemoryStore:
    """A ``lionagi.MemoryStore`` whose items outlive the process.

    ::

        async with FleetMemoryStore("postgresql://user@host/database") as store:
            session = Session(memory=store)

    Items come back as new objects, with content and metadata as JSON data: a model in ``content``
    comes back as its JSON dump, a tuple as a list. What JSON can't hold is refused
    (InvalidValueError) instead of being turned into text.

    Args:
        memory: a Memory, which stays the caller's to close, or a URL (see ``open_memory``).
        prefix: what the items' keys start with; stores with different prefixes don't see each
            other's items.
        ttl: seconds (or timedelta) until an item expires; None for ever.
        item_type: the class of the items. Others are refused, since they would come back as this.
        ranked: a search with a text finds the items that say best what it says, best first, by an
            index that the memory keeps of their contents (see docs/recall.md), instead of those
            that hold it as it stands. Not on encrypted memories.
        embed: of a ranked store, makes vectors to search by meaning too; see ``Memory.index``.
        dims: how many numbers they have.
        model: the name of what makes them, where ``embed`` has none of its own.
        replace_declared: make the index anew if it was declared with other vectors, or none.
    """

    def __init__(  # noqa: PLR0913 - keyword-only settings with defaults
        self,
        memory: Memory | str,
        *,
        prefix: str = DEFAULT_PREFIX,
        ttl: float | timedelta | None = None,
        item_type: type[MemoryItem] = MemoryItem,
        ranked: bool = False,
        embed: Embed | str | None = None,
        dims: int | None = None,
        model: str | None = None,
        replace_declared: bool = False,
    ) -> None:
        self._memory, self._owned = choose_memory(memory)
        self._prefix = check_key(prefix)
        check_ttl(ttl)
        self._ttl = ttl
        self._item_type = item_type
        if embed is not None and not ranked:
            raise InvalidArgumentError("embed is for a ranked store; give ranked=True too")
        self._ranked = ranked
        self._vectors: dict[str, Any] = {
            "embed": embed,
            "dims": dims,
            "model": model,
            "replace_declared": check_flag("replace_declared", replace_declared),
        }
        self._declared = False

    # The protocol

    async def store(self, item: MemoryItem) -> UUID:
        """Store an item, in place of the one with the same id if there is one; return the id.

        Raises:
            InvalidValueError: the item is of another class, or holds what JSON can't.

        """
        if type(item) is not self._item_type:
            raise InvalidValueError(
                f"item of class {type(item).__name__}: this store holds "
                f"{self._item_type.__name__}; give item_type={type(item).__name__}"
            )
        fields: dict[str, Any] = {name: getattr(item, name) for name in type(item).model_fields}
        del fields["id"]
        await self._memory.store(self._key(item.id), fields, self._ttl, PARTITION)
        return item.id

    async def retrieve(self, item_id: UUID) -> MemoryItem | None:
        """Return the item with this id, or None if there is none or it has expired."""
        value = await self._memory.retrieve(self._key(item_id))
        return None if value is None else self._item(item_id, value)

    async def search(self, query: MemoryQuery) -> list[MemoryItem]:
        """Return the items that meet all criteria of the query, in the order of their storing.

        ``text`` is looked for in the content, in any case of letters; of ``tags`` one is enough;
        ``filters`` are compared with the metadata; ``limit`` counts from the oldest. That order is
        by the server's clock, in milliseconds, and by revision within one. An item that was
        stored again keeps its place.

        Costs a scan of the items under the prefix, and holds at most ``limit`` of them. A ranked
        store searches by ``text`` as ``Memory.recall`` does, best first, 1,000 items at most.

        Raises:
            InvalidArgumentError: a criterion that this store does not know, or a negative limit.

        """
        by_rank = self._ranked and bool(query.text)
        matches = _criteria(query, "" if by_rank else query.text)
        if query.limit == 0:
            return []
        if by_rank:
            return await self._recall(query, matches)
        found: list[Entry] = []
        async for entry in self._memory.scan(f"{self._prefix}/"):
            if matches(entry.value):
                found.append(entry)
            if len(found) >= query.limit + SCAN_PAGE:
                found = heapq.nsmallest(query.limit, found, key=_place)
        oldest = heapq.nsmallest(query.limit, found, key=_place)
        return [self._item(_id_in(entry.key), entry.value) for entry in oldest]

    async def _recall(
        self, query: MemoryQuery, matches: Callable[[dict[str, Any]], bool]
    ) -> list[MemoryItem]:
        name = await self.index()
        limit = min(query.limit, MOST_RECALLED)
        found = await self._memory.recall(query.text or "", index=name, limit=limit, filter=matches)
        return [self._item(_id_in(each.key), each.value) for each in found]

    # Beyond the protocol

    async def index(self) -> str:
        """Declare the index of a ranked store, unless it is; return its name.

        For ``FleetRecall(memory, project, indexes=[await store.index()])`` on the memory that the
        store stands on: then a turn is told the items that say what it is about.

        Raises:
            InvalidArgumentError: the store is not ranked, or its index was declared otherwise.
            ConfigurationError: the memory is encrypted.

        """
        if not self._ranked:
            raise InvalidArgumentError("this store has no index; give ranked=True")
        name = self._prefix.replace("/", ".")
        if not self._declared:
            pattern = f"{escape_glob(self._prefix)}/*"
            await self._memory.index(name, pattern, "$.content", **self._vectors)
            self._declared = True
        return name

    async def delete(self, item_id: UUID) -> bool:
        """Remove an item; return whether there was one."""
        return await self._memory.delete(self._key(item_id))

    async def close(self) -> None:
        """Close the memory if this store opened it from a URL."""
        if self._owned:
            await self._memory.close()

    async def __aenter__(self) -> Self:
        await self._memory.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _key(self, item_id: UUID) -> str:
        if not isinstance(item_id, UUID):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArgumentError(f"item id {item_id!r}: an id is a UUID, see MemoryItem.id")
        return f"{self._prefix}/{item_id}"

    def _item(self, item_id: UUID, fields: dict[str, Any]) -> MemoryItem:
        # Not Element.from_dict: it imports the class that the data names.
        return self._item_type.model_validate({**fields, "id": item_id})


def _place(entry: Entry) -> tuple[datetime, int]:
    return entry.created_at, entry.revision


def _id_in(key: str) -> UUID:
    return UUID(key.rpartition("/")[2])


def _criteria(query: MemoryQuery, text: str | None) -> Callable[[dict[str, Any]], bool]:
    """Return what tells whether an item's fields meet the query, as LionAGI's own store does."""
    unknown = sorted(query.model_fields_set - _CRITERIA)
    if unknown:
        raise InvalidArgumentError(
            f"query with {unknown[0]!r}: this store searches by {', '.join(sorted(_CRITERIA))}; "
            "leave it out, or filter what comes back"
        )
    if query.limit < 0:
        raise InvalidArgumentError(f"query with limit {query.limit}: must be 0 or more")
    text = (text or "").lower()
    tags = set(query.tags or ())
    # As they would be stored, so that a tuple or a model meets its own stored form.
    filters: dict[str, Any] = decode(encode(query.filters or {}))

    def matches(fields: dict[str, Any]) -> bool:
        return (
            (not text or text in str(fields["content"]).lower())
            and (not tags or not tags.isdisjoint(fields["tags"]))
            and all(fields["metadata"].get(name) == value for name, value in filters.items())
        )

    return matches
