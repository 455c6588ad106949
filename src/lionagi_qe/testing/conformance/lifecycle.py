"""Opening, closing, time limits and wrong use: one clear error each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import (
    AqeError,
    InvalidArgumentError,
    MemoryClosedError,
    WrongEventLoopError,
)
from lionagi_qe.testing.conformance.base import Conformance, Connect

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory


class LifecycleConformance(Conformance):
    """The life of a handle."""

    async def test_a_memory_opens_itself_on_the_first_call(
        self, memory: Memory, connect: Connect, fleet: str
    ) -> None:
        lazy = connect(fleet=fleet)
        try:
            await lazy.store("aqe/a", 1)
            assert await lazy.retrieve("aqe/a") == 1
        finally:
            await lazy.close()

    async def test_many_first_calls_at_once_open_it_once(
        self, memory: Memory, connect: Connect, fleet: str
    ) -> None:
        async with connect(fleet=fleet) as lazy:
            await asyncio.gather(*(lazy.increment("aqe/n") for _ in range(20)))
            assert await lazy.retrieve("aqe/n") == 20

    async def test_its_repr_tells_the_fleet_and_whether_it_is_open(
        self, connect: Connect, fleet: str
    ) -> None:
        memory = connect(fleet=fleet)
        scope = memory.scoped("part", write=["aqe/part/*"])
        for each in (memory, scope):
            assert f", fleet {fleet!r}, " in repr(each)
            assert repr(each).endswith(", not opened>")
        async with memory:
            assert repr(memory).startswith(f"<{type(memory).__name__} on ")
            assert repr(memory).endswith(", open>")
            assert repr(scope).startswith(f"<Memory scope 'part' on {memory.capabilities.name}, ")
            assert repr(scope).endswith(", open>")
            await scope.close()
            assert repr(scope).endswith(", closed>")
        assert repr(memory).endswith(", closed>")

    async def test_a_closed_memory_refuses_every_call(
        self, memory: Memory, connect: Connect, fleet: str
    ) -> None:
        closed = connect(fleet=fleet)
        await closed.open()
        await closed.close()
        await closed.close()
        calls: list[Any] = [
            closed.store("aqe/a", 1),
            closed.retrieve("aqe/a"),
            closed.entry("aqe/a"),
            closed.exists("aqe/a"),
            closed.delete("aqe/a"),
            closed.touch("aqe/a", 1),
            closed.increment("aqe/a"),
            closed.update("aqe/a", lambda _: 1),
            closed.store_many({"aqe/a": 1}),
            closed.retrieve_many(["aqe/a"]),
            closed.delete_many(["aqe/a"]),
            closed.search("aqe/*"),
            closed.list_keys(),
            closed.clear_partition("p"),
            closed.get_stats(),
            closed.cleanup_expired(),
            closed.describe(),
            closed.open(),
        ]
        for call in calls:
            with pytest.raises(MemoryClosedError, match="closed"):
                await call
        with pytest.raises(MemoryClosedError):
            _ = [entry async for entry in closed.scan()]
        assert not await memory.exists("aqe/a")

    async def test_a_memory_never_opened_can_be_closed(self, connect: Connect, fleet: str) -> None:
        unused = connect(fleet=fleet)
        await unused.close()
        with pytest.raises(MemoryClosedError):
            await unused.retrieve("aqe/a")

    async def test_closing_waits_for_the_calls_under_way(
        self, memory: Memory, connect: Connect, fleet: str
    ) -> None:
        closing = connect(fleet=fleet)
        await closing.open()
        tasks = [asyncio.create_task(closing.store(f"aqe/n/{at}", at)) for at in range(50)]
        await asyncio.sleep(0)
        await closing.close()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(answer, int | MemoryClosedError) for answer in answers)
        if self.shared:
            stored = await memory.list_keys("aqe/n/")
            assert len(stored) == sum(isinstance(answer, int) for answer in answers)

    async def test_closing_waits_for_the_questions_under_way(
        self, memory: Memory, connect: Connect, fleet: str
    ) -> None:
        closing = connect(fleet=fleet)
        await closing.store_many({f"aqe/n/{at}": at for at in range(50)})
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(question)
            for question in (
                closing.search("aqe/n/*", limit=50),
                closing.list_keys("aqe/n/"),
                closing.get_stats(),
                closing.cleanup_expired(),
                closing.clear_partition("p"),
            )
        ]
        await asyncio.sleep(0)
        await closing.close()
        assert all(task.done() for task in tasks)
        found, keys, stats, expired, cleared = await asyncio.gather(*tasks)
        assert (len(found), len(keys), stats["fleet"]) == (50, 50, fleet)
        assert (expired, cleared) == (0, 0)

    async def test_a_closing_that_is_cancelled_leaves_nothing_open_and_every_call_ends(
        self, memory: Memory, connect: Connect, fleet: str
    ) -> None:
        for turns in range(6):
            closing = connect(fleet=fleet)
            await closing.open()
            tasks: list[asyncio.Task[Any]] = [
                asyncio.create_task(call)
                for call in (
                    *(closing.store(f"aqe/n/{at}", at) for at in range(20)),
                    *(closing.search("aqe/n/*") for _ in range(20)),
                )
            ]
            close = asyncio.create_task(closing.close())
            for _ in range(turns):
                await asyncio.sleep(0)
            close.cancel()
            await asyncio.wait([close])
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(answer) for answer in answers} <= {int, dict, MemoryClosedError}
            await closing.close()
            with pytest.raises(MemoryClosedError):
                await closing.retrieve("aqe/n/0")

    async def test_a_closing_among_tasks_that_all_are_cancelled_can_be_done_again(
        self, memory: Memory, connect: Connect, fleet: str
    ) -> None:
        for turns in range(4):
            others = asyncio.all_tasks()
            closing = connect(fleet=fleet)
            await closing.store("aqe/a", 1)
            close = asyncio.create_task(closing.close())
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in asyncio.all_tasks() - others:
                task.cancel()
            await asyncio.wait([close])
            await closing.close()
            with pytest.raises(MemoryClosedError):
                await closing.retrieve("aqe/a")

    async def test_a_memory_closed_while_it_opens_is_closed(
        self, memory: Memory, connect: Connect, fleet: str
    ) -> None:
        for turns in range(6):
            closing = connect(fleet=fleet)
            tasks = [asyncio.create_task(closing.store(f"aqe/n/{at}", at)) for at in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            await closing.close()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(answer, int | MemoryClosedError) for answer in answers)
            with pytest.raises(MemoryClosedError):
                await closing.retrieve("aqe/n/0")

    async def test_the_same_handle_can_be_closed_by_an_error(
        self, memory: Memory, connect: Connect, fleet: str
    ) -> None:
        async def fail() -> None:
            async with connect(fleet=fleet) as handle:
                await handle.store("aqe/a", 1)
                raise LookupError

        with pytest.raises(LookupError):
            await fail()
        if self.shared:
            assert await memory.retrieve("aqe/a") == 1

    async def test_another_event_loop_is_refused(self, memory: Memory) -> None:
        await memory.store("aqe/a", 1)

        async def misuse() -> None:
            with pytest.raises(WrongEventLoopError, match="event loop"):
                await memory.retrieve("aqe/a")

        await asyncio.to_thread(lambda: asyncio.run(misuse()))
        assert await memory.retrieve("aqe/a") == 1

    @pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, "1"])
    async def test_an_impossible_timeout_is_refused(
        self, memory: Memory, connect: Connect, timeout: Any
    ) -> None:
        with pytest.raises(InvalidArgumentError, match="timeout"):
            await memory.store("aqe/a", 1, timeout=timeout)
        with pytest.raises(InvalidArgumentError, match="timeout"):
            connect(timeout=timeout)
        assert not await memory.exists("aqe/a")

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("max_value_bytes", 0),
            ("max_batch", 0),
            ("max_batch", "1"),
            ("cleanup_interval", 0),
            ("cleanup_interval", "1"),
            ("default_ttl", 0),
            ("default_ttl", "60"),
            ("migrate", "no"),
            ("migrate", 1),
        ],
    )
    async def test_an_impossible_setting_is_refused(
        self, connect: Connect, setting: str, value: Any
    ) -> None:
        with pytest.raises(InvalidArgumentError, match=setting):
            connect(**{setting: value})

    async def test_a_call_takes_its_own_timeout(self, memory: Memory) -> None:
        await memory.store("aqe/a", 1, timeout=5)
        assert await memory.retrieve("aqe/a", timeout=5) == 1
        assert await memory.search("aqe/*", timeout=5) == {"aqe/a": 1}

    async def test_the_memory_describes_its_server(self, memory: Memory) -> None:
        facts = await memory.describe()
        assert facts["server"]
        assert facts["durability"]
        assert facts["schema_version"] >= 1
        assert memory.capabilities.name
        assert memory.capabilities.atomic_batches in {"all", "shard"}

    async def test_all_errors_have_one_root(self, memory: Memory) -> None:
        with pytest.raises(AqeError):
            await memory.store("bad", 1)
        with pytest.raises(AqeError):
            await memory.store("aqe/a", 1, if_revision=7)
