"""FleetSaver: what LangGraph calls."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.integrations.langgraph_checkpoints import removal
from lionagi_qe.integrations.langgraph_checkpoints.conversion import (
    checkpoint_record,
    checkpoint_tuple,
    config_of,
    configurable,
    place,
    write_records,
)
from lionagi_qe.integrations.langgraph_checkpoints.keys import check_prefix
from lionagi_qe.integrations.langgraph_checkpoints.reading import CheckpointReader
from lionagi_qe.integrations.langgraph_checkpoints.storage import CheckpointStorage
from lionagi_qe.integrations.langgraph_settings import check_settings
from lionagi_qe.integrations.memory_home import MemoryAdapter
from lionagi_qe.integrations.operators import check_filter, matches_filter
from lionagi_qe.integrations.ttl_settings import default_seconds
from lionagi_qe.persistence.memory_thread import iterate, iterate_async

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
    from typing import Unpack

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol
    from langgraph.store.base import TTLConfig

    from lionagi_qe.integrations.langgraph_checkpoints.records import (
        CheckpointRecord,
        WholeCheckpoint,
    )
    from lionagi_qe.persistence import Memory
    from lionagi_qe.persistence.memory import MemorySettings

DEFAULT_PREFIX = "aqe/checkpoints"
_STRATEGIES = ("keep_latest", "delete")


class FleetSaver(MemoryAdapter, BaseCheckpointSaver[str]):
    """A LangGraph checkpointer on any memory, sync and async.

    ::

        with FleetSaver("postgresql://user@host/database") as saver:
            graph = builder.compile(checkpointer=saver)

    A graph that was killed goes on, by another process or on another machine, with the same
    ``thread_id``. Thread ids and namespaces may be any text (what isn't text is made to by
    ``str``). A put is one atomic step; of channels only those that changed are written, but for
    scalars and texts up to 256 characters, which are within the checkpoint. On Redis Cluster make
    the fleet with ``?colocate=2``, which keeps a thread in one shard, where it is to be one step.

    A saver made from a URL serves any thread and event loop through a thread of its own, forked
    processes too. One made from a Memory serves that memory's event loop, and other threads
    through it.

    Args:
        memory: a Memory, which stays the caller's to close, or a URL (see ``open_memory``).
        prefix: what the keys start with, up to 64 bytes; savers with different prefixes are apart.
        ttl: ``default_ttl`` in minutes since a checkpoint was put, written to or, with
            ``refresh_on_read``, read; what it needs lives as long. The memory sweeps by itself.
        serde: makes bytes of values, and values of bytes. By default LangGraph's
            JsonPlusSerializer, which makes messages, documents, dates and the like, and nothing
            else: an object of another class comes back as its plain data, and a warning is logged.
            Allow your classes by ``JsonPlusSerializer(allowed_msgpack_modules=[Plan, ...])``, or
            set ``LANGGRAPH_STRICT_MSGPACK=true``, by which a graph allows those of its state.
            ``allowed_msgpack_modules=True``, which LangGraph's savers begin with, lets whoever may
            write to the memory run code in the processes that read it. EncryptedSerializer works.
        settings: of the memory that a URL names: ``fleet``, ``timeout``, ...; see Memory.

    """

    def __init__(
        self,
        memory: Memory | str,
        *,
        prefix: str = DEFAULT_PREFIX,
        ttl: TTLConfig | None = None,
        serde: SerializerProtocol | None = None,
        **settings: Unpack[MemorySettings],
    ) -> None:
        check_settings(settings)
        MemoryAdapter.__init__(self, memory, **settings)
        if serde is None:
            serde = JsonPlusSerializer(allowed_msgpack_modules=None)
        BaseCheckpointSaver.__init__(self, serde=serde)
        self._prefix = check_prefix(prefix)
        self._ttl = default_seconds(ttl)
        self._renews = ttl is not None and bool(ttl.get("refresh_on_read"))

    async def asetup(self) -> None:
        """Do what ``setup`` does; LangGraph's saver on Redis has it by this name too."""
        await self.setup()

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that ``config`` names, or the thread's newest. Two round trips."""
        return self._told(self._home.run(self._finding(config)), config)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that ``config`` names, or the thread's newest. Two round trips."""
        return self._told(await self._home.run_async(self._finding(config)), config)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, the newest first; without a thread, those of one after another.

        Args:
            config: names a thread, and may name a namespace and a checkpoint.
            filter: what the metadata hold; the operators of LangGraph's stores work, too.
                ValueError for one that they don't know, whether there are checkpoints or not.
            before: only checkpoints made before the one it names.
            limit: how many at most.

        """
        for page in iterate(self._home, self._selecting(config, filter, before, limit)):
            for found in page:
                yield checkpoint_tuple(self.serde, found)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[CheckpointTuple]:
        """Yield checkpoints; as ``list``."""
        pages = iterate_async(self._home, self._selecting(config, filter, before, limit))
        async for page in pages:
            for found in page:
                yield checkpoint_tuple(self.serde, found)

    def _finding(
        self, config: RunnableConfig
    ) -> Callable[[Memory], Awaitable[WholeCheckpoint | None]]:
        thread, namespace, checkpoint_id = place(config)

        async def find(memory: Memory) -> WholeCheckpoint | None:
            reader = CheckpointReader(memory, self._prefix)
            found = await reader.find(thread, namespace, checkpoint_id)
            if found is not None and self._renews and self._ttl is not None:
                storage = self._storage(memory)
                prefix = storage.keys(thread).writes(namespace, found.record.checkpoint_id)
                await storage.renew(found.record, await memory.list_keys(prefix))
            return found

        return find

    def _selecting(
        self,
        config: RunnableConfig | None,
        wanted: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Callable[[Memory], AsyncGenerator[list[WholeCheckpoint]]]:
        given = configurable(config)
        thread = given.get("thread_id")
        check_filter(wanted or {})

        def is_wanted(record: CheckpointRecord) -> bool:
            return matches_filter(self.serde.loads_typed(record.metadata), wanted or {})

        async def select(memory: Memory) -> AsyncGenerator[list[WholeCheckpoint]]:
            if limit is not None and limit <= 0:
                return
            pages = CheckpointReader(memory, self._prefix).select(
                None if thread is None else str(thread),
                given.get("checkpoint_ns"),
                checkpoint_id=given.get("checkpoint_id"),
                before=configurable(before).get("checkpoint_id"),
                wanted=is_wanted if wanted else None,
                limit=limit,
            )
            async for page in pages:
                yield page

        return select

    def _told(
        self, found: WholeCheckpoint | None, config: RunnableConfig
    ) -> CheckpointTuple | None:
        if found is None:
            return None
        return checkpoint_tuple(self.serde, found, configurable(config)["thread_id"])

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint and the values of the channels in ``new_versions``.

        One round trip. ValueTooLargeError if a value is larger than the memory takes; nothing was
        stored then.
        """
        stored, storing = self._putting(config, checkpoint, metadata, new_versions)
        self._home.run(storing)
        return stored

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint; as ``put``."""
        stored, storing = self._putting(config, checkpoint, metadata, new_versions)
        await self._home.run_async(storing)
        return stored

    def _putting(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> tuple[RunnableConfig, Callable[[Memory], Awaitable[None]]]:
        record, values = checkpoint_record(self.serde, config, checkpoint, metadata, new_versions)
        if record.delta and self._ttl is not None:
            raise NotImplementedError(
                "ttl: channels of this graph are made of their history "
                f"({', '.join(record.delta)}: DeltaChannel), whose beginning would expire; make "
                "its saver without a ttl"
            )
        thread = configurable(config)["thread_id"]
        return (
            config_of(thread, record.namespace, record.checkpoint_id),
            lambda memory: self._storage(memory).put(record, values),
        )

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote, in one atomic step.

        Errors, interrupts, resumes and schedules replace what the task wrote there before;
        anything else that it has written stays as it was.
        """
        if writes:
            self._home.run(self._writing(config, writes, task_id, task_path))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote; as ``put_writes``."""
        if writes:
            await self._home.run_async(self._writing(config, writes, task_id, task_path))

    def _writing(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Callable[[Memory], Awaitable[None]]:
        thread, namespace, checkpoint_id = place(config)
        if checkpoint_id is None:
            raise InvalidArgumentError("config: writes belong to a checkpoint; give checkpoint_id")
        records = write_records(self.serde, writes, task_id, task_path)
        return lambda memory: self._storage(memory).put_writes(
            thread, namespace, checkpoint_id, records
        )

    def get_next_version(self, current: str | int | None, channel: None) -> str:  # type: ignore[override]
        """Return a version above ``current``; no two branches of a thread make the same."""
        del channel
        last = 0 if current is None else int(str(current).partition(".")[0])
        return f"{last + 1:032}.{random.random():016}"  # noqa: S311 - no secret

    # Removing

    def delete_thread(self, thread_id: str) -> None:
        """Remove a thread: checkpoints, values and writes. Costs what it holds."""
        self._home.run(lambda memory: removal.delete_thread(self._storage(memory), str(thread_id)))

    async def adelete_thread(self, thread_id: str) -> None:
        """Remove a thread; as ``delete_thread``."""
        await self._home.run_async(
            lambda memory: removal.delete_thread(self._storage(memory), str(thread_id))
        )

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints that runs made, by ``run_id`` of their metadata.

        Costs the threads in which those runs made some.
        """
        runs = _texts("run_ids", run_ids)
        self._home.run(lambda memory: removal.delete_runs(self._storage(memory), runs))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints that runs made; as ``delete_for_runs``."""
        runs = _texts("run_ids", run_ids)
        await self._home.run_async(lambda memory: removal.delete_runs(self._storage(memory), runs))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all of a thread. Costs what it holds; if it is broken off, the same call goes on."""
        names = str(source_thread_id), str(target_thread_id)
        self._home.run(lambda memory: removal.copy_thread(self._storage(memory), *names))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all of a thread; as ``copy_thread``."""
        names = str(source_thread_id), str(target_thread_id)
        await self._home.run_async(
            lambda memory: removal.copy_thread(self._storage(memory), *names)
        )

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove old checkpoints of threads, or with the strategy "delete" all of them.

        "keep_latest" keeps the newest of each namespace, and of a DeltaChannel the ancestors that
        its value is made of; calls of subgraphs go with the root graph's checkpoint that they were
        made from. Costs what the threads hold; not for a thread that goes on from an older
        checkpoint at that moment.
        """
        self._home.run(self._pruning(thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove old checkpoints of threads; as ``prune``."""
        await self._home.run_async(self._pruning(thread_ids, strategy))

    def _pruning(
        self, thread_ids: Sequence[str], strategy: str
    ) -> Callable[[Memory], Awaitable[None]]:
        threads = _texts("thread_ids", thread_ids)
        if strategy not in _STRATEGIES:
            raise InvalidArgumentError(
                f"strategy {strategy!r}: known are {' and '.join(map(repr, _STRATEGIES))}"
            )
        remove = removal.delete_thread if strategy == "delete" else removal.keep_latest

        async def prune(memory: Memory) -> None:
            for thread in threads:
                await remove(self._storage(memory), thread)

        return prune

    def _storage(self, memory: Memory) -> CheckpointStorage:
        return CheckpointStorage(memory, self._prefix, self._ttl)


def _texts(name: str, texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise InvalidArgumentError(f"{name} {texts!r}: give a list of them, not one")
    return [str(text) for text in texts]
