"""Store, retrieve and search within one part of the memory."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic import Field

from lionagi_qe.agents.llm.action import Action, AnyJson, Arguments, failure
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.values.entry import ttl_if_given
from lionagi_qe.persistence.values.glob import escape_glob
from lionagi_qe.persistence.values.keys import ROOT, check_key

if TYPE_CHECKING:
    from lionagi_qe.persistence import Entry, Memory

NOTES = "aqe/notes"
# What a model is shown at most, in bytes of JSON: more would crowd out its task.
LONGEST_VALUE: Final = 20_000
LONGEST_FOUND: Final = 2_000
MOST_FOUND: Final = 100
LONGEST_WAIT: Final = 600
_CURSORS_KEPT: Final = 1_000


class Store(Arguments):
    """Arguments of memory_store."""

    key: str = Field(description="Where, for example notes/login; '/' separates names.")
    value: AnyJson = Field(description="What: any JSON value.")
    ttl_seconds: float | None = Field(default=None, description="Forget it after so many seconds.")


class Retrieve(Arguments):
    """Arguments of memory_retrieve."""

    key: str = Field(description="Where, as given to memory_store or told by memory_search.")


class Search(Arguments):
    """Arguments of memory_search."""

    pattern: str = Field(
        default="*", description="Which keys: * any text, ? one character, [abc] a set."
    )
    limit: int = Field(default=20, ge=1, le=MOST_FOUND, description="How many entries at most.")


class Wait(Arguments):
    """Arguments of memory_wait."""

    pattern: str = Field(default="*", description="Which keys, as for memory_search.")
    seconds: float = Field(default=30, gt=0, le=LONGEST_WAIT, description="How long at most.")
    since: str | None = Field(
        default=None, description="The cursor of an earlier answer, so that nothing is missed."
    )


def area_of(agent: str) -> str:
    """Return the prefix, without its last '/', under which an agent's own entries lie."""
    if "/" in agent:
        raise InvalidArgumentError(f"agent {agent!r}: an agent's name is one segment, without '/'")
    return check_key(f"{NOTES}/{agent}")


def area_prefix(area: str) -> str:
    """Return what the keys in an area (``aqe/...``, or ``aqe`` for all) start with."""
    return ROOT if f"{area.rstrip('/')}/" == ROOT else f"{check_key(area)}/"


def memory_actions(memory: Memory, area: str) -> list[Action[Any]]:
    """Return the actions on entries whose keys lie under ``area`` (``aqe/...``); no others.

    They run on a scope of the memory, so that no key, prefix or pattern leads elsewhere. Keys may
    be given in full or relative to the area; they are told in full.
    """
    scope = _Area(memory, area)
    return [
        Action(
            "memory_store",
            f"Keep a JSON value under a key in {scope.prefix}, replacing what is there.",
            Store,
            scope.store,
            writes=True,
            quotes=False,
        ),
        Action(
            "memory_retrieve",
            f"Return the value kept under a key in {scope.prefix}.",
            Retrieve,
            scope.retrieve,
        ),
        Action(
            "memory_search",
            f"Return what is kept in {scope.prefix} under keys that match a pattern, by key.",
            Search,
            scope.search,
        ),
        Action(
            "memory_wait",
            f"Wait until an entry in {scope.prefix} is stored, deleted or expires; change: null "
            "if none was in time.",
            Wait,
            scope.wait,
        ),
    ]


class _Area:
    def __init__(self, memory: Memory, area: str) -> None:
        self.prefix = area_prefix(area)
        self._glob = escape_glob(self.prefix)
        self._memory = memory.scoped("memory tools", write=[f"{self._glob}*"])
        self._cursors: dict[str, str] = {}

    async def store(self, asked: Store) -> dict[str, Any]:
        key = self._full(asked.key)
        revision = await self._memory.store(key, asked.value, ttl_if_given(asked.ttl_seconds))
        return {"stored": key, "revision": revision}

    async def retrieve(self, asked: Retrieve) -> dict[str, Any]:
        key = self._full(asked.key)
        entry = await self._memory.entry(key)
        if entry is None:
            return {"key": key, "found": False}
        size = len(orjson.dumps(entry.value))
        if size > LONGEST_VALUE:
            return failure(
                "ValueTooLong", f"{key!r}: {size} bytes of JSON; at most {LONGEST_VALUE} are shown"
            )
        return {"found": True, **_shown(entry)}

    async def search(self, asked: Search) -> dict[str, Any]:
        pattern = self._full(asked.pattern, self._glob)
        # One more than asked for tells whether there is more.
        found = await self._memory.search(pattern, asked.limit + 1)
        entries = [_short(key, value) for key, value in list(found.items())[: asked.limit]]
        return {"entries": entries, "more": len(found) > asked.limit}

    async def wait(self, asked: Wait) -> dict[str, Any]:
        pattern = self._full(asked.pattern, self._glob)
        since = None if asked.since is None else self._cursors.get(asked.since)
        if since is None and asked.since is not None:
            raise InvalidArgumentError(
                f"since {asked.since!r}: no cursor that memory_wait told lately; leave it out, and "
                "search for what is there"
            )
        async with self._memory.watch(pattern, since) as watch:
            try:
                async with asyncio.timeout(asked.seconds):
                    change = await anext(watch)
            except TimeoutError:
                return {"change": None, "cursor": self._named(watch.cursor)}
        told = _short(change.key, change.value) | {"kind": change.kind, "revision": change.revision}
        return {"change": told, "cursor": self._named(change.cursor)}

    def _named(self, cursor: str | None) -> str | None:
        """Return what a cursor is called here: itself it may hold a key from outside the area."""
        if cursor is None:
            return None
        name = secrets.token_hex(8)
        self._cursors[name] = cursor
        if len(self._cursors) > _CURSORS_KEPT:
            del self._cursors[next(iter(self._cursors))]
        return name

    def _full(self, key: str, prefix: str | None = None) -> str:
        """Return a key or pattern in full; InvalidArgumentError if it lies outside the area."""
        if key.startswith(self.prefix):
            return (prefix or self.prefix) + key.removeprefix(self.prefix)
        if key.startswith(ROOT):
            raise InvalidArgumentError(
                f"{key!r}: lies outside {self.prefix}; give a key relative to that"
            )
        return (prefix or self.prefix) + key


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "value": entry.value,
        "revision": entry.revision,
        "updated_at": entry.updated_at.isoformat(),
    }


def _short(key: str, value: object) -> dict[str, Any]:
    size = len(orjson.dumps(value))
    if size > LONGEST_FOUND:
        return {"key": key, "omitted": f"{size} bytes of JSON; see memory_retrieve"}
    return {"key": key, "value": value}
