"""Leases and fences: one holder, growing tokens, no change by who is no longer the holder."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.coordination import Lease, held_leases
from lionagi_qe.errors import (
    BackendTimeoutError,
    InvalidArgumentError,
    InvalidValueError,
    LeaseLostError,
    RevisionConflictError,
    StaleFenceError,
)
from lionagi_qe.persistence.contract.operations import Fence
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.conformance.base import Conformance, Connect, until

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from lionagi_qe.persistence import Memory

LONG = 60.0
SHORT = 0.3
# Of leases that are kept: a busy machine may leave their holder without a turn for a while.
HELD = 1.5


async def take(memory: Memory, name: str, ttl: float = LONG) -> Fence:
    """Take a lease that nobody renews, as a holder that was stopped leaves it."""
    holder = f"stopped#{uuid.uuid4().hex}"
    tenure = await parts_of(memory).leases.acquire(name, holder, int(ttl * 1000))
    assert tenure.holder == holder
    return Fence(name, tenure.token)


def changes(memory: Memory, fence: Fence) -> dict[str, Awaitable[Any]]:
    """Every mutator, fenced."""
    return {
        "store": memory.store("aqe/a", "new", fence=fence),
        "compare and set": memory.store("aqe/b", "new", if_revision=0, fence=fence),
        "update": memory.update("aqe/c", lambda _: "new", fence=fence),
        "increment": memory.increment("aqe/n", fence=fence),
        "touch": memory.touch("aqe/d", 1000, fence=fence),
        "delete": memory.delete("aqe/e", fence=fence),
        "store_many": memory.store_many({"aqe/f": 1, "aqe/g": 1, "aqe/h": 1}, fence=fence),
        "delete_many": memory.delete_many(["aqe/i", "aqe/j", "aqe/k"], fence=fence),
    }


async def seed(memory: Memory) -> dict[str, Any]:
    """Store what the changes change."""
    values: dict[str, Any] = {f"aqe/{name}": "old" for name in "acdefghijk"}
    values["aqe/n"] = 5
    await memory.store_many(values)
    return values


class FenceConformance(Conformance):
    """What a fence lets through."""

    async def test_the_holders_fence_lets_every_change_through(self, memory: Memory) -> None:
        await seed(memory)
        fence = await take(memory, "leader")
        for change in changes(memory, fence).values():
            await change
        found = await memory.search("aqe/*")
        assert found == {
            **{f"aqe/{name}": "new" for name in "abc"},
            **dict.fromkeys(("aqe/f", "aqe/g", "aqe/h"), 1),
            "aqe/d": "old",
            "aqe/n": 6,
        }

    @pytest.mark.parametrize("why", ["unknown", "released", "expired", "taken over", "future"])
    async def test_a_stale_fence_lets_no_change_through(
        self, memory: Memory, other: Memory, why: str
    ) -> None:
        values = await seed(memory)
        fence = Fence("nobody", 1)
        if why == "released":
            lease = Lease(memory, "leader", ttl=LONG)
            await lease.acquire()
            await lease.release()
            fence = lease.fence
        elif why != "unknown":
            fence = await take(memory, "leader", ttl=LONG if why == "future" else SHORT)
            if why == "future":
                fence = Fence("leader", fence.token + 1)
            elif why == "expired":
                await until(lambda: is_free(memory, "leader"))
            else:
                await Lease(other, "leader", ttl=LONG).acquire()
        for change in changes(memory, fence).values():
            with pytest.raises(StaleFenceError) as caught:
                await change
            assert (caught.value.name, caught.value.token) == (fence.name, fence.token)
        # All at once, as they would travel together.
        answers = await asyncio.gather(*changes(memory, fence).values(), return_exceptions=True)
        assert {type(answer) for answer in answers} == {StaleFenceError}
        assert await memory.search("aqe/*") == values

    async def test_a_stale_fence_fails_its_own_caller_alone(self, memory: Memory) -> None:
        mine, theirs = await take(memory, "mine"), await take(memory, "theirs")
        stale = Fence(theirs.name, theirs.token - 1)
        await memory.store("aqe/text", "no number")
        calls: list[Any] = []
        for at in range(30):
            calls += [
                memory.store(f"aqe/plain/{at}", at),
                memory.store(f"aqe/mine/{at}", at, fence=mine),
                memory.store(f"aqe/stale/{at}", at, fence=stale),
                memory.increment(f"aqe/theirs/{at}", fence=theirs),
                memory.increment("aqe/text", fence=mine),
                memory.store(f"aqe/cas/{at}", at, if_revision=7, fence=mine),
            ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for at in range(30):
            plain, fenced, refused, added, text, conflict = answers[at * 6 : at * 6 + 6]
            assert isinstance(plain, int)
            assert isinstance(fenced, int)
            assert isinstance(refused, StaleFenceError)
            assert added == 1
            assert isinstance(text, InvalidValueError)
            assert isinstance(conflict, RevisionConflictError)
        assert await memory.list_keys("aqe/stale/") == []
        assert len(await memory.list_keys("aqe/mine/")) == 30

    async def test_fenced_changes_of_one_key_keep_their_order(self, memory: Memory) -> None:
        fence = await take(memory, "leader")
        calls: list[Awaitable[Any]] = [
            memory.store("aqe/k", at, fence=fence if at % 2 else None) for at in range(100)
        ]
        revisions = await asyncio.gather(*calls)
        assert revisions == sorted(set(revisions))
        assert await memory.retrieve("aqe/k") == 99

    async def test_an_update_that_lost_its_lease_meanwhile_changes_nothing(
        self, memory: Memory, other: Memory
    ) -> None:
        await memory.store("aqe/k", "old")
        fence = await take(memory, "leader", ttl=SHORT)

        async def slow(_: str) -> str:
            await Lease(other, "leader", ttl=LONG).acquire()
            await other.retrieve("aqe/k")
            return "mine"

        with pytest.raises(StaleFenceError):
            await memory.update("aqe/k", slow, fence=fence)
        assert await memory.retrieve("aqe/k") == "old"

    async def test_fences_belong_to_their_fleet(
        self, memory: Memory, connect: Connect, fleet: str
    ) -> None:
        fence = await take(memory, "leader")
        async with connect(fleet=f"{fleet}-b") as stranger:
            with pytest.raises(StaleFenceError):
                await stranger.store("aqe/k", 1, fence=fence)

    @pytest.mark.parametrize("fence", ["leader", 5, ("leader", 5)])
    async def test_what_is_no_fence_is_refused(self, memory: Memory, fence: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="Lease"):
            await memory.store("aqe/k", 1, fence=fence)


async def is_free(memory: Memory, name: str) -> bool:
    """Whether nobody holds the lease by the server's clock."""
    return await Lease(memory, name).state() is None


