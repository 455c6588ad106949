"""Watching: every last state arrives, in order of each key's revisions, from any cursor on."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import InvalidArgumentError, MemoryClosedError
from lionagi_qe.testing.conformance.base import SECONDS_TO_WAIT, Conformance, Connect, expire

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from lionagi_qe.persistence import Memory
    from lionagi_qe.persistence.watch import Change, Watch

POLL = 0.02


async def take(watch: Watch, count: int) -> list[Change]:
    """Return the next ``count`` changes."""
    async with asyncio.timeout(SECONDS_TO_WAIT):
        return [await anext(watch) for _ in range(count)]


async def take_until_expired(watch: Watch) -> list[Change]:
    """Return the changes up to the first expiry, which is among them."""
    changes: list[Change] = []
    async with asyncio.timeout(SECONDS_TO_WAIT):
        while not changes or changes[-1].kind != "expired":
            changes.append(await anext(watch))
    return changes


async def take_until(watch: Watch, key: str) -> list[Change]:
    """Return the changes up to that of ``key``, which is left out."""
    changes: list[Change] = []
    async with asyncio.timeout(SECONDS_TO_WAIT):
        async for change in watch:
            if change.key == key:
                break
            changes.append(change)
    return changes


def seen(changes: list[Change]) -> dict[str, tuple[str, Any]]:
    """Return kind and value of each key's change; fails on a second one."""
    states = {change.key: (change.kind, change.value) for change in changes}
    assert len(states) == len(changes), "a key came twice"
    return states


