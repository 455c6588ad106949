"""LangGraph on the shared memory: ``graph.compile(store=FleetStore(url))``.

LangGraph's own ``InMemoryStore`` ends with the process; this one is durable, shared by processes,
and lives where the rest of the fleet's memory does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    PutOp,
    SearchItem,
    SearchOp,
)

from lionagi_qe.errors import InvalidValueError
from lionagi_qe.integrations.langgraph_index import OVERRIDE, StoreIndex, stored_paths
from lionagi_qe.integrations.langgraph_settings import check_settings
from lionagi_qe.integrations.memory_home import MemoryAdapter, is_on_loop
from lionagi_qe.integrations.namespaces import key_of, namespace_of, place_of, prefix_of
from lionagi_qe.integrations.operators import check_filter, check_operands, matches_filter
from lionagi_qe.integrations.ttl_settings import SECONDS_PER_MINUTE, default_seconds
from lionagi_qe.integrations.ttl_sweeper import TtlSweeper
from lionagi_qe.persistence import Item as BatchItem
from lionagi_qe.persistence.values.keys import check_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Unpack

    from langgraph.store.base import IndexConfig, MatchCondition, Op, Result, TTLConfig

    from lionagi_qe.persistence import Entry, Memory
    from lionagi_qe.persistence.memory import MemorySettings

__all__ = ["FleetStore"]

DEFAULT_PREFIX = "aqe/langgraph"
PARTITION = "langgraph"
# LangGraph's own.
_SWEEP_MINUTES = 5
_SCAN_PAGE = 500


class FleetStore(MemoryAdapter, BaseStore):
    """A LangGraph ``BaseStore`` on any memory.

    ::

        async with FleetStore("postgresql://user@host/database") as store:
            graph = builder.compile(store=store)

    Namespaces, filters with operators, TTLs in minutes that reads renew, and batches behave as
    LangGraph documents. A batch reads first and then applies its puts and deletes, the last for
    each key; all its puts are one atomic step (per shard on Redis Cluster), and so are its deletes;
    of more than the memory's ``max_batch`` every so many are one.
    A ``query`` is ignored, as LangGraph's own stores do without an index. With one, each text that
    is at its fields has a vector, and an item is as near as the nearest of its texts: that cosine
    is its score.

    A store made from a URL serves any thread and event loop, sync and async, through a thread of
    its own, forked processes too. One made from a Memory serves that memory's event loop, and
    other threads through it.

    Args:
        memory: a Memory, which stays the caller's to close, or a URL (see ``open_memory``).
        prefix: what the items' keys start with; stores with different prefixes are apart.
        ttl: LangGraph's TTL settings: ``default_ttl`` in minutes, ``refresh_on_read``. The memory
            sweeps by itself; ``sweep_interval_minutes`` is for ``start_ttl_sweeper``.
        index: LangGraph's ``dims``, ``embed`` and ``fields``, and ``model``: vectors are told
            apart by its name: give one where functions of one name make different vectors. With
            ``"replace_declared": True`` an index that was declared otherwise (other ``dims``,
            ``fields`` or model) is made anew. Not on encrypted memories.
        settings: of the memory that a URL names: ``fleet``, ``timeout``, ...; see Memory.
    """

    supports_ttl = True

    def __init__(
        self,
        memory: Memory | str,
        *,
        prefix: str = DEFAULT_PREFIX,
        ttl: TTLConfig | None = None,
        index: IndexConfig | None = None,
        **settings: Unpack[MemorySettings],
    ) -> None:
        check_settings(settings)
        super().__init__(memory, **settings)
        self._prefix = f"{check_key(prefix)}/"
        default_seconds(ttl)
        self.ttl_config = ttl
        # A forked process has a memory of its own.
        self._index = None if index is None else StoreIndex(index, self._prefix, WeakSet())
        self._sweeper = TtlSweeper(lambda: self._home.run(_sweep))

    # What LangGraph calls

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Perform operations from a thread without an event loop.

        Raises:
            InvalidArgumentError: called on the event loop that would have to do it; use the
                methods that begin with "a" there.

        """
        wanted = list(ops)
        return self._home.run(lambda memory: self._perform(memory, wanted))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Perform operations."""
        wanted = list(ops)
        return await self._home.run_async(lambda memory: self._perform(memory, wanted))

    # What has expired

    def sweep_ttl(self) -> Any:  # noqa: ANN401 - an int, or what is awaited for it
        """Remove what has expired for good; how many entries of the fleet that were.

        Await it in a coroutine. Nobody sees an expired item, swept or not, and the memory sweeps
        every minute by itself.
        """
        if is_on_loop():
            return self._home.run_async(_sweep)
        return self._home.run(_sweep)

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Any:  # noqa: ANN401
        """Sweep at intervals too: as given, or as ``ttl`` says, else every 5 minutes.

        For memories that were made with ``cleanup_interval=None``. Await it in a coroutine.
        Returns a future that ends with the sweeper; to cancel it is to stop the sweeper. It has
        ended already where the store has no ``ttl``.
        """
        config = self.ttl_config or {}
        minutes = sweep_interval_minutes or config.get("sweep_interval_minutes")
        interval = (minutes or _SWEEP_MINUTES) * SECONDS_PER_MINUTE if config else None
        return self._starting(interval) if is_on_loop() else self._started(interval)

    async def _starting(self, interval: float | None) -> asyncio.Future[None]:
        # A caller's memory is known by its first use on its loop.
        await self._home.run_async(_nothing)
        return asyncio.wrap_future(self._started(interval))

    def _started(self, interval: float | None) -> Future[None]:
        if interval is not None:
            return self._sweeper.start(interval)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def stop_ttl_sweeper(self, timeout: float | None = None) -> Any:  # noqa: ANN401
        """Stop the sweeper; True if it ended within ``timeout`` seconds.

        Await it in a coroutine.
        """
        if is_on_loop():
            return asyncio.to_thread(self._sweeper.stop, timeout)
        return self._sweeper.stop(timeout)

    def _end(self) -> None:
        # Its last sweep ends with the memory.
        self._sweeper.stop(0)
        super()._end()

    # Performing

    async def _perform(self, memory: Memory, ops: list[Op]) -> list[Result]:
        if len(ops) == 1:
            # Most batches are: one needs no task of its own.
            (op,) = ops
            if isinstance(op, PutOp):
                await self._write_one(memory, self._place(op), op)
                return [None]
            return [await self._read(memory, op)]
        writes = {self._key(op): op for op in ops if isinstance(op, PutOp)}
        results = await asyncio.gather(*(self._read(memory, op) for op in ops))
        if writes:
            await self._write(memory, writes)
        return results

    async def _read(self, memory: Memory, op: Op) -> Result:
        if isinstance(op, GetOp):
            return await self._get(memory, op)
        if isinstance(op, SearchOp):
            return await self._search(memory, op)
        if isinstance(op, ListNamespacesOp):
            return await self._list_namespaces(memory, op)
        return None

    def _key(self, op: PutOp) -> str:
        # Before any of a batch is done.
        return check_key(self._place(op))

    def _place(self, op: GetOp | PutOp) -> str:
        return self._prefix + key_of(op.namespace, op.key)

    async def _write_one(self, memory: Memory, key: str, op: PutOp) -> None:
        # Shares a request with whatever else is written at this moment.
        if op.value is None:
            await memory.delete(key)
        else:
            await memory.store(key, self._stored(op), _seconds(op), PARTITION)

    async def _write(self, memory: Memory, writes: dict[str, PutOp]) -> None:
        if len(writes) == 1:
            ((key, op),) = writes.items()
            await self._write_one(memory, key, op)
            return
        puts = {
            key: BatchItem(self._stored(op), ttl=_seconds(op))
            for key, op in writes.items()
            if op.value is not None
        }
        for part in _parts(list(puts), memory.max_batch):
            await memory.store_many({key: puts[key] for key in part}, partition=PARTITION)
        gone = [key for key in writes if key not in puts]
        for part in _parts(gone, memory.max_batch):
            await memory.delete_many(part)

    def _stored(self, op: PutOp) -> dict[str, Any]:
        """Return what is kept of an item; of which fields it is to be found, if it says that."""
        value = op.value
        if not isinstance(value, dict):
            if not isinstance(value, Mapping):
                raise InvalidValueError(f"value {value!r:.80} of {op.key!r}: an item is a dict")
            value = dict(value)
        stored: dict[str, Any] = {"value": value, "ttl_minutes": op.ttl}
        if self._index is not None and op.index is not None:
            stored[OVERRIDE] = stored_paths(op.index) if op.index else False
        return stored

    async def _get(self, memory: Memory, op: GetOp) -> Item | None:
        entry = await memory.entry(self._place(op))
        if entry is None:
            return None
        if op.refresh_ttl:
            await self._renew(memory, entry)
        return Item(
            value=entry.value["value"],
            key=op.key,
            namespace=op.namespace,
            created_at=entry.created_at,
            updated_at=entry.updated_at,
        )

    async def _search(self, memory: Memory, op: SearchOp) -> list[SearchItem]:
        prefix = self._prefix + prefix_of(op.namespace_prefix)
        check_filter(op.filter or {})
        check_operands(op.filter or {})
        # Blanks mean nothing that anything could be near to.
        if self._index is not None and op.query and op.query.strip() and op.limit > 0:
            recalled = await self._index.search(memory, op, prefix)
            if op.refresh_ttl:
                await asyncio.gather(*(self._renew(memory, each.entry) for each in recalled))
            return [self._index.item(each) for each in recalled]
        found: list[Entry] = []
        skipped = 0
        if op.limit > 0:
            page = min(_SCAN_PAGE, op.offset + op.limit) if not op.filter else _SCAN_PAGE
            async for entry in memory.scan(prefix, page):
                if not matches_filter(entry.value["value"], op.filter or {}):
                    continue
                if skipped < op.offset:
                    skipped += 1
                    continue
                found.append(entry)
                if len(found) == op.limit:
                    break
        if op.refresh_ttl:
            await asyncio.gather(*(self._renew(memory, entry) for entry in found))
        return [self._found(entry) for entry in found]

    def _found(self, entry: Entry) -> SearchItem:
        namespace, key = place_of(entry.key.removeprefix(self._prefix))
        return SearchItem(namespace, key, entry.value["value"], entry.created_at, entry.updated_at)

    async def _renew(self, memory: Memory, entry: Entry) -> None:
        """Let an item that was read live for its whole TTL again."""
        minutes: float | None = entry.value["ttl_minutes"]
        if minutes is None:
            return
        revision = entry.revision
        await memory.touch(entry.key, minutes * SECONDS_PER_MINUTE)
        # Who replaced it between our reading and our touching meant another TTL than ours.
        while (now := await memory.entry(entry.key)) and now.revision != revision:
            revision = now.revision
            minutes = now.value["ttl_minutes"]
            await memory.touch(entry.key, None if minutes is None else minutes * SECONDS_PER_MINUTE)

    async def _list_namespaces(self, memory: Memory, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        conditions = op.match_conditions or ()
        keys = await memory.list_keys(self._prefix + _common_prefix(conditions))
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


def _seconds(op: PutOp) -> float | None:
    return None if op.ttl is None else op.ttl * SECONDS_PER_MINUTE


def _parts(keys: list[str], most: int) -> Iterator[list[str]]:
    return (keys[start : start + most] for start in range(0, len(keys), most))


async def _sweep(memory: Memory) -> int:
    return await memory.cleanup_expired()


async def _nothing(_: Memory) -> None:
    """Do nothing."""
