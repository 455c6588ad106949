"""What is PgBouncer's own: few connections for many, a mode that can't serve, a restart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.chaos.failover_load import GRACE, TIMEOUT, Load

from lionagi_qe import PostgresMemory, errors, open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.testing.servers import PgBouncer

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.testing.servers import PostgresServer
    from lionagi_qe.testing.servers.pgbouncer import PoolMode

pytestmark = [pytest.mark.integration, pytest.mark.postgres]

HANDLES = 8


async def test_many_share_two_connections_and_nobody_gets_anothers_answer(
    server: PostgresServer,
) -> None:
    with PgBouncer(server, "transaction", settings={"default_pool_size": "2"}) as pooler:

        async def use(number: int) -> None:
            async with open_memory(pooler.url, fleet="shared", timeout=30) as memory:
                queue = WorkQueue(memory, f"queue-{number}")
                for turn in range(60):
                    key = f"aqe/own/{number}/{turn}"
                    _, job, sum_, *_ = await asyncio.gather(
                        memory.store(key, [number, turn]),
                        queue.put([number, turn]),
                        memory.increment(f"aqe/count/{number}"),
                        memory.increment("aqe/count/all"),
                        memory.list_keys(f"aqe/own/{number}/"),
                    )
                    assert sum_ == turn + 1
                    claimed, found = await asyncio.gather(
                        queue.claim(lease_ttl=30), memory.retrieve(key)
                    )
                    assert found == [number, turn]
                    assert [(got.id, got.payload) for got in claimed] == [(job, found)]
                    await claimed[0].ack()

        await asyncio.gather(*map(use, range(HANDLES)))
        async with open_memory(pooler.url, fleet="shared") as memory:
            assert await memory.retrieve("aqe/count/all") == HANDLES * 60


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "there"])
async def test_statement_mode_is_refused_on_opening_and_says_what_to_do(
    server: PostgresServer, is_new: bool
) -> None:
    with server.fresh_database() as url, PgBouncer(server, "statement") as pooler:
        if not is_new:
            async with open_memory(url):
                pass
        memory = open_memory(pooler.url_of(url))
        with pytest.raises(errors.ConfigurationError, match="pool_mode = transaction"):
            await memory.open()
        await memory.close()


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("gently", [True, False], ids=["stopped", "killed"])
async def test_a_restart_under_load_loses_nothing(
    server: PostgresServer, mode: PoolMode, gently: bool
) -> None:
    settings = {"default_pool_size": "20"}
    with PgBouncer(server, mode, settings=settings) as pooler:
        fleet = f"restart-{mode}-{gently}"
        async with open_memory(pooler.url, fleet=fleet, timeout=TIMEOUT) as memory:
            load = Load(memory)
            async with load():
                await load.goes_on()
                for _ in range(3):
                    await asyncio.to_thread(pooler.stop if gently else pooler.kill)
                    await asyncio.to_thread(pooler.start)
                    await load.goes_on()
            assert await load.losses() == {}
        assert load.tally.longest <= TIMEOUT + GRACE
        assert load.gaps == 0


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_a_server_that_restarts_behind_it_loses_nothing(
    own_postgres: Callable[..., PostgresServer], mode: PoolMode
) -> None:
    server = own_postgres()
    # Else it refuses all clients for 15 s after it found nobody once.
    with PgBouncer(server, mode, settings={"server_login_retry": "1"}) as pooler:
        async with open_memory(pooler.url, timeout=TIMEOUT) as memory:
            load = Load(memory)
            async with load():
                await load.goes_on()
                await asyncio.to_thread(server.restart)
                await load.goes_on()
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                await load.goes_on()
            assert await load.losses() == {}
        assert load.tally.longest <= TIMEOUT + GRACE


async def test_workers_are_woken_by_a_direct_connection(
    server: PostgresServer, pooler: Callable[[PoolMode], PgBouncer]
) -> None:
    bouncer = pooler("transaction")
    memory = PostgresMemory(bouncer.url, fleet="woken", listen_url=server.url)
    async with memory, open_memory(bouncer.url, fleet="woken") as other:
        done = asyncio.Event()

        async def note(job: object) -> None:
            done.set()

        queue = WorkQueue(memory, "woken")
        worker = asyncio.create_task(queue.work(note, signals=()))
        await WorkQueue(other, "woken").put(1)
        async with asyncio.timeout(20):
            await done.wait()
        queue.stop()
        await worker
