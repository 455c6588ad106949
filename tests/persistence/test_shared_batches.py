"""Large batches that are shared with another one, where callers leave or tasks start eagerly."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from tests.persistence.calling import call, settle

from lionagi_qe.persistence.connect import open_memory
from lionagi_qe.persistence.scheduling.batch import Channel
from lionagi_qe.persistence.scheduling.batcher import Batcher

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Item = tuple[str, int]


class Slow:
    """Applies batches when each is told to, in whatever order."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[Item], asyncio.Event]] = []
        self.entries: dict[str, int] = {}

    async def perform(self, items: list[Any]) -> Sequence[Any]:
        ending = asyncio.Event()
        self.batches.append((items, ending))
        await ending.wait()
        self.entries.update(items)
        return items

    async def end_the_last_first(self) -> None:
        for _ in range(10):
            for _, ending in reversed(self.batches):
                ending.set()
                await settle()

    def channel(self, *, mutates: bool) -> Channel:
        return Channel(self.perform, mutates=mutates, max_batches=2)


async def crowd(batcher: Batcher, channel: Channel, keys: list[str]) -> list[asyncio.Task[Any]]:
    """Let two calls fly alone, and then these board one batch."""
    first = [
        asyncio.create_task(call(batcher, channel, (f"first/{at}", at), f"first/{at}"))
        for at in range(2)
    ]
    await settle()
    calls = [
        asyncio.create_task(call(batcher, channel, (key, number), key))
        for number, key in enumerate(keys)
    ]
    await settle()
    return [*first, *calls]


async def test_two_writes_of_one_key_stay_together_though_another_caller_left() -> None:
    batcher, server = Batcher(), Slow()
    keys = [*(f"k{at}" for at in range(39)), "k0"]
    calls = await crowd(batcher, server.channel(mutates=True), keys)
    calls[7].cancel()
    await server.end_the_last_first()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert not any(isinstance(answer, Exception) for answer in answers)
    assert server.entries["k0"] == 39
    await batcher.close()


async def test_a_key_that_others_wait_for_is_given_back_though_a_caller_left() -> None:
    batcher, server = Batcher(), Slow()
    keys = [*(f"k{at}" for at in range(39)), "k38"]
    calls = await crowd(batcher, server.channel(mutates=True), keys)
    read = asyncio.create_task(call(batcher, server.channel(mutates=False), ("k38", -1), "k38"))
    await settle()
    calls[7].cancel()
    await server.end_the_last_first()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*calls, read, return_exceptions=True)
        assert not any(isinstance(answer, Exception) for answer in answers)
        await batcher.close()


async def test_a_memory_works_on_a_loop_whose_tasks_all_start_eagerly(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    # Before, no loop has such tasks.
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    try:
        async with open_memory(f"sqlite:///{tmp_path / 'memory.db'}") as memory:
            for value in range(3):
                keys = [f"aqe/eager/{at}" for at in range(40)]
                await asyncio.gather(*(memory.store(key, value) for key in keys))
                found = await asyncio.gather(*(memory.retrieve(key) for key in keys))
                assert found == [value] * 40
    finally:
        loop.set_task_factory(factory)