class LeaseConformance(FenceConformance):
    """Who holds a lease, and how it ends."""

    async def test_a_held_lease_is_nobody_elses(self, memory: Memory, other: Memory) -> None:
        async with Lease(memory, "leader", ttl=LONG, holder="me") as lease:
            rival = Lease(other, "leader", ttl=LONG)
            assert not await rival.try_acquire()
            with pytest.raises(BackendTimeoutError, match="not free"):
                await rival.acquire(timeout=0.1)
            assert not rival.held
            state = await rival.state()
            assert state is not None
            assert (state.token, state.holder) == (lease.token, "me")
            assert 0 < state.remaining <= LONG
            assert await Lease(other, "another", ttl=LONG).try_acquire()
        assert await rival.state() is None
        assert await rival.try_acquire()
        assert rival.token > lease.token

    async def test_held_leases_are_listed_by_name_page_by_page(
        self, memory: Memory, other: Memory
    ) -> None:
        assert await held_leases(memory) == []
        names = sorted(["b", "a", "Z", "ü", "b/c", "b-c", "a b"])
        fences = [await take(memory, name) for name in names]
        await parts_of(memory).leases.release(await take(memory, "released"))
        await take(memory, "ended", ttl=0.01)
        await until(lambda: is_free(memory, "ended"))
        found = await held_leases(other)
        assert [each.name for each in found] == names
        assert [each.token for each in found] == [fence.token for fence in fences]
        assert {each.holder for each in found} == {"stopped"}
        assert all(0 < each.remaining <= LONG for each in found)
        first = await held_leases(other, 2)
        rest = await held_leases(other, 10, first[-1].name)
        assert [each.name for each in [*first, *rest]] == names

    async def test_tokens_grow_across_release_expiry_and_takeover(
        self, memory: Memory, other: Memory
    ) -> None:
        tokens: list[int] = []
        for at in range(12):
            handle = (memory, other)[at % 2]
            if at % 3 == 2:
                tokens.append((await take(handle, "leader", ttl=0.05)).token)
            else:
                async with Lease(handle, "leader", ttl=LONG) as lease:
                    tokens.append(lease.token)
        assert tokens == sorted(set(tokens))

    @pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 1e300, True, "1"])
    async def test_an_impossible_ttl_is_refused(self, memory: Memory, ttl: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="ttl"):
            Lease(memory, "leader", ttl=ttl)

    async def test_a_lease_is_kept_for_longer_than_its_ttl(
        self, memory: Memory, other: Memory
    ) -> None:
        async with Lease(memory, "leader", ttl=HELD) as lease:
            rival = Lease(other, "leader", ttl=HELD)
            for _ in range(5):
                await asyncio.sleep(HELD / 4)
                assert not await rival.try_acquire()
                await memory.store("aqe/k", 1, fence=lease)
            assert lease.held

    async def test_waiters_get_it_one_after_another(self, memory: Memory, other: Memory) -> None:
        """20 contenders; the number of holders is counted in the store, fenced."""
        holders = 0
        tokens: list[int] = []

        async def contend(at: int) -> None:
            nonlocal holders
            handle = (memory, other)[at % 2]
            async with Lease(handle, "turn", ttl=5.0) as lease:
                holders += 1
                assert holders == 1
                assert await handle.increment("aqe/holders", 1, fence=lease) == 1
                tokens.append(lease.token)
                await asyncio.sleep(random.uniform(0, 0.005))  # noqa: S311
                assert await handle.increment("aqe/holders", -1, fence=lease) == 0
                holders -= 1

        await asyncio.gather(*map(contend, range(20)))
        assert len(tokens) == 20
        assert tokens == sorted(set(tokens))

    async def test_the_body_of_a_lost_lease_is_cancelled_and_told(
        self, memory: Memory, other: Memory
    ) -> None:
        cancelled = False
        lease = Lease(memory, "leader", ttl=SHORT)

        async def hold() -> None:
            nonlocal cancelled
            async with lease:
                theft = asyncio.create_task(steal(memory, other, lease))
                try:
                    # On a slow machine it is lost before the thief has it.
                    await asyncio.shield(theft)
                    await asyncio.sleep(LONG)
                except asyncio.CancelledError:
                    cancelled = True
                    raise
                finally:
                    await theft

        with pytest.raises(LeaseLostError) as caught:
            await hold()
        assert cancelled
        assert lease.lost.is_set()
        assert not lease.held
        assert (caught.value.name, caught.value.token) == ("leader", lease.token)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        # It is the thief's now, and stays so.
        state = await lease.state()
        assert state is not None
        assert state.token > lease.token

    async def test_a_body_that_is_cancelled_by_others_stays_cancelled(
        self, memory: Memory, other: Memory
    ) -> None:
        entered = asyncio.Event()

        async def hold() -> None:
            async with Lease(memory, "leader", ttl=LONG):
                entered.set()
                await asyncio.sleep(LONG)

        task = asyncio.create_task(hold())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Released all the same.
        assert await Lease(other, "leader", ttl=LONG).try_acquire()

    async def test_an_error_of_the_body_comes_through_and_releases(
        self, memory: Memory, other: Memory
    ) -> None:
        with pytest.raises(ZeroDivisionError):
            async with Lease(memory, "leader", ttl=LONG):
                raise ZeroDivisionError
        assert await Lease(other, "leader", ttl=LONG).try_acquire()

    async def test_a_lease_that_ended_while_nothing_ran_is_told_at_the_end(
        self, memory: Memory, other: Memory
    ) -> None:
        lease = Lease(memory, "leader", ttl=SHORT)
        with pytest.raises(LeaseLostError):
            async with lease:
                await steal(memory, other, lease)

    async def test_who_gives_up_waiting_holds_nothing(self, memory: Memory, other: Memory) -> None:
        for at in range(15):
            lease = Lease(memory, "leader", ttl=LONG)
            waiting = asyncio.create_task(lease.acquire())
            await asyncio.sleep(0.0005 * at)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            if lease.held:
                await lease.release()
            await until(lambda: is_free(other, "leader"))

    async def test_one_object_holds_once_at_a_time(self, memory: Memory) -> None:
        lease = Lease(memory, "leader", ttl=LONG)
        with pytest.raises(InvalidArgumentError, match="never acquired"):
            _ = lease.token
        async with lease:
            with pytest.raises(InvalidArgumentError, match="already held"):
                await lease.try_acquire()
            first = lease.token
        async with lease:
            assert lease.token > first
        assert await lease.release() is False

    async def test_a_revoked_lease_protects_nothing_any_more_and_is_told(
        self, memory: Memory, other: Memory
    ) -> None:
        assert not await Lease(other, "leader").revoke()
        lease = Lease(memory, "leader", ttl=1)
        await lease.acquire()
        assert await Lease(other, "leader").revoke()
        assert await lease.state() is None
        with pytest.raises(StaleFenceError):
            await memory.store("aqe/fenced", 1, fence=lease)
        async with asyncio.timeout(10):
            await lease.lost.wait()
        assert not await Lease(other, "leader").revoke()

    async def test_what_ended_long_ago_may_be_swept(self, memory: Memory) -> None:
        fence = await take(memory, "leader", ttl=SHORT)
        await until(lambda: is_free(memory, "leader"))
        await memory.cleanup_expired()
        async with Lease(memory, "leader", ttl=LONG) as lease:
            assert lease.token > fence.token

    @pytest.mark.parametrize("name", ["", "line\nbreak", "x" * 129, 5])
    async def test_a_bad_name_is_refused(self, memory: Memory, name: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="lease"):
            Lease(memory, name)

    @pytest.mark.parametrize("ttl", [0, -1, float("inf"), "5"])
    async def test_a_bad_ttl_is_refused(self, memory: Memory, ttl: Any) -> None:
        with pytest.raises(InvalidArgumentError, match="ttl"):
            Lease(memory, "leader", ttl=ttl)


async def steal(memory: Memory, other: Memory, lease: Lease) -> None:
    """Have another holder on the server, as if ours had been out of reach for longer than its TTL.

    What the server is told is what it would hear then: nothing for a TTL, and then the rival.
    """
    await parts_of(memory).leases.release(lease.fence)
    assert await Lease(other, lease.name, ttl=LONG).try_acquire()
