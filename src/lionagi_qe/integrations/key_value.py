"""The memory as a store of py-key-value, which FastMCP and others take: ``FleetKeyValue(url)``.

It has that library's protocols by its shape (``AsyncKeyValue``, and those for enumerating keys and
collections, culling and destroying), so that the library need not be there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsFloat

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.integrations.memory_home import MemoryAdapter
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.values.entry import INHERIT
from lionagi_qe.persistence.values.keys import check_key
from lionagi_qe.persistence.values.segments import quoted, segment, text_of, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Unpack

    from lionagi_qe.persistence import Entry, Memory
    from lionagi_qe.persistence.memory import MemorySettings
    from lionagi_qe.persistence.values.entry import Inherit

__all__ = ["FleetKeyValue"]

DEFAULT_PREFIX = "aqe/key-value"
DEFAULT_COLLECTION = "default_collection"
PARTITION = "key-value"
_PAGE = 500


class FleetKeyValue(MemoryAdapter):
    """A store of py-key-value on any memory.

    ::

        async with FleetKeyValue("postgresql://user@host/database") as store:
            await store.put("ann", {"theme": "dark"}, collection="users", ttl=3600)

    Keys and collections may be any text, of any length: a long one is stored by its SHA-256, and
    listed as it was. Values are JSON objects. Batches are atomic up to ``max_batch`` of the memory
    (per shard on Redis Cluster). What is expired is never seen.

    A store made from a URL serves any thread and event loop, forked processes too; one made from a
    Memory, which stays the caller's to close, that memory's loop.

    Args:
        memory: a Memory or a URL (see ``open_memory``).
        prefix: what the keys start with; stores with different prefixes are apart.
        default_collection: where no collection is named.
        settings: of the memory that a URL names: ``fleet``, ``timeout``, ...; see Memory.
    """

    def __init__(
        self,
        memory: Memory | str,
        *,
        prefix: str = DEFAULT_PREFIX,
        default_collection: str = DEFAULT_COLLECTION,
        **settings: Unpack[MemorySettings],
    ) -> None:
        super().__init__(memory, **settings)
        self._root = f"{check_key(prefix)}/"
        self._collection = default_collection

    async def get(self, key: str, *, collection: str | None = None) -> dict[str, Any] | None:
        """Return a value, or None. One round trip."""
        (found,) = await self.get_many([key], collection=collection)
        return found

    async def get_many(
        self, keys: Sequence[str], *, collection: str | None = None
    ) -> list[dict[str, Any] | None]:
        """Return the values of keys, None for those that aren't there."""
        entries = await self._entries(keys, collection)
        return [None if entry is None else entry.value["value"] for entry in entries]

    async def ttl(
        self, key: str, *, collection: str | None = None
    ) -> tuple[dict[str, Any] | None, float | None]:
        """Return a value and for how many seconds it lasts; None for ever. Two round trips."""
        (found,) = await self.ttl_many([key], collection=collection)
        return found

    async def ttl_many(
        self, keys: Sequence[str], *, collection: str | None = None
    ) -> list[tuple[dict[str, Any] | None, float | None]]:
        """Return the values of keys, and for how many seconds they last."""
        entries = await self._entries(keys, collection)
        now = await self._home.run_async(lambda memory: parts_of(memory).bulk.clock()) / 1000

        def lasting(entry: Entry | None) -> tuple[dict[str, Any] | None, float | None]:
            if entry is None:
                return None, None
            if entry.expires_at is None:
                return entry.value["value"], None
            return entry.value["value"], max(entry.expires_at.timestamp() - now, 0.0)

        return [lasting(entry) for entry in entries]

    async def put(
        self,
        key: str,
        value: Mapping[str, Any],
        *,
        collection: str | None = None,
        ttl: SupportsFloat | None = None,
    ) -> None:
        """Store a value, for ``ttl`` seconds or the memory's ``default_ttl``. One round trip."""
        place, stored, seconds = (
            self._place(key, collection),
            self._stored(key, value, collection),
            _seconds(ttl),
        )
        await self._home.run_async(lambda memory: memory.store(place, stored, seconds, PARTITION))

    async def put_many(
        self,
        keys: Sequence[str],
        values: Sequence[Mapping[str, Any]],
        *,
        collection: str | None = None,
        ttl: SupportsFloat | None = None,
    ) -> None:
        """Store values, as by ``put``; the last one of a key counts."""
        if len(keys) != len(values):
            raise InvalidArgumentError(
                f"keys and values: {len(keys)} and {len(values)}; give one value for each key"
            )
        items = {
            self._place(key, collection): self._stored(key, value, collection)
            for key, value in zip(keys, values, strict=True)
        }
        seconds = _seconds(ttl)

        async def put(memory: Memory) -> None:
            for part in _parts(list(items), memory.max_batch):
                chosen = {key: items[key] for key in part}
                await memory.store_many(chosen, ttl=seconds, partition=PARTITION)

        await self._home.run_async(put)

    async def delete(self, key: str, *, collection: str | None = None) -> bool:
        """Delete a value; False if it wasn't there."""
        place = self._place(key, collection)
        return await self._home.run_async(lambda memory: memory.delete(place))

    async def delete_many(self, keys: Sequence[str], *, collection: str | None = None) -> int:
        """Delete values; return how many were there."""
        places = list(dict.fromkeys(self._place(key, collection) for key in keys))

        async def delete(memory: Memory) -> int:
            deleted = 0
            for part in _parts(places, memory.max_batch):
                deleted += await memory.delete_many(part)
            return deleted

        return await self._home.run_async(delete)

    # Collections

    async def keys(self, collection: str | None = None, *, limit: int | None = None) -> list[str]:
        """Return the keys of a collection, all of them unless ``limit`` is given.

        In the order of their quoted names, those that are stored by their hash among them; costs
        a round trip more for 500 of these.
        """
        prefix = self._prefix(collection)

        async def find(memory: Memory) -> list[str]:
            places = await memory.list_keys(prefix, limit=limit)
            names = {place: text_of(place.removeprefix(prefix)) for place in places}
            hashed = [place for place, name in names.items() if name is None]
            for part in _parts(hashed, min(_PAGE, memory.max_batch)):
                values = await memory.retrieve_many(part)
                names |= {place: unquoted(value["key"]) for place, value in values.items()}
            return [name for name in names.values() if name is not None]

        return await self._home.run_async(find)

    async def collections(self, *, limit: int | None = None) -> list[str]:
        """Return the names of the collections that hold something."""

        async def find(memory: Memory) -> list[str]:
            names: list[str] = []
            for child in await memory.list_children(self._root, limit=limit):
                name = text_of(child.removeprefix(self._root).rstrip("/"))
                if name is None:
                    (first,) = await memory.list_keys(child, limit=1) or [child]
                    value = await memory.retrieve(first)
                    name = None if value is None else unquoted(value["collection"])
                if name is not None:
                    names.append(name)
            return names

        return await self._home.run_async(find)

    async def destroy_collection(self, collection: str) -> bool:
        """Delete all of a collection; False if it held nothing."""
        prefix = self._prefix(collection)
        return bool(await self._home.run_async(lambda memory: memory.delete_prefix(prefix)))

    async def destroy(self) -> bool:
        """Delete all collections below the prefix."""
        await self._home.run_async(lambda memory: memory.delete_prefix(self._root))
        return True

    async def cull(self) -> None:
        """Remove what has expired for good, which the memory does every minute by itself."""
        await self._home.run_async(lambda memory: memory.cleanup_expired())

    def _prefix(self, collection: str | None) -> str:
        return f"{self._root}{segment(collection or self._collection)}/"

    def _place(self, key: str, collection: str | None) -> str:
        return self._prefix(collection) + segment(key)

    def _stored(self, key: str, value: Mapping[str, Any], collection: str | None) -> dict[str, Any]:
        # By their names, what is stored by hashes can be listed.
        names = {"key": quoted(key), "collection": quoted(collection or self._collection)}
        return {"value": dict(value), **names}

    async def _entries(self, keys: Sequence[str], collection: str | None) -> list[Entry | None]:
        places = [self._place(key, collection) for key in keys]

        async def read(memory: Memory) -> dict[str, Entry]:
            found: dict[str, Entry] = {}
            for part in _parts(list(dict.fromkeys(places)), memory.max_batch):
                found |= await memory.entries_many(part)
            return found

        found = await self._home.run_async(read)
        return [found.get(place) for place in places]


def _parts(keys: list[str], most: int) -> Iterator[list[str]]:
    return (keys[start : start + most] for start in range(0, len(keys), most))


def _seconds(ttl: SupportsFloat | None) -> float | Inherit:
    return INHERIT if ttl is None else float(ttl)
