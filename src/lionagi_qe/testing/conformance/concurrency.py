"""Many callers at once: order, isolation of failures, cancellation, no lost change."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import InvalidValueError, RevisionConflictError
from lionagi_qe.testing.conformance.base import Conformance

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory


class ConcurrencyConformance(Conformance):
    """What holds when calls overlap; they travel together, and nobody may notice."""

    async def test_each_of_many_callers_gets_its_own_answer(self, memory: Memory) -> None:
        keys = [f"aqe/n/{at}" for at in range(300)]
        revisions = await asyncio.gather(*(memory.store(key, key) for key in keys))
        assert await asyncio.gather(*map(memory.retrieve, keys)) == keys
        entries = await asyncio.gather(*map(memory.entry, keys))
        assert [entry and entry.revision for entry in entries] == revisions
        assert await asyncio.gather(*map(memory.delete, keys)) == [True] * 300
        assert await memory.list_keys() == []

    async def test_calls_on_one_key_take_effect_in_the_order_of_the_calls(
        self, memory: Memory
    ) -> None:
        calls: list[Any] = [
            memory.store("aqe/k", 1),
            memory.retrieve("aqe/k"),
            memory.increment("aqe/k", 4),
            memory.retrieve("aqe/k"),
            memory.delete("aqe/k"),
            memory.exists("aqe/k"),
            memory.store("aqe/k", "again"),
            memory.entry("aqe/k"),
            memory.store_many({"aqe/k": "batch", "aqe/l": 1}),
            memory.retrieve("aqe/k"),
            memory.retrieve_many(["aqe/l", "aqe/k"]),
            memory.delete_many(["aqe/k", "aqe/m"]),
            memory.retrieve("aqe/k", "gone"),
            memory.touch("aqe/k", 5),
        ]
        answers: list[Any] = await asyncio.gather(*calls)
        stored, first, five, second, deleted, exists, again, entry = answers[:8]
        assert (first, five, second, deleted, exists) == (1, 5, 5, True, False)
        assert (entry.value, entry.revision) == ("again", again)
        assert again > stored
        assert answers[8]["aqe/k"] > again
        assert answers[9:] == ["batch", {"aqe/l": 1, "aqe/k": "batch"}, 1, "gone", False]

    async def test_of_many_stores_the_last_called_wins(self, memory: Memory) -> None:
        revisions = await asyncio.gather(*(memory.store("aqe/k", at) for at in range(200)))
        assert revisions == sorted(set(revisions))
        assert await memory.retrieve("aqe/k") == 199

    async def test_of_many_creators_one_wins(self, memory: Memory, other: Memory) -> None:
        answers = await asyncio.gather(
            *((memory, other)[at % 2].store("aqe/k", at, if_revision=0) for at in range(50)),
            return_exceptions=True,
        )
        winners = [at for at, answer in enumerate(answers) if isinstance(answer, int)]
        assert len(winners) == 1
        assert await memory.retrieve("aqe/k") == winners[0]
        assert sum(isinstance(answer, RevisionConflictError) for answer in answers) == 49

    async def test_increments_of_many_callers_add_up(self, memory: Memory, other: Memory) -> None:
        totals = await asyncio.gather(
            *((memory, other)[at % 2].increment("aqe/n") for at in range(200))
        )
        assert sorted(totals) == list(range(1, 201))
        assert await memory.retrieve("aqe/n") == 200

    async def test_updates_of_many_callers_all_count(self, memory: Memory, other: Memory) -> None:
        async def append(at: int) -> None:
            handle = (memory, other)[at % 2]
            await handle.update("aqe/list", lambda old: [*old, at], default=[], timeout=60)

        await asyncio.gather(*map(append, range(60)))
        assert sorted(await memory.retrieve("aqe/list")) == list(range(60))

    async def test_a_caller_that_fails_fails_alone(self, memory: Memory) -> None:
        await memory.store("aqe/text", "no number")
        calls: list[Any] = []
        for at in range(40):
            calls += [
                memory.store(f"aqe/fine/{at}", at),
                memory.store(f"aqe/bad/{at}", {at}),
                memory.increment("aqe/text"),
                memory.store(f"aqe/cas/{at}", at, if_revision=5),
                memory.increment(f"aqe/count/{at}", at),
            ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for at in range(40):
            fine, bad, text, conflict, count = answers[at * 5 : at * 5 + 5]
            assert isinstance(fine, int)
            assert isinstance(bad, InvalidValueError)
            assert isinstance(text, InvalidValueError)
            assert isinstance(conflict, RevisionConflictError)
            assert conflict.key == f"aqe/cas/{at}"
            assert count == at
        assert len(await memory.list_keys("aqe/fine/")) == 40
        assert await memory.list_keys("aqe/bad/") == []
        assert await memory.list_keys("aqe/cas/") == []

    async def test_batches_in_opposite_orders_never_block_each_other(
        self, memory: Memory, other: Memory
    ) -> None:
        keys = [f"aqe/n/{at:03}" for at in range(60)]

        async def write(handle: Memory, name: str, order: list[str]) -> None:
            for at in range(15):
                await handle.store_many({key: [name, at] for key in order})
                await handle.delete_many(order[::7])

        await asyncio.gather(
            write(memory, "a", keys),
            write(other, "b", keys[::-1]),
            write(memory, "c", keys[30:] + keys[:30]),
            write(other, "d", keys[::2] + keys[1::2]),
        )
        await memory.store_many(dict.fromkeys(keys, "end"))
        assert await other.retrieve_many(keys) == dict.fromkeys(keys, "end")

    async def test_a_batch_waits_for_a_store_of_its_key_that_waits_for_another_batch(
        self, memory: Memory
    ) -> None:
        first = memory.store("aqe/elsewhere", 0)
        batch = memory.store_many({"aqe/a": 2, "aqe/b": 2})
        await asyncio.gather(first, memory.store("aqe/a", 1), batch, memory.store("aqe/b", 3))
        assert await memory.search("aqe/?") == {"aqe/a": 2, "aqe/b": 3}

    async def test_a_batch_is_seen_whole_or_not_at_all(self, memory: Memory, other: Memory) -> None:
        whole = memory.capabilities.atomic_batches == "all"
        keys = [f"aqe/n/{at}" for at in range(50)] if whole else ["aqe/n/1"]
        await memory.store_many(dict.fromkeys(keys, 0))
        writing = asyncio.create_task(self._write_rounds(memory, keys))
        while not writing.done():
            found = await other.retrieve_many(keys)
            assert len(found) == len(keys)
            assert len(set(found.values())) == 1
            await asyncio.sleep(0)
        await writing

    @staticmethod
    async def _write_rounds(memory: Memory, keys: list[str]) -> None:
        for at in range(1, 40):
            await memory.store_many(dict.fromkeys(keys, at))

    async def test_a_cancelled_caller_takes_nobody_along(self, memory: Memory) -> None:
        for _ in range(10):
            tasks = [asyncio.create_task(memory.store(f"aqe/n/{at}", at)) for at in range(100)]
            await asyncio.sleep(random.uniform(0, 0.004))  # noqa: S311 - when does not matter
            for task in tasks[::3]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            for at, answer in enumerate(answers):
                if at % 3:
                    assert isinstance(answer, int)
            stored = await memory.retrieve_many([f"aqe/n/{at}" for at in range(100)])
            for at in range(100):
                # A cancelled one was stored whole, or not at all.
                assert stored.get(f"aqe/n/{at}", None if at % 3 == 0 else -1) in {at, None}
            assert await memory.delete_many(list(stored)) == len(stored)
            stats = await memory.get_stats()
            assert (stats["total_keys"], stats["partitions"]) == (0, {})

    async def test_cancelled_reads_and_batches_leave_the_memory_usable(
        self, memory: Memory
    ) -> None:
        values = {f"aqe/n/{at}": "x" * 1000 for at in range(500)}
        await memory.store_many(values)
        for at in range(30):
            calls = [
                memory.retrieve_many(values),
                memory.search("aqe/n/*"),
                memory.store_many(values),
                memory.get_stats(),
                memory.increment("aqe/count"),
            ]
            tasks = [asyncio.ensure_future(call) for call in calls]
            await asyncio.sleep(0.0005 * at)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert await memory.retrieve_many(values) == values
        assert len(await memory.search("aqe/n/*")) == 500

    async def test_a_burst_of_ten_thousand_calls_is_answered_whole(self, memory: Memory) -> None:
        keys = [f"aqe/n/{at}" for at in range(5_000)]
        answers = await asyncio.gather(
            *(memory.store(key, key, timeout=120) for key in keys),
            *(memory.retrieve(key, timeout=120) for key in keys),
        )
        assert answers[5_000:] == keys
        assert len(set(answers[:5_000])) == 5_000 or memory.capabilities.atomic_batches != "all"
