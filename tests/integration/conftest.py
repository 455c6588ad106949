"""Fixtures of the integration tests: real memories, test data, timing, concurrency, health."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from lionagi_qe import Memory, PostgresMemory, RedisMemory
from lionagi_qe.testing.conformance.base import erase
from lionagi_qe.testing.factories import QualityDataFactory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator

    from lionagi_qe.testing.faults import FaultProxy


@dataclass
class PerformanceTracker:
    """Times named stretches of work and prints their rates; it judges nothing."""

    rates: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def measure(self, name: str, operations: int) -> Generator[None]:
        """Time what runs inside as ``operations`` operations."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.rates[name] = operations / seconds
        print(f"{name}: {operations} in {seconds:.3f} s, {self.rates[name]:,.0f}/s")


@dataclass
class ServerHealth:
    """Whether the server behind a memory answers, and how soon."""

    server: str
    seconds: float


@pytest_asyncio.fixture(scope="session")
async def postgres_memory_real(postgres_url: str) -> AsyncIterator[PostgresMemory]:
    """One memory on the session's PostgreSQL database, shared by the tests."""
    async with PostgresMemory(postgres_url, fleet=_session_fleet()) as memory:
        yield memory


@pytest_asyncio.fixture
async def postgres_memory_clean(
    postgres_memory_real: PostgresMemory,
) -> AsyncIterator[PostgresMemory]:
    """The shared memory, empty before and after."""
    await erase(postgres_memory_real)
    yield postgres_memory_real
    await erase(postgres_memory_real)


@pytest_asyncio.fixture(scope="session")
async def redis_memory_real(redis_url: str) -> AsyncIterator[RedisMemory]:
    """One memory on the session's Redis server, shared by the tests."""
    async with RedisMemory.from_url(redis_url, fleet=_session_fleet()) as memory:
        yield memory
        await erase(memory)


@pytest_asyncio.fixture
async def redis_memory_clean(redis_memory_real: RedisMemory) -> AsyncIterator[RedisMemory]:
    """The shared memory, empty before and after."""
    await erase(redis_memory_real)
    yield redis_memory_real
    await erase(redis_memory_real)


def _session_fleet() -> str:
    return f"session-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def integration_test_data() -> dict[str, Any]:
    """Values of every kind that agents store."""
    return {
        "simple": "a plain text",
        "number": 42,
        "fraction": 0.1,
        "boolean": True,
        "null": None,
        "list": [1, "two", 3.0, None, False],
        "nested": {"a": {"b": {"c": [{"d": [1, 2, 3]}]}}},
        "unicode": {"text": "naïve 日本語 😀", "ключ": "значение"},
        "empty": {"list": [], "dict": {}, "text": ""},
        "test_plan": QualityDataFactory(seed=1).plan(),
        "coverage": QualityDataFactory(seed=2).coverage(),
    }


@pytest.fixture(scope="session")
def large_test_data() -> dict[str, Any]:
    """A value of some hundred kilobytes, and a thousand realistic entries."""
    factory = QualityDataFactory(seed=3)
    return {
        "value": {"runs": [factory.run() for _ in range(500)]},
        "entries": {f"aqe/large/{at:04}": factory.run() for at in range(1_000)},
    }


@pytest.fixture
def performance_tracker() -> PerformanceTracker:
    """A stopwatch that prints."""
    return PerformanceTracker()


@pytest.fixture
def run_concurrently() -> Callable[..., Awaitable[list[Any]]]:
    """A function that awaits ``work(0)`` .. ``work(count - 1)`` at once, failing with the first."""

    async def run(work: Callable[[int], Awaitable[Any]], count: int) -> list[Any]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_await(work(at))) for at in range(count)]
        return [task.result() for task in tasks]

    return run


async def _await(work: Awaitable[Any]) -> Any:
    return await work


@pytest.fixture
def database_health() -> Callable[[Memory], Awaitable[ServerHealth]]:
    """A function that asks a memory's server who it is and times the answer."""

    async def check(memory: Memory) -> ServerHealth:
        start = time.perf_counter()
        facts = await memory.describe()
        return ServerHealth(facts["server"], time.perf_counter() - start)

    return check


@pytest.fixture(params=["postgres", "redis"])
def server_url(request: pytest.FixtureRequest) -> str:
    """The URL of each server in turn."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest_asyncio.fixture
async def proxy(
    server_url: str, fault_proxy: Callable[[str], FaultProxy]
) -> AsyncIterator[FaultProxy]:
    """A proxy that misbehaves on demand, in front of each server in turn."""
    async with fault_proxy(server_url) as proxy:
        yield proxy