class WatchConformance(Conformance):
    """``Memory.watch``."""

    async def test_a_watch_yields_what_is_stored_from_its_beginning_on(
        self, memory: Memory, other: Memory
    ) -> None:
        await memory.store("aqe/before", 0)
        async with memory.watch(poll=POLL) as watch:
            first = await other.store("aqe/a", {"n": 1})
            (change,) = await take(watch, 1)
            assert (change.kind, change.key, change.value) == ("stored", "aqe/a", {"n": 1})
            assert change.revision == first
            second = await other.store("aqe/a", {"n": 2})
            (change,) = await take(watch, 1)
            assert (change.value, change.revision) == ({"n": 2}, second)

    async def test_from_the_start_it_yields_what_is_stored_first(self, memory: Memory) -> None:
        stored = {f"aqe/old/{at:04}": at for at in range(1_200)}
        await memory.store_many(stored)
        async with memory.watch(since="start", page_size=100, poll=POLL) as watch:
            changes = await take(watch, len(stored))
            assert {change.key: change.value for change in changes} == stored
            await memory.store("aqe/new", 1)
            assert [change.key for change in await take(watch, 1)] == ["aqe/new"]

    async def test_every_way_of_changing_an_entry_is_seen(self, memory: Memory) -> None:
        await memory.store_many({"aqe/deleted": 1, "aqe/many": 1, "aqe/n": 1, "aqe/u": 1})
        await memory.store("aqe/cleared", 1, partition="p")
        async with memory.watch(poll=POLL) as watch:
            await memory.delete("aqe/deleted")
            await memory.delete_many(["aqe/many"])
            await memory.clear_partition("p")
            await memory.increment("aqe/n", 4)
            await memory.update("aqe/u", lambda old: old + 1)
            await memory.store("aqe/cas", 1, if_revision=0)
            await memory.store_many({"aqe/batch": 1})
            assert seen(await take(watch, 7)) == {
                "aqe/deleted": ("deleted", None),
                "aqe/many": ("deleted", None),
                "aqe/cleared": ("deleted", None),
                "aqe/n": ("stored", 5),
                "aqe/u": ("stored", 2),
                "aqe/cas": ("stored", 1),
                "aqe/batch": ("stored", 1),
            }

    async def test_what_changes_nothing_is_not_seen(self, memory: Memory) -> None:
        await memory.store("aqe/a", 1)
        async with memory.watch(poll=POLL) as watch:
            await memory.delete("aqe/absent")
            await memory.touch("aqe/a", 1000)
            await memory.retrieve("aqe/a")
            await memory.store("aqe/end", 0)
            assert await take_until(watch, "aqe/end") == []

    async def test_expiry_is_seen_without_any_sweep(self, memory: Memory, other: Memory) -> None:
        async with memory.watch(poll=POLL) as watch:
            revision = await other.store("aqe/a", 1, ttl=0.2)
            *stored, expired = await take_until_expired(watch)
            # A reader that was too slow for it is told of the end alone.
            assert [(change.kind, change.revision) for change in stored] in (
                [("stored", revision)],
                [],
            )
            assert (expired.kind, expired.key, expired.value) == ("expired", "aqe/a", None)
            assert expired.revision > revision

    async def test_an_entry_created_anew_before_its_expiry_was_seen_yields_only_that(
        self, memory: Memory
    ) -> None:
        async with memory.watch(poll=POLL) as watch:
            await memory.store("aqe/a", 1, ttl=0.02)
            await expire(memory, "aqe/a")
            await memory.store("aqe/a", 2)
            assert seen(await take(watch, 1)) == {"aqe/a": ("stored", 2)}
            await memory.store("aqe/end", 0)
            assert await take_until(watch, "aqe/end") == []

    async def test_states_that_nobody_read_in_time_are_merged_into_the_last(
        self, memory: Memory
    ) -> None:
        async with memory.watch(poll=POLL) as watch:
            for value in range(20):
                await memory.store("aqe/a", value)
            await memory.store("aqe/b", 1)
            await memory.delete("aqe/b")
            assert seen(await take(watch, 2)) == {
                "aqe/a": ("stored", 19),
                "aqe/b": ("deleted", None),
            }

    @pytest.mark.parametrize(
        ("pattern", "matches"),
        [
            ("*", {"aqe/a", "aqe/a/b", "aqe/ab", "aqe/c%", "aqe/é/x"}),
            ("aqe/a*", {"aqe/a", "aqe/a/b", "aqe/ab"}),
            ("aqe/a", {"aqe/a"}),
            ("aqe/?", {"aqe/a"}),
            ("aqe/*b", {"aqe/a/b", "aqe/ab"}),
            ("aqe/c%*", {"aqe/c%"}),
            ("aqe/[!a]*", {"aqe/c%", "aqe/é/x"}),
            ("aqe/é*", {"aqe/é/x"}),
        ],
    )
    async def test_a_pattern_means_what_it_means_to_search(
        self, memory: Memory, pattern: str, matches: set[str]
    ) -> None:
        for since in ("start", None):
            async with memory.watch(pattern, since, poll=POLL) as watch:
                await memory.store_many(
                    dict.fromkeys(["aqe/a", "aqe/a/b", "aqe/ab", "aqe/c%", "aqe/é/x"], 1)
                )
                assert {change.key for change in await take(watch, len(matches))} == matches

    async def test_each_change_tells_where_to_go_on(self, memory: Memory, other: Memory) -> None:
        async with memory.watch(page_size=3, poll=POLL) as watch:
            begin = watch.cursor
            await memory.store_many({f"aqe/{at}": at for at in range(10)})
            changes = await take(watch, 10)
        assert begin is not None
        keys = [change.key for change in changes]
        for at, change in enumerate(changes):
            again = other.watch(since=change.cursor, page_size=4, poll=POLL)
            assert sorted(c.key for c in await take(again, 9 - at)) == sorted(keys[at + 1 :])
            await again.close()
        assert len(await take(other.watch(since=begin, poll=POLL), 10)) == 10

    async def test_the_watch_tells_where_it_is(self, memory: Memory) -> None:
        watch = memory.watch("aqe/mine/*", poll=POLL)
        assert watch.cursor is None
        async with watch:
            await memory.store("aqe/other", 1)
            await memory.store("aqe/mine/a", 1)
            await memory.store("aqe/mine/b", 1)
            await take(watch, 1)
            cursor = watch.cursor
            assert [change.key for change in await take(watch, 1)] == ["aqe/mine/b"]
        again = memory.watch("aqe/mine/*", since=cursor, poll=POLL)
        assert [change.key for change in await take(again, 1)] == ["aqe/mine/b"]

    async def test_without_values_only_names_and_revisions_come(self, memory: Memory) -> None:
        async with memory.watch(values=False, poll=POLL) as watch:
            revision = await memory.store("aqe/a", {"large": "x" * 1000})
            (change,) = await take(watch, 1)
            assert (change.kind, change.value, change.revision) == ("stored", None, revision)
            await memory.delete("aqe/a")
            (change,) = await take(watch, 1)
            assert change.kind == "deleted"

    async def test_large_values_come_in_pages_that_fit(self, memory: Memory) -> None:
        text = "x" * (3 * 1024 * 1024)
        async with memory.watch(poll=POLL) as watch:
            for at in range(8):
                await memory.store(f"aqe/{at}", text)
            changes = await take(watch, 8)
            assert {change.key for change in changes} == {f"aqe/{at}" for at in range(8)}
            assert all(change.value == text for change in changes)

    async def test_fleets_do_not_see_each_others_changes(
        self, connect: Connect, fleet: str, memory: Memory, opened: AsyncExitStack
    ) -> None:
        stranger = await opened.enter_async_context(
            connect(fleet=f"{fleet}-other", cleanup_interval=None)
        )
        async with memory.watch(poll=POLL) as watch:
            await stranger.store("aqe/theirs", 1)
            await memory.store("aqe/ours", 1)
            assert [change.key for change in await take(watch, 1)] == ["aqe/ours"]
        await stranger.delete("aqe/theirs")

    @pytest.mark.parametrize(
        "since", ["", "x", "s1:", "p2;;", "p1;9:9:;0;0", "r1:x", "z9:1", 7, "s1:-1:0"]
    )
    async def test_a_cursor_that_is_none_is_refused(self, memory: Memory, since: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="since"):
            await memory.watch(since=since).open()

    async def test_a_closed_watch_ends_and_a_closed_memory_says_so(
        self, connect: Connect, fleet: str, memory: Memory
    ) -> None:
        watch = await memory.watch(poll=POLL).open()
        waiting = asyncio.create_task(take_until(watch, "aqe/never"))
        await asyncio.sleep(0)
        await watch.close()
        assert await waiting == []
        another = connect(fleet=fleet, cleanup_interval=None)
        watch = await another.watch(poll=POLL).open()
        await another.close()
        with pytest.raises(MemoryClosedError):
            await anext(watch)

    async def test_cancelling_a_reader_loses_nothing(self, memory: Memory) -> None:
        async with memory.watch(poll=POLL) as watch:
            keys: list[str] = []

            async def collect() -> None:
                async for change in watch:
                    keys.append(change.key)

            for at in range(40):
                reader = asyncio.create_task(collect())
                await memory.store(f"aqe/{at:03}", at)
                await asyncio.sleep(random.uniform(0, 0.004))  # noqa: S311
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
            keys += [change.key for change in await take(watch, 40 - len(keys))]
            assert sorted(keys) == [f"aqe/{at:03}" for at in range(40)]

    async def test_concurrent_writers_are_seen_whole_and_in_order_of_each_keys_revisions(
        self, memory: Memory, other: Memory
    ) -> None:
        latest: dict[str, int] = {}

        async def write(seed: int, through: Memory) -> None:
            dice = random.Random(seed)  # noqa: S311
            for at in range(60):
                key = f"aqe/{dice.randrange(30)}"
                if dice.random() < 0.2:
                    await through.delete(key)
                elif dice.random() < 0.3:
                    await through.store_many({key: at, f"aqe/{seed}/{at % 5}": at})
                else:
                    await through.store(key, at)

        async def follow(watch: Watch) -> dict[str, Change]:
            states: dict[str, Change] = {}
            async for change in watch:
                if change.key == "aqe/end":
                    break
                before = states.get(change.key)
                assert before is None or change.revision > before.revision
                states[change.key] = change
            return states

        async with memory.watch(page_size=7, poll=POLL) as watch, asyncio.timeout(SECONDS_TO_WAIT):
            following = asyncio.create_task(follow(watch))
            await asyncio.gather(
                *(write(seed, memory if seed % 2 else other) for seed in range(12))
            )
            # On a cluster the shards are read one after the other: the end comes in a later round.
            await asyncio.sleep(POLL * 10)
            await memory.store("aqe/end", 0)
            states = await following
        async for entry in memory.scan():
            latest[entry.key] = entry.revision
        del latest["aqe/end"]
        live = {key: change.revision for key, change in states.items() if change.kind == "stored"}
        assert live == latest
