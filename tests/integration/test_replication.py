"""Memories on servers that follow each other: standbys and Sentinels.

One that takes over from another under load: tests/chaos/test_failover_drill.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lionagi_qe import errors, open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.testing.faults import FaultProxy
from lionagi_qe.testing.servers import (
    PostgresServer,
    PostgresStandby,
    RedisSentinels,
    available_redis_servers,
)
from lionagi_qe.testing.servers.ports import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration


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

    async def test_a_standby_is_read_and_nothing_else(
        self, servers: tuple[PostgresServer, PostgresStandby]
    ) -> None:
        primary, standby = servers
        async with open_memory(primary.url) as memory:
            await memory.store_many({f"aqe/k/{at}": at for at in range(5)})
        wait_until(standby.follows, "the standby follows", timeout=20)
        async with open_memory(standby.url, timeout=1) as memory:
            assert await memory.retrieve("aqe/k/1") == 1
            assert await memory.search("aqe/k/*", 2) == {"aqe/k/0": 0, "aqe/k/1": 1}
            assert len(await memory.list_keys("aqe/")) == 5
            assert (await memory.get_stats())["total_keys"] == 5
            assert [entry.value async for entry in memory.scan("aqe/k/")] == [*range(5)]
            assert (await memory.describe())["server"].startswith("PostgreSQL")
            with pytest.raises(errors.BackendUnavailableError) as caught:
                await memory.store("aqe/k/1", 2)
            assert caught.value.outcome == "not_applied"
            with pytest.raises(errors.BackendUnavailableError, match="is a standby"):
                await memory.watch().open()

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
                await memory.store("aqe/a", 2, timeout=0.5)
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
            (lambda url: f"{url}&sentinel_db=1", errors.ConfigurationError, "sentinel_db"),
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
