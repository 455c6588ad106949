"""Outages: a call fails within its time or succeeds, tells the truth, and the memory recovers."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe import Memory, errors, open_memory
from lionagi_qe.coordination import Lease
from lionagi_qe.testing.conformance.base import until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from lionagi_qe.testing.faults import FaultProxy
    from lionagi_qe.testing.servers import PostgresServer, RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

CALLS: dict[str, Callable[[Memory], Coroutine[Any, Any, Any]]] = {
    "store": lambda memory: memory.store("aqe/a", 2),
    "retrieve": lambda memory: memory.retrieve("aqe/a"),
    "entry": lambda memory: memory.entry("aqe/a"),
    "delete": lambda memory: memory.delete("aqe/a"),
    "increment": lambda memory: memory.increment("aqe/n"),
    "update": lambda memory: memory.update("aqe/n", lambda _: 1),
    "store_many": lambda memory: memory.store_many({"aqe/a": 1, "aqe/b": 2}),
    "retrieve_many": lambda memory: memory.retrieve_many(["aqe/a", "aqe/b"]),
    "search": lambda memory: memory.search("aqe/*"),
    "list_keys": lambda memory: memory.list_keys(),
    "clear_partition": lambda memory: memory.clear_partition("none"),
    "get_stats": lambda memory: memory.get_stats(),
    "cleanup_expired": lambda memory: memory.cleanup_expired(),
}
CHANGES = {"store", "delete", "increment", "update", "store_many", "clear_partition"}
# How long after its timeout a call may still be on its way back on a busy machine.
GRACE = 3.0


async def opened(proxy: FaultProxy, fleet: str, timeout: float = 1.0) -> Memory:
    memory = open_memory(proxy.url, fleet=fleet, timeout=timeout, cleanup_interval=None)

    async def is_open() -> bool:
        # On a busy machine it may take longer than the calls that shall fail soon.
        with contextlib.suppress(errors.BackendTimeoutError):
            await memory.open()
            return True
        return False

    await until(is_open)
    await memory.store("aqe/a", 1, timeout=10)
    await memory.store("aqe/n", 0, timeout=10)
    return memory


async def close_quickly(memory: Memory) -> None:
    async with asyncio.timeout(GRACE):
        await memory.close()


@pytest.mark.parametrize("call", CALLS)
class TestSilence:
    async def test_a_call_into_silence_fails_in_time_and_the_memory_recovers(
        self, proxy: FaultProxy, call: str
    ) -> None:
        memory = await opened(proxy, f"silence-{call.replace('_', '-')}", timeout=0.5)
        proxy.blackhole()
        start = time.monotonic()
        with pytest.raises(errors.BackendUnavailableError) as caught:
            await CALLS[call](memory)
        assert time.monotonic() - start < 0.5 + GRACE
        # A read and a change that was never sent changed nothing, and say so.
        if call not in CHANGES:
            assert caught.value.outcome == "not_applied" or call == "cleanup_expired"
        proxy.pass_through()
        assert await memory.retrieve("aqe/a", timeout=10) in {1, 2, None}
        await CALLS[call](memory)
        await close_quickly(memory)

    async def test_many_calls_into_silence_all_fail_in_time(
        self, proxy: FaultProxy, call: str
    ) -> None:
        memory = await opened(proxy, f"silences-{call.replace('_', '-')}", timeout=0.5)
        proxy.blackhole()
        start = time.monotonic()
        answers = await asyncio.gather(
            *(CALLS[call](memory) for _ in range(40)), return_exceptions=True
        )
        assert time.monotonic() - start < 0.5 + GRACE
        assert {isinstance(answer, errors.BackendUnavailableError) for answer in answers} == {True}
        proxy.pass_through()
        assert await memory.retrieve("aqe/a", timeout=10) in {1, 2, None}
        await close_quickly(memory)


class TestLostConnections:
    async def test_a_change_whose_answer_was_lost_says_that_it_may_have_been_applied(
        self, proxy: FaultProxy
    ) -> None:
        memory = await opened(proxy, "lost-answer")
        proxy.blackhole("to_client")
        with pytest.raises(errors.OutcomeUnknownError) as caught:
            await memory.store("aqe/a", "perhaps", timeout=0.5)
        assert caught.value.outcome == "unknown"
        assert isinstance(caught.value, ConnectionError)
        proxy.pass_through()
        # It did arrive: a plain "failed" would have been a lie.
        assert await memory.retrieve("aqe/a", timeout=10) == "perhaps"
        await close_quickly(memory)

    async def test_a_change_is_never_sent_twice(self, proxy: FaultProxy) -> None:
        memory = await opened(proxy, "never-twice", timeout=3)
        confirmed = unknown = 0
        for at in range(30):
            if at % 3 == 2:
                proxy.reset()
            elif at % 3 == 1:
                proxy.blackhole("to_client")
                asyncio.get_running_loop().call_later(0.02, proxy.reset)
            asyncio.get_running_loop().call_later(0.05, proxy.pass_through)
            try:
                await memory.increment("aqe/n")
                confirmed += 1
            except errors.OutcomeUnknownError:
                unknown += 1
        proxy.pass_through()
        total = await memory.retrieve("aqe/n", timeout=10)
        assert confirmed <= total <= confirmed + unknown
        assert unknown
        await close_quickly(memory)

    async def test_reads_go_on_through_resets(self, proxy: FaultProxy) -> None:
        memory = await opened(proxy, "resets", timeout=10)
        for _ in range(10):
            proxy.reset()
            asyncio.get_running_loop().call_later(0.05, proxy.pass_through)
            assert await memory.retrieve("aqe/a") == 1
        await close_quickly(memory)

    async def test_a_refused_change_was_surely_not_applied(self, proxy: FaultProxy) -> None:
        memory = await opened(proxy, "refused")
        proxy.refuse()
        # The first may meet a connection that was open when the server went.
        with pytest.raises(errors.BackendUnavailableError):
            await memory.store("aqe/a", 2)
        with pytest.raises(errors.BackendUnavailableError) as caught:
            await memory.store("aqe/a", 3)
        assert caught.value.outcome == "not_applied"
        proxy.pass_through()
        assert await memory.retrieve("aqe/a", timeout=10) in {1, 2}
        await close_quickly(memory)

    async def test_a_slow_network_is_only_slow(self, proxy: FaultProxy) -> None:
        memory = await opened(proxy, "slow", timeout=10)
        proxy.latency(0.05)
        await memory.store("aqe/a", "slow")
        assert await memory.retrieve("aqe/a") == "slow"
        answers = await asyncio.gather(*(memory.increment("aqe/n") for _ in range(50)))
        assert sorted(answers) == list(range(1, 51))
        await close_quickly(memory)

    async def test_an_answer_cut_in_the_middle_is_no_answer(self, proxy: FaultProxy) -> None:
        memory = await opened(proxy, "cut", timeout=5)
        await memory.store("aqe/big", "x" * 200_000)
        proxy.cut_after(50_000)
        asyncio.get_running_loop().call_later(0.3, proxy.pass_through)
        assert await memory.retrieve("aqe/big") == "x" * 200_000
        await close_quickly(memory)

    async def test_cancelling_into_silence_is_immediate_and_harmless(
        self, proxy: FaultProxy
    ) -> None:
        memory = await opened(proxy, "cancel", timeout=30)
        proxy.blackhole()
        tasks = [asyncio.create_task(CALLS[call](memory)) for call in CALLS for _ in range(3)]
        await asyncio.sleep(0.1)
        start = time.monotonic()
        for task in tasks:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert time.monotonic() - start < GRACE
        assert {type(answer) for answer in answers} == {asyncio.CancelledError}
        proxy.reset()
        proxy.pass_through()
        assert await memory.retrieve("aqe/a", timeout=10) in {1, 2, None}
        await close_quickly(memory)


class TestLeases:
    async def test_who_waits_for_a_lease_of_a_silent_server_is_told_in_time(
        self, proxy: FaultProxy
    ) -> None:
        memory = await opened(proxy, "lease", timeout=30)
        proxy.blackhole()
        start = time.monotonic()
        with pytest.raises(errors.BackendUnavailableError):
            await Lease(memory, "leader").acquire(timeout=0.3)
        assert time.monotonic() - start < 0.3 + GRACE
        proxy.reset()
        proxy.pass_through()
        await close_quickly(memory)

    async def test_what_is_granted_after_the_time_is_given_back(self, proxy: FaultProxy) -> None:
        memory = await opened(proxy, "late-lease", timeout=10)
        proxy.latency(0.1)
        with pytest.raises(errors.BackendTimeoutError):
            await Lease(memory, "leader", ttl=60).acquire(timeout=0.1)
        assert await Lease(memory, "leader").state() is None
        await close_quickly(memory)

    @pytest.mark.parametrize("answers", [True, False])
    async def test_who_is_cancelled_while_it_waits_stays_cancelled_and_holds_nothing(
        self, proxy: FaultProxy, *, answers: bool
    ) -> None:
        memory = await opened(proxy, f"lease-{answers}", timeout=10 if answers else 1)
        if answers:
            proxy.latency(0.3)
        else:
            proxy.blackhole()
        acquiring = asyncio.create_task(Lease(memory, "leader", ttl=60).acquire())
        await asyncio.sleep(0.1)
        acquiring.cancel()
        await asyncio.wait([acquiring])
        assert acquiring.cancelled()
        proxy.pass_through()
        if answers:
            assert await Lease(memory, "leader").try_acquire()
        await close_quickly(memory)


class TestOpening:
    async def test_a_server_that_is_not_there_is_told_at_once(self, proxy: FaultProxy) -> None:
        proxy.refuse()
        memory = open_memory(proxy.url, timeout=5)
        start = time.monotonic()
        with pytest.raises(errors.BackendUnavailableError, match=str(proxy.port)) as caught:
            await memory.store("aqe/a", 1)
        assert time.monotonic() - start < GRACE
        assert caught.value.outcome == "not_applied"
        assert "\n" not in str(caught.value)
        proxy.pass_through()
        await memory.store("aqe/a", 1)
        await close_quickly(memory)

    async def test_a_server_that_never_answers_is_given_up_in_time(self, proxy: FaultProxy) -> None:
        proxy.blackhole()
        memory = open_memory(proxy.url, timeout=0.5)
        start = time.monotonic()
        with pytest.raises(errors.BackendTimeoutError):
            await memory.open()
        assert time.monotonic() - start < 0.5 + GRACE
        with pytest.raises(errors.BackendTimeoutError):
            await memory.retrieve("aqe/a", timeout=0.2)
        await close_quickly(memory)

    async def test_cancelling_the_opening_leaves_a_memory_that_can_be_opened(
        self, proxy: FaultProxy
    ) -> None:
        proxy.blackhole()
        memory = open_memory(proxy.url, timeout=30)
        opening = asyncio.create_task(memory.open())
        await asyncio.sleep(0.1)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        proxy.pass_through()
        await memory.store("aqe/a", 1)
        await close_quickly(memory)

    @pytest.mark.postgres
    async def test_a_wrong_password_is_told_without_telling_it(self, postgres_url: str) -> None:
        user, rest = postgres_url.split("@")
        url = f"{user.rsplit(':', 1)[0]}:hunter2@{rest}"
        memory = open_memory(url)
        with pytest.raises(errors.AccessDeniedError, match="password") as caught:
            await memory.open()
        assert "hunter2" not in str(caught.value)
        await memory.close()

    @pytest.mark.postgres
    async def test_a_missing_database_is_told(self, postgres_url: str) -> None:
        memory = open_memory(postgres_url.rsplit("/", 1)[0] + "/nowhere")
        with pytest.raises(errors.ConfigurationError, match="nowhere"):
            await memory.open()
        await memory.close()

    @pytest.mark.redis
    async def test_a_missing_redis_database_is_told(self, redis_url: str) -> None:
        memory = open_memory(redis_url.rsplit("/", 1)[0] + "/9999")
        with pytest.raises(errors.ConfigurationError, match="range"):
            await memory.open()
        await memory.close()

    @pytest.mark.redis
    async def test_a_cluster_that_is_not_there_or_none_is_told(self, redis_url: str) -> None:
        memory = open_memory("redis+cluster://127.0.0.1:1")
        with pytest.raises(errors.BackendUnavailableError, match=r"127\.0\.0\.1:1") as caught:
            await memory.store("aqe/a", 1)
        assert caught.value.outcome == "not_applied"
        await memory.close()
        memory = open_memory(redis_url.replace("redis://", "redis+cluster://"))
        with pytest.raises(errors.AqeError, match=r"cluster|Cluster|database"):
            await memory.open()
        await memory.close()

    @pytest.mark.redis
    @pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
    async def test_an_option_that_nobody_knows_is_told(self, scheme: str) -> None:
        with pytest.raises(errors.ConfigurationError, match="frob") as caught:
            open_memory(f"{scheme}://127.0.0.1:1?frob=secret")
        assert "secret" not in str(caught.value)

    async def test_a_host_that_does_not_exist_is_told(self) -> None:
        for url in ("postgresql://u@host.invalid/db", "redis://host.invalid"):
            memory = open_memory(url, timeout=5)
            with pytest.raises(errors.BackendUnavailableError, match=r"host\.invalid"):
                await memory.open()
            await memory.close()

    @pytest.mark.redis
    async def test_the_server_of_another_kind_is_told(self, redis_url: str) -> None:
        url = redis_url.replace("redis://", "postgresql://")
        memory = open_memory(url, timeout=0.5)
        with pytest.raises(errors.BackendTimeoutError, match="no postgresql server answered"):
            await memory.open()
        await memory.close()

    @pytest.mark.redis
    async def test_a_node_of_a_cluster_is_told(self, redis_cluster_url: str) -> None:
        url = redis_cluster_url.replace("redis+cluster://", "redis://")

        async def use_fleets() -> None:
            for number in range(12):  # some lie on this node
                async with open_memory(url, fleet=f"told-{number}"):
                    pass

        with pytest.raises(errors.ConfigurationError, match=r"write redis\+cluster://"):
            await use_fleets()


class TestServersThatStop:
    @pytest.mark.postgres
    async def test_postgresql_killed_under_load(
        self, own_postgres: Callable[..., PostgresServer]
    ) -> None:
        await self._kill_under_load(await asyncio.to_thread(own_postgres))

    @pytest.mark.redis
    async def test_redis_killed_under_load(self, own_redis: Callable[..., RedisServer]) -> None:
        await self._kill_under_load(await asyncio.to_thread(own_redis, appendfsync="always"))

    @staticmethod
    async def _kill_under_load(server: PostgresServer | RedisServer) -> None:
        memory = open_memory(server.url, timeout=20, cleanup_interval=0.05)
        confirmed: dict[str, int] = {}
        unsure: dict[str, int] = {}
        stop = asyncio.Event()

        async def write(worker: int) -> None:
            at = 0
            while not stop.is_set():
                at += 1
                try:
                    await memory.store(f"aqe/{worker}", at)
                    confirmed[f"aqe/{worker}"] = at
                except errors.OutcomeUnknownError:
                    unsure[f"aqe/{worker}"] = at

        await memory.open()
        workers = [asyncio.create_task(write(at)) for at in range(32)]

        async def progress(beyond: int) -> None:
            async def all_beyond() -> bool:
                return len(confirmed) == 32 and min(confirmed.values()) > beyond

            await until(all_beyond, 30)

        for _ in range(2):
            await progress(max(confirmed.values(), default=0))
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.start)
        await progress(max(confirmed.values()))
        stop.set()
        await asyncio.gather(*workers)
        stored = await memory.search("aqe/*")
        for key, value in confirmed.items():
            assert stored[key] == value or stored[key] == unsure.get(key)
        await close_quickly(memory)

    @pytest.mark.redis
    async def test_a_paused_server_goes_on_when_it_is_resumed(
        self, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = await asyncio.to_thread(own_redis)
        async with open_memory(server.url, timeout=0.5) as memory:
            await memory.store("aqe/a", 1)
            server.pause()
            with pytest.raises(errors.OutcomeUnknownError):
                await memory.store("aqe/a", 2)
            with pytest.raises(errors.BackendTimeoutError):
                await memory.retrieve("aqe/a")
            server.resume()
            assert await memory.retrieve("aqe/a", timeout=10) in {1, 2}

    @pytest.mark.redis
    async def test_a_full_server_refuses_and_changes_nothing(
        self, own_redis: Callable[..., RedisServer]
    ) -> None:
        server = await asyncio.to_thread(own_redis, settings={"maxmemory": "6mb"})
        async with open_memory(server.url, timeout=3) as memory:
            await memory.store("aqe/a", 1)
            refusal = await self._fill(memory)
            assert "maxmemory" in str(refusal)
            assert refusal.outcome == "not_applied"
            assert await memory.retrieve("aqe/a") == 1
            assert len(await memory.list_keys()) == (await memory.get_stats())["total_keys"]
            await asyncio.to_thread(server.execute, "CONFIG", "SET", "maxmemory", "0")
            await memory.store("aqe/a", 2)
            assert await memory.clear_partition("default") > 1

    @staticmethod
    async def _fill(memory: Memory) -> errors.BackendUnavailableError:
        for at in range(100):
            try:
                await memory.store(f"aqe/fill/{at}", "x" * 500_000)
            except errors.BackendUnavailableError as refusal:
                return refusal
        raise AssertionError


class TestFiles:
    async def test_a_file_that_is_no_database_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("these are notes, not a database " * 50)
        memory = open_memory(f"sqlite:///{path}")
        with pytest.raises(errors.ConfigurationError, match=r"notes\.txt"):
            await memory.open()
        await memory.close()
        assert path.read_text().startswith("these are notes")

    async def test_another_programs_database_is_refused_and_unchanged(self, tmp_path: Path) -> None:
        path = tmp_path / "other.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (a)")
        connection.close()
        before = path.read_bytes()
        memory = open_memory(f"sqlite:///{path}")
        with pytest.raises(errors.ConfigurationError, match="another program"):
            await memory.open()
        await memory.close()
        assert path.read_bytes() == before

    async def test_a_directory_that_can_not_be_made_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        memory = open_memory(f"sqlite:///{tmp_path / 'file' / 'memory.db'}")
        with pytest.raises(errors.ConfigurationError, match="directory"):
            await memory.open()
        await memory.close()

    async def test_a_lock_held_by_another_process_is_waited_for_then_told(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "memory.db"
        async with open_memory(f"sqlite:///{path}", timeout=3) as memory:
            await memory.store("aqe/a", 1)
            # In another process: locks of POSIX do not hold within one.
            code = (
                "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
                "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()"
            )
            blocker = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, str(path), stdin=PIPE, stdout=PIPE
            )
            assert blocker.stdout is not None
            assert await blocker.stdout.readline() == b"locked\n"
            with pytest.raises(errors.BackendUnavailableError) as caught:
                await memory.store("aqe/a", 2)
            assert "database is locked" not in str(caught.value)
            assert caught.value.outcome == "not_applied"
            assert await memory.retrieve("aqe/a") == 1
            await blocker.communicate(b"")
            await memory.store("aqe/a", 3, timeout=10)
            assert await memory.retrieve("aqe/a") == 3
