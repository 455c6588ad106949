"""The memory for programs without an event loop: each call waits for its answer."""

from __future__ import annotations

import contextlib
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from lionagi_qe.errors import MemoryClosedError
from lionagi_qe.persistence.memory import Memory
from lionagi_qe.persistence.memory_thread import MemoryThread, ScopedThread, iterate
from lionagi_qe.persistence.values.entry import check_list

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Awaitable,
        Callable,
        Coroutine,
        Generator,
        Iterable,
    )
    from types import TracebackType
    from typing import Self

    from lionagi_qe.persistence.contract.backend import Capabilities
    from lionagi_qe.persistence.contract.leases import Fenced
    from lionagi_qe.persistence.contract.operations import Fence
    from lionagi_qe.persistence.transaction import Transaction
    from lionagi_qe.persistence.watch import Change, Watch

P = ParamSpec("P")
T = TypeVar("T")


def _waiting(
    method: Callable[Concatenate[Memory, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncMemory, P], T]:
    @wraps(method)
    def call(self: SyncMemory, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(lambda memory: method(memory, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[Memory, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[SyncMemory, P], Generator[T, None, None]]:
    @wraps(method)
    def call(self: SyncMemory, /, *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        return iterate(self.thread, lambda memory: method(memory, *args, **kwargs))

    return call


def _watching(
    method: Callable[Concatenate[Memory, P], Watch],
) -> Callable[Concatenate[SyncMemory, P], SyncWatch]:
    @wraps(method)
    def call(self: SyncMemory, /, *args: P.args, **kwargs: P.kwargs) -> SyncWatch:
        async def make(memory: Memory) -> Watch:
            return method(memory, *args, **kwargs)

        return SyncWatch(self.thread, self.run(make))

    return call


class SyncMemory:
    """A memory whose calls wait for their answers; made by ``open_memory_sync``.

    The calls are those of Memory, with the same arguments, answers and errors. One object serves
    all threads of a process: the memory lives on an event loop in a thread of its own, where what
    many threads send at a moment shares requests. A forked process may go on with it: it gets a
    memory of its own by its first call. Use it ``with``, or let it be: what is open when the
    interpreter ends is closed.

    Args:
        make: returns the memory, not opened yet; called once in each process.
        name: for people.
    """

    def __init__(self, make: Callable[[], Memory], name: str) -> None:
        self.thread: MemoryThread | ScopedThread = MemoryThread(make)
        self._name = name

    store = _waiting(Memory.store)
    retrieve = _waiting(Memory.retrieve)
    entry = _waiting(Memory.entry)
    exists = _waiting(Memory.exists)
    delete = _waiting(Memory.delete)
    touch = _waiting(Memory.touch)
    increment = _waiting(Memory.increment)
    # What it calls runs in the memory's thread: keep it short, and without calls of this memory.
    update = _waiting(Memory.update)

    store_many = _waiting(Memory.store_many)
    retrieve_many = _waiting(Memory.retrieve_many)
    entries_many = _waiting(Memory.entries_many)
    delete_many = _waiting(Memory.delete_many)
    learn_many = _waiting(Memory.learn_many)

    search = _waiting(Memory.search)
    list_keys = _waiting(Memory.list_keys)
    list_children = _waiting(Memory.list_children)
    delete_prefix = _waiting(Memory.delete_prefix)
    clear_partition = _waiting(Memory.clear_partition)
    scan = _iterating(Memory.scan)
    watch = _watching(Memory.watch)

    # What makes vectors runs in the memory's thread, or in one of that thread's own if it is sync.
    index = _waiting(Memory.index)
    recall = _waiting(Memory.recall)
    refresh_index = _waiting(Memory.refresh_index)
    reindex = _waiting(Memory.reindex)
    drop_index = _waiting(Memory.drop_index)
    indexes = _waiting(Memory.indexes)

    get_stats = _waiting(Memory.get_stats)
    cleanup_expired = _waiting(Memory.cleanup_expired)
    describe = _waiting(Memory.describe)

    def run(self, action: Callable[[Memory], Awaitable[T]]) -> T:
        """Return what ``action(memory)`` comes to: for queues, leases and all that awaits.

        ::

            job_id = memory.run(lambda memory: WorkQueue(memory, "reviews").put({"file": "a.py"}))
        """
        return self.thread.run(action)

    @contextlib.contextmanager
    def transaction(
        self, *, fence: Fence | Fenced | None = None, timeout: float | None = None
    ) -> Generator[Transaction]:
        """Collect changes, and apply them in one atomic step; see ``Memory.transaction``."""

        async def begin(memory: Memory) -> Transaction:
            return await memory.transaction(fence=fence, timeout=timeout).__aenter__()

        step = self.run(begin)
        try:
            yield step
        except BaseException as error:
            kind, why, trace = type(error), error, error.__traceback__
            self.run(lambda _: step.__aexit__(kind, why, trace))
            raise
        self.run(lambda _: step.__aexit__(None, None, None))

    def scoped(
        self,
        name: str,
        *,
        read: Iterable[str] = (),
        write: Iterable[str] = (),
        queues: Iterable[str] = (),
        leases: Iterable[str] = (),
    ) -> SyncMemory:
        """Return a part of this memory, and nothing beside it; see ``Memory.scoped``."""
        # They are used once more in each process that forks.
        given = {"read": read, "write": write, "queues": queues, "leases": leases}
        patterns = {kind: check_list(kind, each) for kind, each in given.items()}

        def part_of(memory: Memory) -> Memory:
            return memory.scoped(name, **patterns)

        # What is wrong with a pattern is told where it is written.
        part_of(self.thread.memory)
        part = SyncMemory.__new__(SyncMemory)
        part.thread = ScopedThread(self.thread, part_of)
        part._name = f"scope {name!r} of {self._name}"  # noqa: SLF001 - one of us
        return part

    @property
    def fleet(self) -> str:
        """The fleet whose entries this memory sees."""
        return self.thread.memory.fleet

    @property
    def capabilities(self) -> Capabilities:
        """What the backend promises: its name, atomicity of batches, durability."""
        return self.thread.memory.capabilities

    @property
    def max_batch(self) -> int:
        """Most items of one batch call."""
        return self.thread.memory.max_batch

    @property
    def default_ttl(self) -> float | None:
        """Seconds that an entry lives which is stored without a ttl; None for ever."""
        return self.thread.memory.default_ttl

    @property
    def timeout(self) -> float:
        """Seconds after which a call fails that has no ``timeout`` of its own."""
        return self.thread.memory.timeout

    def open(self) -> Self:
        """Connect and prepare the schema; calls do it by themselves. May be called twice."""
        self.run(lambda memory: memory.open())
        return self

    def close(self) -> None:
        """Let the calls under way end, release everything, end the thread. May be called twice."""
        self.thread.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._name}>"


class SyncWatch:
    """Changes without end, of the process that began it; see ``Memory.watch``.

    Use it ``with``, which fixes the beginning at once, and iterate it.
    """

    def __init__(self, thread: MemoryThread | ScopedThread, watch: Watch) -> None:
        self._thread = thread
        self._watch = watch

    @property
    def cursor(self) -> str | None:
        """Pass it as ``since`` to go on here; None before it was opened."""
        return self._watch.cursor

    def close(self) -> None:
        """End it. May be called twice."""
        with contextlib.suppress(MemoryClosedError):
            self._thread.run(lambda _: self._watch.close())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        change = self._thread.run(lambda _: anext(self._watch, None))
        if change is None:
            raise StopIteration
        return change

    def __enter__(self) -> Self:
        self._thread.run(lambda _: self._watch.open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
