"""LangGraph on the shared memory: ``graph.compile(store=FleetStore(url))``.

LangGraph's own ``InMemoryStore`` ends with the process; this one is durable, shared by processes,
and lives where the rest of the fleet's memory does.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, NoReturn

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    PutOp,
    SearchItem,
    SearchOp,
)

from lionagi_qe.errors import InvalidArgumentError, MemoryClosedError
from lionagi_qe.integrations.memory_choice import choose_memory
from lionagi_qe.integrations.namespaces import key_of, namespace_of, place_of, prefix_of
from lionagi_qe.integrations.operators import matches_filter
from lionagi_qe.persistence import Item as BatchItem
from lionagi_qe.persistence.values.keys import check_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from langgraph.store.base import MatchCondition, Op, Result, TTLConfig

    from lionagi_qe.persistence import Entry, Memory

__all__ = ["FleetStore"]

DEFAULT_PREFIX = "aqe/langgraph"
PARTITION = "langgraph"
_SECONDS_PER_MINUTE = 60
_SCAN_PAGE = 500


class FleetStore(BaseStore):
    """A LangGraph ``BaseStore`` on any memory.

    ::

        async with FleetStore("postgresql://user@host/database") as store:
            graph = builder.compile(store=store)

    Namespaces, filters with operators, TTLs in minutes that reads renew, and batches behave as
    LangGraph documents. A batch reads first and then applies its puts and deletes, the last for
    each key; all its puts are one atomic step (per shard on Redis Cluster), and so are its deletes;
    of more than the memory's ``max_batch`` every so many are one.
    Search by meaning (``query``, ``index``) is refused: this store has no vectors.

    A store made from a URL serves any thread and event loop, sync and async, through a thread of
    its own. One made from a Memory serves that memory's event loop, and other threads through it.

    Args:
        memory: a Memory, which stays the caller's to close, or a URL (see ``open_memory``).
        prefix: what the items' keys start with; stores with different prefixes are apart.
        ttl: LangGraph's TTL settings: ``default_ttl`` in minutes, ``refresh_on_read``. The memory
            sweeps by itself; ``sweep_interval_minutes`` is not used.
        index: refused unless None.
    """

    supports_ttl = True

    def __init__(
        self,
        memory: Memory | str,
        *,
        prefix: str = DEFAULT_PREFIX,
        ttl: TTLConfig | None = None,
        index: object = None,
    ) -> None:
        if index is not None:
            _refuse("index")
        self._memory, self._owned = choose_memory(memory)
        self._prefix = f"{check_key(prefix)}/"
        self.ttl_config = ttl
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ended = False
        self._starting = threading.Lock()

    # What LangGraph calls

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Perform operations from a thread without an event loop.

        Raises:
            InvalidArgumentError: called on the event loop that would have to do it; use the
                methods that begin with "a" there.

        """
        loop = self._home()
        if loop is _running_loop():
            raise InvalidArgumentError(
                "a sync call on the event loop of this store's memory would wait for itself; use "
                "aget, aput, asearch, ..., or make the store from a URL"
            )
        return asyncio.run_coroutine_threadsafe(self._perform(list(ops)), loop).result()

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Perform operations."""
        loop = self._home()
        performing = self._perform(list(ops))
        if loop is asyncio.get_running_loop():
            return await performing
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(performing, loop))

    async def close(self) -> None:
        """Close the memory and end the thread, if the store was made from a URL."""
        if self._owned:
            await asyncio.to_thread(self._end)

    def _end(self) -> None:
        with self._starting:
            self._ended = True
            loop, thread = self._loop, self._thread
            self._thread = None
        if loop is None or thread is None:
            return
        try:
            asyncio.run_coroutine_threadsafe(self._memory.close(), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def __aenter__(self) -> Self:
        self._home()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __enter__(self) -> Self:
        self._home()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._owned:
            self._end()

    def _home(self) -> asyncio.AbstractEventLoop:
        """Return the event loop that the memory lives on."""
        with self._starting:
            if self._ended:
                raise MemoryClosedError("this store was closed; make a new one")
            if self._loop is not None:
                return self._loop
            if self._owned:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="langgraph-store", daemon=True
                )
                self._thread.start()
            else:
                self._loop = _running_loop()
            if self._loop is None:
                raise InvalidArgumentError(
                    "a store on a Memory must be used once on that memory's event loop before "
                    "other threads can; or make the store from a URL"
                )
            return self._loop

    # Performing

    async def _perform(self, ops: list[Op]) -> list[Result]:
        for op in ops:
            if isinstance(op, SearchOp) and op.query is not None:
                _refuse("query")
        writes = {self._key(op): op for op in ops if isinstance(op, PutOp)}
        results = await asyncio.gather(*map(self._read, ops))
        await self._write(writes)
        return results

    async def _read(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            return await self._get(op)
        if isinstance(op, SearchOp):
            return await self._search(op)
        if isinstance(op, ListNamespacesOp):
            return await self._list_namespaces(op)
        return None

    def _key(self, op: GetOp | PutOp) -> str:
        return check_key(self._prefix + key_of(op.namespace, op.key))

    async def _write(self, writes: dict[str, PutOp]) -> None:
        puts = {
            key: BatchItem(
                {"value": dict(op.value), "ttl_minutes": op.ttl},
                ttl=None if op.ttl is None else op.ttl * _SECONDS_PER_MINUTE,
            )
            for key, op in writes.items()
            if op.value is not None
        }
        if len(puts) == 1:
            # Shares a request with whatever else is stored at this moment.
            ((key, item),) = puts.items()
            minutes = writes[key].ttl
            ttl = None if minutes is None else minutes * _SECONDS_PER_MINUTE
            await self._memory.store(key, item.value, ttl, PARTITION)
        else:
            for part in self._parts(list(puts)):
                await self._memory.store_many({key: puts[key] for key in part}, partition=PARTITION)
        gone = [key for key in writes if key not in puts]
        if len(gone) == 1:
            await self._memory.delete(gone[0])
        else:
            for part in self._parts(gone):
                await self._memory.delete_many(part)

    def _parts(self, keys: list[str]) -> Iterator[list[str]]:
        most = self._memory.max_batch
        return (keys[start : start + most] for start in range(0, len(keys), most))

    async def _get(self, op: GetOp) -> Item | None:
        entry = await self._memory.entry(self._key(op))
        if entry is None:
            return None
        if op.refresh_ttl:
            await self._renew(entry)
        return Item(
            value=entry.value["value"],
            key=op.key,
            namespace=op.namespace,
            created_at=entry.created_at,
            updated_at=entry.updated_at,
        )

    async def _search(self, op: SearchOp) -> list[SearchItem]:
        prefix = self._prefix + prefix_of(op.namespace_prefix)
        found: list[Entry] = []
        skipped = 0
        if op.limit > 0:
            page = min(_SCAN_PAGE, op.offset + op.limit) if not op.filter else _SCAN_PAGE
            async for entry in self._memory.scan(prefix, page):
                if not matches_filter(entry.value["value"], op.filter or {}):
                    continue
                if skipped < op.offset:
                    skipped += 1
                    continue
                found.append(entry)
                if len(found) == op.limit:
                    break
        if op.refresh_ttl:
            await asyncio.gather(*map(self._renew, found))
        return [self._found(entry) for entry in found]

    def _found(self, entry: Entry) -> SearchItem:
        namespace, key = place_of(entry.key.removeprefix(self._prefix))
        return SearchItem(namespace, key, entry.value["value"], entry.created_at, entry.updated_at)

    async def _renew(self, entry: Entry) -> None:
        """Let an item that was read live for its whole TTL again."""
        minutes: float | None = entry.value["ttl_minutes"]
        if minutes is None:
            return
        revision = entry.revision
        await self._memory.touch(entry.key, minutes * _SECONDS_PER_MINUTE)
        # Who replaced it between our reading and our touching meant another TTL than ours.
        while (now := await self._memory.entry(entry.key)) and now.revision != revision:
            revision = now.revision
            minutes = now.value["ttl_minutes"]
            await self._memory.touch(
                entry.key, None if minutes is None else minutes * _SECONDS_PER_MINUTE
            )

    async def _list_namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        conditions = op.match_conditions or ()
        keys = await self._memory.list_keys(self._prefix + _common_prefix(conditions))
        namespaces = {namespace_of(key.removeprefix(self._prefix)) for key in keys}
        wanted = {
            namespace[: op.max_depth]
            for namespace in namespaces
            if all(_meets(namespace, condition) for condition in conditions)
        }
        return sorted(wanted)[op.offset : op.offset + op.limit]


def _common_prefix(conditions: Iterable[MatchCondition]) -> str:
    """Return what the keys of all namespaces that meet the conditions start with."""
    longest: tuple[str, ...] = ()
    for condition in conditions:
        if condition.match_type == "prefix":
            path = condition.path
            fixed = path[: path.index("*")] if "*" in path else path
            longest = max(longest, tuple(fixed), key=len)
    return prefix_of(longest)


def _meets(namespace: tuple[str, ...], condition: MatchCondition) -> bool:
    path = condition.path
    if len(namespace) < len(path):
        return False
    part = namespace[: len(path)]
    if condition.match_type == "suffix":
        part = namespace[len(namespace) - len(path) :]
    return all(wanted in {"*", label} for label, wanted in zip(part, path, strict=True))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _refuse(parameter: str) -> NoReturn:
    raise NotImplementedError(
        f"{parameter}: this store has no vectors; search by namespace and filter, or take a "
        "store with an index for search by meaning"
    )
