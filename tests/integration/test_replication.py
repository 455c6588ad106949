"""Memories on servers that follow each other: standbys and Sentinels.

One that takes over from another under load: tests/chaos/test_failover_drill.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import asyncpg
import pytest
from tests.programs import AQE, call

from lionagi_qe import errors, open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.persistence.contract.notifier import Notifier
from lionagi_qe.persistence.postgres.listen import Listener
from lionagi_qe.persistence.transfer import copy
from lionagi_qe.testing.conformance.base import until
from lionagi_qe.testing.faults import FaultProxy
from lionagi_qe.testing.servers import (
    PostgresServer,
    PostgresStandby,
    RedisSentinels,
    available_redis_servers,
)
from lionagi_qe.testing.servers.ports import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from lionagi_qe import Memory
    from lionagi_qe.persistence.watch import Watch

pytestmark = pytest.mark.integration

# Longer than any of these takes over.
TIMEOUT = 30.0


@pytest.mark.postgres
class TestPostgres:
    @pytest.fixture
    def servers(self) -> Iterator[tuple[PostgresServer, PostgresStandby]]:
        # Acknowledged is what the standby has written, too: it may take over at any moment.
        settings = {"synchronous_standby_names": "standby", "synchronous_commit": "on"}
        with PostgresServer() as primary, PostgresStandby(primary) as standby:
            for name, value in settings.items():
                primary.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            primary.execute("SELECT pg_reload_conf()")
            yield primary, standby

    @staticmethod
    def both(primary: PostgresServer, standby: PostgresServer) -> str:
        """Return the URL of both servers, the standby first."""
        return primary.url.replace("@", f"@127.0.0.1:{standby.port},")

    async def test_of_several_hosts_the_one_that_accepts_changes_is_used(
        self, servers: tuple[PostgresServer, PostgresStandby]
    ) -> None:
        async with open_memory(self.both(*servers)) as memory:
            await memory.store("aqe/a", 1)
            assert await memory.retrieve("aqe/a") == 1
            assert str(servers[0].port) in (await memory.describe())["location"]

    async def test_a_host_where_nobody_listens_is_passed_over(
        self, servers: tuple[PostgresServer, PostgresStandby]
    ) -> None:
        url = servers[0].url.replace("@", f"@127.0.0.1:{free_port()},")
        async with open_memory(url, timeout=5) as memory:
            await memory.store("aqe/a", 1)

    async def test_where_no_host_accepts_changes_nothing_was_changed(
        self, servers: tuple[PostgresServer, PostgresStandby]
    ) -> None:
        async with open_memory(servers[0].url):
            pass
        standby = servers[1]
        url = standby.url.replace("@", f"@127.0.0.1:{free_port()},")
        memory = open_memory(url, timeout=2)
        with pytest.raises(errors.BackendUnavailableError) as caught:
            await memory.store("aqe/a", 1)
        assert caught.value.outcome == "not_applied"
        assert "127.0.0.1" in str(caught.value)
        await memory.close()
        # Workers listen for jobs there, and look for them until they can.
        listener = Listener(Notifier())
        assert not await listener.listen(url, "aqe_jobs_1")
        await listener.close()

    async def test_a_standby_is_read_and_nothing_else(
        self, servers: tuple[PostgresServer, PostgresStandby]
    ) -> None:
        primary, standby = servers
        async with open_memory(primary.url) as memory:
            await memory.store_many({f"aqe/k/{at}": at for at in range(5)})
        wait_until(standby.follows, "the standby follows", timeout=20)
        async with open_memory(standby.url) as memory:
            assert await memory.retrieve("aqe/k/1") == 1
            assert await memory.search("aqe/k/*", 2) == {"aqe/k/0": 0, "aqe/k/1": 1}
            assert len(await memory.list_keys("aqe/")) == 5
            assert (await memory.get_stats())["total_keys"] == 5
            assert [entry.value async for entry in memory.scan("aqe/k/")] == [*range(5)]
            assert (await memory.describe())["server"].startswith("PostgreSQL")
            with pytest.raises(errors.BackendUnavailableError) as caught:
                await memory.store("aqe/k/1", 2, timeout=3)
            assert caught.value.outcome == "not_applied"
        told = await asyncio.to_thread(call, *AQE, "doctor", standby.url, "--json")
        assert told.code == 0, told.complaints
        facts = json.loads(told.output)
        assert facts["role"] == "standby"
        assert facts["last_replayed_seconds"] >= 0
        assert "store_ms" not in facts
        assert "standby" in (await asyncio.to_thread(call, *AQE, "doctor", standby.url)).output

    async def test_changes_are_followed_on_a_standby_and_each_is_told_once(
        self, servers: tuple[PostgresServer, PostgresStandby]
    ) -> None:
        primary, standby = servers
        async with open_memory(primary.url) as memory:
            await memory.store("aqe/k/before", 0)
            wait_until(standby.follows, "the standby follows", timeout=20)
            async with (
                open_memory(standby.url) as reader,
                reader.watch("aqe/k/*", page_size=3) as watch,
                _older_transaction(primary.url) as older,
            ):
                await memory.store_many({f"aqe/k/{at}": at for at in range(10)})
                await memory.store("aqe/k/3", "again")
                await memory.delete("aqe/k/4")
                # Of a transaction that began before, and is seen after all of these.
                await older()
                await memory.store("aqe/k/last", 1)
                told = await _until_key(watch, "aqe/k/last")
                assert {key: kind for kind, key in told} == {
                    **{f"aqe/k/{at}": "stored" for at in range(10) if at != 4},
                    "aqe/k/4": "deleted",
                    "aqe/k/last": "stored",
                }
                assert len(set(told)) == len(told)
                assert ("stored", "aqe/k/before") not in told
                cursor = watch.cursor
            # What was told on the primary goes on here, also if it is yet to arrive.
            standby.execute("SELECT pg_wal_replay_pause()::text")
            async with memory.watch("aqe/k/*", since=cursor) as watch:
                await memory.store("aqe/k/gone-by", 1)
                assert (await anext(watch)).key == "aqe/k/gone-by"
                ahead = watch.cursor
            async with (
                open_memory(standby.url) as reader,
                reader.watch("aqe/k/*", since=ahead) as watch,
            ):
                waiting = asyncio.create_task(anext(watch))
                await memory.store("aqe/k/next", 1)
                assert await reader.retrieve("aqe/k/gone-by") is None
                standby.execute("SELECT pg_wal_replay_resume()::text")
                assert (await waiting).key == "aqe/k/next"
            with pytest.raises(errors.BackendUnavailableError, match="copy the primary"):
                async with open_memory(standby.url) as reader, open_memory("memory://") as target:
                    await copy(reader, target)

    async def test_a_standby_is_preferred_while_there_is_one(
        self, servers: tuple[PostgresServer, PostgresStandby]
    ) -> None:
        primary, standby = servers
        async with open_memory(primary.url) as memory:
            await memory.store("aqe/a", 1)
        wait_until(standby.follows, "the standby follows", timeout=20)
        hosts = primary.url.replace("@", f"@127.0.0.1:{primary.port},").replace(
            f",127.0.0.1:{primary.port}", f",127.0.0.1:{standby.port}"
        )
        async with open_memory(f"{hosts}?target_session_attrs=prefer-standby") as memory:
            assert await memory.retrieve("aqe/a") == 1
            assert str(standby.port) in (await memory.describe())["location"]
            await asyncio.to_thread(standby.stop)
            await until(lambda: _reads(memory, "aqe/a", 1))
            assert str(primary.port) in (await memory.describe())["location"]

    async def test_an_address_may_lead_to_the_standby_before_it_takes_over(
        self, servers: tuple[PostgresServer, PostgresStandby]
    ) -> None:
        primary, standby = servers
        async with (
            FaultProxy.for_url(primary.url) as proxy,
            open_memory(proxy.url, timeout=20) as memory,
        ):
            await memory.store("aqe/a", 1)
            wait_until(standby.follows, "the standby follows", timeout=20)
            proxy.forward_to(standby.port)
            # Until the connections are known to be lost: what one carries is unknown.
            assert await memory.retrieve("aqe/a") == 1
            with pytest.raises(errors.BackendUnavailableError) as caught:
                await memory.store("aqe/a", 2, timeout=2)
            assert caught.value.outcome == "not_applied"
            assert await memory.retrieve("aqe/a") == 1
            storing = asyncio.create_task(memory.store("aqe/a", 3))
            await asyncio.to_thread(standby.promote)
            await storing
            assert await memory.retrieve("aqe/a") == 3

    async def test_a_change_that_no_standby_has_is_unknown_and_works_again_with_one(
        self, servers: tuple[PostgresServer, PostgresStandby]
    ) -> None:
        primary, standby = servers
        async with open_memory(primary.url, timeout=20) as memory:
            await memory.store("aqe/a", 1)
            standby.kill()
            loop = asyncio.get_running_loop()
            began = loop.time()
            with pytest.raises(errors.OutcomeUnknownError):
                await memory.store("aqe/a", 2, timeout=0.5)
            assert loop.time() - began < 1.5
            storing = asyncio.create_task(memory.store("aqe/a", 3))
            await asyncio.to_thread(standby.start)
            await storing
            assert await memory.retrieve("aqe/a") == 3

    async def test_a_commit_whose_wait_for_the_standby_is_ended_is_unknown(
        self, servers: tuple[PostgresServer, PostgresStandby]
    ) -> None:
        primary, standby = servers
        waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        async with open_memory(primary.url, timeout=20) as memory:
            calls = (
                lambda: memory.store("aqe/a", 1),
                lambda: memory.store_many({"aqe/b": 1, "aqe/c": 2}),
                lambda: memory.increment("aqe/n"),
            )
            standby.kill()
            for call in calls:
                calling = asyncio.ensure_future(call())
                await asyncio.to_thread(
                    wait_until,
                    lambda: primary.execute(f"SELECT count(*) {waiting}") == "1",
                    "the commit waits",
                    timeout=20,
                )
                primary.execute(f"SELECT pg_cancel_backend(pid) {waiting}")
                with pytest.raises(errors.OutcomeUnknownError, match="standby"):
                    await calling
            # Applied where it was sent.
            assert await memory.retrieve("aqe/a") == 1
            # What is safe to repeat is repeated, finds all done, and waits for that.
            queue = WorkQueue(memory, "waits")
            putting = asyncio.ensure_future(queue.put(1))
            for _ in range(2):
                await asyncio.to_thread(
                    wait_until,
                    lambda: primary.execute(f"SELECT count(*) {waiting}") == "1",
                    "the commit waits",
                    timeout=20,
                )
                primary.execute(f"SELECT pg_cancel_backend(pid) {waiting}")
            assert not putting.done()
            await asyncio.to_thread(standby.start)
            await putting
            assert (await queue.stats()).ready == 1


async def _until_key(watch: Watch, last: str) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []
    async with asyncio.timeout(TIMEOUT):
        async for change in watch:
            told.append((change.kind, change.key))
            if change.key == last:
                break
    return told


@contextlib.asynccontextmanager
async def _older_transaction(url: str) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """Yield what ends a transaction that has a number by now, and changes nothing of ours."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("BEGIN; CREATE TABLE older (number integer)")

        async def end() -> None:
            await connection.execute("COMMIT")

        yield end
    finally:
        await connection.close()


