"""Presence and sessions: who is alive is seen by all, and what belongs together ends together."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.coordination import Presence, Session
from lionagi_qe.errors import (
    InvalidArgumentError,
    InvalidKeyError,
    OutcomeUnknownError,
    SessionEndedError,
)
from lionagi_qe.testing.conformance.base import SECONDS_TO_WAIT, Conformance, until

if TYPE_CHECKING:
    from lionagi_qe.persistence import Entry, Memory


class PresenceConformance(Conformance):
    """``coordination.Presence`` and ``coordination.Session``."""

    async def test_members_see_each_other_until_they_leave(
        self, memory: Memory, other: Memory
    ) -> None:
        async with Presence(memory, "a", info={"role": "tester"}) as a:
            async with Presence(other, "b"), Presence(other, "c", group="elsewhere"):
                members = await a.alive()
                assert [member.agent_id for member in members] == ["a", "b"]
                assert members[0].info == {"role": "tester"}
                assert members[0].since <= members[1].since
            assert [member.agent_id for member in await a.alive()] == ["a"]
        assert await memory.list_keys() == []

    async def test_a_member_lives_as_long_as_it_beats(self, memory: Memory) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(Presence(memory, "steady", ttl=1.5))
            silent = Presence(memory, "silent", ttl=30)
            await stack.enter_async_context(silent)
            # As if it had stopped: its entry is left to end by itself.
            await memory.touch(silent.key, 0.05)

            async def is_gone() -> bool:
                alive = await silent.alive()
                return [member.agent_id for member in alive] == ["steady"]

            await until(is_gone)
            await asyncio.sleep(3.2)
            assert await is_gone()
            assert await silent.beat(), "who was gone joins anew"
            assert len(await silent.alive()) == 2

    async def test_a_member_that_ends_while_it_beats_joins_anew(
        self, memory: Memory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Presence(memory, "slow", ttl=30) as member:
            entry = memory.entry

            async def ends_once_read(key: str) -> Entry | None:
                found = await entry(key)
                monkeypatch.undo()
                await memory.delete(key)
                return found

            monkeypatch.setattr(memory, "entry", ends_once_read)
            assert await member.beat()
            assert [each.agent_id for each in await member.alive()] == ["slow"]

    async def test_who_comes_back_under_the_same_id_takes_the_place(
        self, memory: Memory, other: Memory
    ) -> None:
        async with Presence(memory, "a", info=1, ttl=30) as former:
            async with Presence(other, "a", info=2) as latter:
                assert not await former.beat()
                assert former.replaced.is_set()
                assert [member.info for member in await latter.alive()] == [2]
                assert await latter.beat()
            # The former leaves what isn't its own alone.
            await other.store(former.key, {"host": "", "process": 0, "info": 3})
        assert await memory.exists(former.key)

    async def test_a_member_that_joined_anew_without_an_answer_is_itself(
        self, memory: Memory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = memory.store

        async def unanswered(*args: Any, **settings: Any) -> int:
            await store(*args, **settings)
            msg = "lost"
            raise OutcomeUnknownError(msg)

        async def join_anew(member: Presence) -> None:
            await memory.delete(member.key)
            with monkeypatch.context() as patched:
                patched.setattr(memory, "store", unanswered)
                with pytest.raises(OutcomeUnknownError):
                    await member.beat()
            assert await memory.exists(member.key)

        async with Presence(memory, "a", ttl=60, info={"at": (1, 2)}) as member:
            await join_anew(member)
            assert await member.beat()
            assert not member.replaced.is_set()
        assert not await memory.exists(member.key)
        async with Presence(memory, "a", ttl=60) as member:
            await join_anew(member)
        assert not await memory.exists(member.key), "it knows its own entry when it leaves"

    async def test_who_is_cancelled_while_leaving_stays_cancelled(self, memory: Memory) -> None:
        async def stay(until_then: asyncio.Event) -> None:
            async with Presence(memory, "a", ttl=30):
                present.set()
                await until_then.wait()
            await asyncio.sleep(0)

        for turns in range(12):
            present, leave = asyncio.Event(), asyncio.Event()
            staying = asyncio.create_task(stay(leave))
            await present.wait()
            leave.set()
            for _ in range(turns):
                await asyncio.sleep(0)
            asked = staying.cancel()
            await asyncio.wait([staying])
            assert staying.cancelled() == asked

    async def test_joining_leaving_and_vanishing_are_told(
        self, memory: Memory, other: Memory
    ) -> None:
        seen: list[tuple[str, str]] = []

        async def follow() -> None:
            async for movement in movements:
                seen.append((movement.kind, movement.agent_id))  # noqa: PERF401 - looked at meanwhile

        async def saw(kind: str, agent_id: str) -> None:
            async def told() -> bool:
                return (kind, agent_id) in seen

            await until(told)

        async with Presence(memory, "watcher").movements(poll=0.02) as movements:
            following = asyncio.create_task(follow())
            async with Presence(other, "a", ttl=30) as a:
                await saw("joined", "a")
                assert await a.beat()
            await saw("left", "a")
            async with Presence(other, "b", ttl=30) as b:
                await other.touch(b.key, 0.05)
                await saw("expired", "b")
        await following
        assert [kind for kind, agent_id in seen if agent_id == "a"] == ["joined", "left"]

    @pytest.mark.parametrize("agent_id", ["", "a/b", "x" * 600, "\n", 7])
    async def test_an_id_that_is_no_segment_is_refused(self, memory: Memory, agent_id: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="agent_id"):
            Presence(memory, agent_id)

    async def test_a_sessions_entries_end_together(self, memory: Memory, other: Memory) -> None:
        async with asyncio.timeout(SECONDS_TO_WAIT), Session(memory, "s", ttl=1.0) as session:
            joined = Session(other, "s", ttl=500)
            await joined.start()
            await session.store("a", 1)
            await joined.store("b/c", 2)
            assert await joined.retrieve("a") == 1
            assert await session.keys() == ["a", "b/c"]
            assert 0 < await joined.remaining() <= 1.0

            async def has_ended() -> bool:
                return await joined.retrieve("a") is None

            await until(has_ended)
            assert await session.retrieve("b/c", "gone") == "gone"
            assert await session.keys() == []
            assert await session.remaining() == 0
            with pytest.raises(SessionEndedError, match="sessions/s"):
                await joined.store("d", 1)
            with pytest.raises(SessionEndedError):
                await session.extend()

            async def nothing_left() -> bool:
                return await memory.list_keys() == []

            await until(nothing_left)

    async def test_extending_a_session_extends_all_of_it(
        self, memory: Memory, other: Memory
    ) -> None:
        async with Session(memory, "s", ttl=5) as session:
            await session.store("a", 1)
            await Session(other, "s").extend(1_000)
            assert await session.remaining() > 900
            entry = await memory.entry("aqe/sessions/s/a")
            assert entry is not None
            assert entry.expires_at is not None
            assert (entry.expires_at - entry.updated_at).total_seconds() > 900
            await session.store("b", 2)
            assert await session.end()
            assert not await session.end()
        assert await memory.list_keys() == []

    async def test_a_session_that_ended_is_started_anew(self, memory: Memory) -> None:
        session = Session(memory, "reviews/42")
        await session.start()
        await session.store("a", 1)
        await session.end()
        await session.start()
        assert await session.retrieve("a") is None
        await session.store("a", 2)
        assert await session.retrieve("a") == 2
        await session.end()
        with pytest.raises(InvalidKeyError):
            Session(memory, "x//y")
