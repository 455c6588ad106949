"""A slot that moves to another node while it is used: nothing is lost, doubled or told wrongly."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

import pytest
from tests.chaos.slot_moves import Move

from lionagi_qe import RevisionConflictError, open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.errors import BackendUnavailableError
from lionagi_qe.testing.servers import RedisCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [pytest.mark.integration, pytest.mark.redis, pytest.mark.slow]


@pytest.fixture(scope="module")
def nodes() -> Iterator[RedisCluster]:
    """A cluster of our own: others would wait for its slots."""
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
async def move(nodes: RedisCluster) -> AsyncIterator[Move]:
    async with Move.between(nodes.nodes) as found:
        yield found


async def test_while_a_slot_is_on_two_nodes_calls_wait_and_then_find_everything(
    nodes: RedisCluster, move: Move
) -> None:
    fleet = f"moving-{uuid.uuid4().hex[:12]}"
    # One shard, and so one slot.
    url = f"{nodes.url}?shards=1"
    async with open_memory(url, fleet=fleet, timeout=0.5, cleanup_interval=None) as memory:
        queue = WorkQueue(memory, "jobs")
        keys = [f"aqe/moved/{number}" for number in range(20)]
        await memory.store_many(dict.fromkeys(keys, "before"))
        await queue.put("job")
        await move.begin(f"aqe:{{{fleet}}}:n")

        # The counter of revisions first, by which scripts are sent: the entries are elsewhere.
        await move.migrate([f"aqe:{{{fleet}}}:n"])
        for call in (
            lambda: memory.store(keys[0], "anew", if_revision=0),
            lambda: memory.increment("aqe/moved/new"),
            lambda: memory.list_keys("aqe/moved/"),
            queue.stats,
        ):
            with pytest.raises(BackendUnavailableError) as told:
                await call()
            assert told.value.outcome == "not_applied"
        assert await memory.retrieve(keys[0]) == "before"

        waiting = asyncio.create_task(
            memory.store(keys[1], "anew", if_revision=0, timeout=20), name="waits for its slot"
        )
        await move.finish()
        with pytest.raises(RevisionConflictError):
            await waiting
        assert await memory.list_keys("aqe/moved/") == sorted(keys)
        assert set((await memory.retrieve_many(keys)).values()) == {"before"}
        assert (await queue.stats()).ready == 1


async def test_what_is_stored_while_slots_move_is_there_after_it(
    nodes: RedisCluster, move: Move
) -> None:
    fleet = f"moving-{uuid.uuid4().hex[:12]}"
    url = f"{nodes.url}?shards=1"
    async with open_memory(url, fleet=fleet, timeout=20, cleanup_interval=None) as memory:
        stored: dict[str, int] = {}

        async def store(worker: int) -> None:
            number = 0
            while not moved.is_set():
                key = f"aqe/worker/{worker}/{number}"
                await memory.store(key, number, if_revision=0)
                stored[key] = number
                number += 1

        moved = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for worker in range(4):
                group.create_task(store(worker))
            for _ in range(3):
                await move.begin(f"aqe:{{{fleet}}}:n")
                await move.migrate(share=2)
                await asyncio.sleep(0.05)
                await move.finish()
            moved.set()
        assert await memory.search("aqe/worker/**") == stored
