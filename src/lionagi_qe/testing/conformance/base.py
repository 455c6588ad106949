"""What every conformance class needs: memories of a fresh fleet, made by the subclass's factory."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from lionagi_qe.persistence import Memory

SECONDS_TO_WAIT = 15.0


class Connect(Protocol):
    """Makes a memory, not opened yet; ``settings`` are those of Memory (fleet, timeout, ...)."""

    def __call__(self, **settings: Any) -> Memory:
        """Return a new handle on the same store."""
        ...


@pytest.mark.asyncio
class Conformance:
    """Base of the conformance classes.

    A subclass provides the fixture ``connect``. Each test gets a fleet of its own, so that tests
    can share a server, and run side by side.

    Attributes:
        shared: two handles made by ``connect`` see the same entries. False for a store that is
            private to its handle; what needs a second handle is then tried on the first.
    """

    shared = True

    @pytest.fixture
    def connect(self) -> Connect:
        """Return the factory of memories under test; the subclass overrides it."""
        msg = f"{type(self).__name__} must override the fixture connect()"
        raise NotImplementedError(msg)

    @pytest.fixture
    def fleet(self) -> str:
        """Name a fleet that nobody else uses."""
        return f"conformance-{uuid.uuid4().hex[:16]}"

    @pytest_asyncio.fixture
    async def opened(self) -> AsyncGenerator[AsyncExitStack]:
        """Close what a test opened."""
        async with AsyncExitStack() as stack:
            yield stack

    @pytest_asyncio.fixture
    async def memory(self, connect: Connect, fleet: str, opened: AsyncExitStack) -> Memory:
        """Open a memory on a fresh fleet, emptied again at the end."""
        memory = await opened.enter_async_context(connect(fleet=fleet, cleanup_interval=None))
        opened.push_async_callback(erase, memory)
        return memory

    @pytest_asyncio.fixture
    async def other(
        self, connect: Connect, fleet: str, memory: Memory, opened: AsyncExitStack
    ) -> Memory:
        """Open a second handle on the same fleet, where handles can share."""
        if not self.shared:
            return memory
        return await opened.enter_async_context(connect(fleet=fleet, cleanup_interval=None))


async def erase(memory: Memory) -> None:
    """Delete every entry of the memory's fleet."""
    stats = await memory.get_stats()
    for partition in stats["partitions"]:
        await memory.clear_partition(partition)
    keys = await memory.list_keys()
    if keys:
        await memory.delete_many(keys)


async def until(
    condition: Callable[[], Awaitable[object]], seconds: float = SECONDS_TO_WAIT
) -> None:
    """Wait until ``condition`` returns something true; fail after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - the server has no event to wait for
            await asyncio.sleep(0.01)


async def expire(memory: Memory, *keys: str, ttl: float = 0.02) -> None:
    """Wait until the entries, stored with a short TTL by the caller, are gone."""
    for key in keys:

        async def is_gone(key: str = key) -> bool:
            return not await memory.exists(key)

        await asyncio.sleep(ttl)
        await until(is_gone)