async def _reads(memory: Memory, key: str, value: object) -> bool:
    with contextlib.suppress(errors.BackendUnavailableError):
        return await memory.retrieve(key, timeout=5) == value
    return False


@pytest.mark.redis
class TestSentinel:
    @pytest.fixture(params=[binary.flavour for binary in available_redis_servers()])
    def servers(self, request: pytest.FixtureRequest) -> Iterator[RedisSentinels]:
        settings = {"min-replicas-to-write": "1", "min-replicas-max-lag": "2"}
        with RedisSentinels(
            request.param, password="pri/mary", sentinel_password="sen@tinel", settings=settings
        ) as servers:
            yield servers

    async def test_what_is_wrong_is_told_and_one_sentinel_is_enough(
        self, servers: RedisSentinels
    ) -> None:
        wrong: list[tuple[Callable[[str], str], type[errors.AqeError], str]] = [
            (lambda url: url.replace("mymaster", "other"), errors.BackendUnavailableError, "other"),
            (lambda url: url.replace("pri", "no"), errors.AccessDeniedError, "password"),
            (lambda url: url.replace("=sen", "=no"), errors.AccessDeniedError, "password"),
            (lambda url: url.replace("/mymaster/0", ""), errors.ConfigurationError, "name"),
            (lambda url: f"{url}&sentinel_db=1", errors.ConfigurationError, "option number 2"),
        ]
        for change, kind, match in wrong:
            with pytest.raises(kind, match=match) as caught:
                async with open_memory(change(servers.url), timeout=3) as memory:
                    await memory.store("aqe/a", 1)
            assert "pri/mary" not in str(caught.value)
            assert "sen@tinel" not in str(caught.value)
        for sentinel in servers.sentinels[:2]:
            sentinel.kill()
        async with open_memory(servers.url, timeout=5) as memory:
            await memory.store("aqe/a", 1)
            assert await memory.retrieve("aqe/a") == 1


async def test_an_address_of_sentinels_needs_no_port() -> None:
    memory = open_memory("redis+sentinel://127.0.0.1/mymaster", timeout=1)
    with pytest.raises(errors.BackendUnavailableError, match=r"127\.0\.0\.1:26379"):
        await memory.open()
    await memory.close()
