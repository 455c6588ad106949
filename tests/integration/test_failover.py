"""What a server refuses for a while, as in a failover: calls wait, workers and leases go on."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from redis import exceptions

from lionagi_qe import Memory, errors, open_memory
from lionagi_qe.coordination import Lease, WorkQueue
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.postgres.server_errors import explain as explain_postgres
from lionagi_qe.persistence.redis.server_errors import explain as explain_redis
from lionagi_qe.persistence.transfer import Policy, Tally, copy
from lionagi_qe.testing.conformance.base import until
from lionagi_qe.testing.servers import available_redis_servers

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.coordination import Job
    from lionagi_qe.testing.faults import FaultProxy
    from lionagi_qe.testing.servers import PostgresServer, RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

REDIS = [server.flavour for server in available_redis_servers()]
# What a server may answer in a failover, and whether the memory knows that nothing was changed.
REDIS_ANSWERS = {
    "READONLY You can't write against a read only replica.": errors.BackendUnavailableError,
    "NOREPLICAS Not enough good replicas to write.": errors.BackendUnavailableError,
    "LOADING Redis is loading the dataset in memory": errors.BackendUnavailableError,
    "MASTERDOWN Link with MASTER is down": errors.BackendUnavailableError,
    "TRYAGAIN Multiple keys request during rehashing of slot": errors.BackendUnavailableError,
    "CLUSTERDOWN The cluster is down": errors.BackendUnavailableError,
    "BUSY Redis is busy running a script.": errors.BackendUnavailableError,
    "MISCONF Errors writing to the AOF file": errors.BackendUnavailableError,
    "OOM command not allowed when used memory > 'maxmemory'.": errors.BackendFullError,
}
POSTGRES_ERRORS = {
    "25006": errors.BackendUnavailableError,  # read_only_sql_transaction
    "40001": errors.BackendUnavailableError,  # serialization_failure
    "40P01": errors.BackendUnavailableError,  # deadlock_detected
    "53000": errors.BackendUnavailableError,  # insufficient_resources
    "53100": errors.BackendFullError,  # disk_full
    "53200": errors.BackendFullError,  # out_of_memory
    "53300": errors.BackendUnavailableError,  # too_many_connections
    "53400": errors.BackendFullError,  # configuration_limit_exceeded
    "55P03": errors.BackendUnavailableError,  # lock_not_available
    "57014": errors.BackendUnavailableError,  # query_canceled
    "57P01": errors.BackendUnavailableError,  # admin_shutdown
    "57P02": errors.BackendUnavailableError,  # crash_shutdown
    "57P03": errors.BackendUnavailableError,  # cannot_connect_now
    "57P05": errors.BackendUnavailableError,  # idle_session_timeout
}


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "in a script"])
@pytest.mark.parametrize("answer", REDIS_ANSWERS)
def test_every_answer_of_a_redis_failover_changed_nothing(answer: str, wrapped: bool) -> None:
    text = f"Error running script (call to f_1a2b): @user_script:235: @user_script: 235: -{answer}"
    error = explain_redis(exceptions.ResponseError(text if wrapped else answer), "Redis", sent=True)
    assert type(error) is REDIS_ANSWERS[answer]
    assert isinstance(error, errors.BackendUnavailableError)
    assert error.outcome == "not_applied"


@pytest.mark.parametrize("state", POSTGRES_ERRORS)
def test_every_error_of_a_postgresql_failover_changed_nothing(state: str) -> None:
    raised = asyncpg.PostgresError.new({"C": state, "M": "told by the server", "S": "ERROR"})
    error = explain_postgres(raised, "PostgreSQL", sent=True)
    assert type(error) is POSTGRES_ERRORS[state]
    assert isinstance(error, errors.BackendUnavailableError)
    assert error.outcome == "not_applied"


@pytest.mark.parametrize(
    ("severity", "state", "sent", "outcome"),
    [
        # A full disk: the server crashes while it logs a change, or can't open a session.
        ("PANIC", "53100", True, "unknown"),
        ("PANIC", "53100", False, "not_applied"),
        ("FATAL", "XX000", False, "not_applied"),
        ("FATAL", "57P01", True, "not_applied"),
    ],
)
def test_an_error_that_ends_the_server_or_the_session_is_an_outage(
    severity: str, state: str, sent: bool, outcome: str
) -> None:
    fields = {"C": state, "M": "told by the server", "S": severity, "V": severity}
    error = explain_postgres(asyncpg.PostgresError.new(fields), "PostgreSQL", sent=sent)
    assert isinstance(error, errors.BackendUnavailableError)
    assert error.outcome == outcome


@pytest.mark.parametrize(
    ("state", "said", "outcome"),
    [
        ("57P05", "terminating connection due to idle-session timeout", "not_applied"),
        ("57P01", "terminating connection due to administrator command", "not_applied"),
        ("08P01", "query_wait_timeout", "not_applied"),
        ("08P01", "server_lifetime", "unknown"),
    ],
)
def test_why_the_server_ended_a_session_in_the_middle_of_a_call_decides_on_its_outcome(
    state: str, said: str, outcome: str
) -> None:
    ended = asyncpg.ConnectionDoesNotExistError(f"closed in the middle of operation: {said}")
    fields = {"C": state, "M": said, "S": "FATAL", "V": "FATAL"}
    ended.__cause__ = asyncpg.PostgresError.new(fields)
    error = explain_postgres(ended, "PostgreSQL", sent=True)
    assert isinstance(error, errors.BackendUnavailableError)
    assert error.outcome == outcome


def test_the_table_of_outages_tells_what_each_of_them_means() -> None:
    text = (Path(__file__).parents[2] / "docs" / "memory.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if "not_applied |" in line]
    told = {
        code: re.findall(r"`(\w+Error)`", seen)
        for _, answers, seen, _ in rows
        for code in re.findall(r"`(\w+)`", answers)
    }
    known = {answer.split()[0]: kind for answer, kind in REDIS_ANSWERS.items()} | POSTGRES_ERRORS
    assert told == {code: [kind.__name__] for code, kind in known.items()}


class TestRefusedForAWhile:
    """Workers, leases and callers outlive a spell in which the server takes no changes."""

    @pytest.mark.parametrize("flavour", REDIS)
    async def test_redis_without_enough_replicas(
        self, own_redis: Callable[..., RedisServer], flavour: str
    ) -> None:
        server = own_redis(flavour, appendfsync=None)

        def refuse(now: bool) -> None:
            server.execute("CONFIG", "SET", "min-replicas-to-write", "1" if now else "0")

        await _outlives(server.url, refuse)

    @pytest.mark.parametrize("flavour", REDIS)
    async def test_redis_as_a_replica(
        self, own_redis: Callable[..., RedisServer], flavour: str
    ) -> None:
        first, second = (own_redis(flavour, appendfsync=None) for _ in range(2))

        def refuse(now: bool) -> None:
            # What it holds stays its own: the other takes it over first.
            words = ("127.0.0.1", str(first.port)) if now else ("NO", "ONE")
            if now:
                second.execute("REPLICAOF", "127.0.0.1", str(first.port))
                _wait_for_link(second)
                second.execute("REPLICAOF", "NO", "ONE")
                first.execute("REPLICAOF", "127.0.0.1", str(second.port))
            else:
                first.execute("REPLICAOF", *words)

        await _outlives(first.url, refuse)

    async def test_postgresql_that_is_read_only(
        self, own_postgres: Callable[..., PostgresServer]
    ) -> None:
        server = own_postgres()
        admin = await asyncpg.connect(server.url)
        name = await admin.fetchval("SELECT current_database()")
        loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[Any]] = []

        async def switch(now: bool) -> None:
            # A session is read-only from its start, so the ones of before have to end.
            await admin.execute("SET default_transaction_read_only = off")
            await admin.execute(
                f'ALTER DATABASE "{name}" SET default_transaction_read_only = {now}'
            )
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = $1 AND pid <> pg_backend_pid()",
                name,
            ) if now else None

        def refuse(now: bool) -> None:
            tasks.append(loop.create_task(switch(now)))

        try:
            await _outlives(server.url, refuse)
        finally:
            await asyncio.gather(*tasks)
            await admin.close()


@pytest.mark.parametrize("flavour", REDIS)
@pytest.mark.parametrize("how", ["a replica now", "without replicas"])
async def test_who_is_no_primary_any_more_is_left_for_who_is_at_the_address_now(
    own_redis: Callable[..., RedisServer], flavour: str, how: str
) -> None:
    server = own_redis(flavour, appendfsync=None)

    def refuse(now: bool) -> None:
        if how == "without replicas":
            server.execute("CONFIG", "SET", "min-replicas-to-write", "1" if now else "0")
        else:
            server.execute("REPLICAOF", *(("127.0.0.1", "1") if now else ("NO", "ONE")))

    def connections() -> set[str]:
        return {line.split()[0] for line in str(server.execute("CLIENT", "LIST")).splitlines()}

    async with open_memory(server.url) as memory:
        await memory.store("aqe/a", 1)
        before = connections()
        refuse(True)
        with pytest.raises(errors.BackendUnavailableError):
            await memory.store("aqe/a", 2, timeout=0.3)
        refuse(False)
        await memory.store("aqe/a", 3)
        assert before.isdisjoint(connections())


def test_a_pooler_of_statements_is_named_as_what_has_to_be_changed() -> None:
    raised = asyncpg.ProtocolViolationError(
        "transaction blocks not allowed in statement pooling mode"
    )
    error = explain_postgres(raised, "PostgreSQL", sent=False)
    assert isinstance(error, errors.ConfigurationError)
    assert "pool_mode = transaction" in str(error)


def _wait_for_link(server: RedisServer) -> None:
    import time

    deadline = time.monotonic() + 20
    while "master_link_status:up" not in str(server.execute("INFO", "replication")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def _outlives(url: str, refuse: Callable[[bool], None]) -> None:
    done: list[int] = []

    async def handler(job: Job) -> None:
        done.append(job.payload)

    async with open_memory(url, timeout=20) as memory:
        queue = WorkQueue(memory, "outlives")
        worker = asyncio.create_task(queue.work(handler, 2, signals=()))
        async with Lease(memory, "outlives", ttl=20) as lease:
            await queue.put(1)
            await until(lambda: _is(done, [1]))
            refuse(True)
            await until(lambda: _is_refused(memory))
            storing = asyncio.create_task(memory.store("aqe/a", "waited"))
            putting = asyncio.create_task(queue.put(2))
            await asyncio.sleep(0.5)
            assert not storing.done()
            assert not putting.done()
            refuse(False)
            await storing
            await putting
            await until(lambda: _is(done, [1, 2]))
            assert await memory.retrieve("aqe/a") == "waited"
            assert lease.held
            await memory.store("aqe/fenced", 1, fence=lease)
        assert not worker.done()
        queue.stop()
        await worker


async def _is(done: list[int], expected: list[int]) -> bool:
    return done == expected


async def _is_refused(memory: Memory) -> bool:
    try:
        await memory.store("aqe/probe", 1, timeout=0.2)
    except errors.BackendUnavailableError as error:
        return error.outcome == "not_applied"
    return False


class TestOutages:
    async def test_jobs_put_while_the_server_is_away_wait_as_stores_do(
        self, proxy: FaultProxy
    ) -> None:
        async with open_memory(proxy.url, fleet="away-put", timeout=20) as memory:
            queue = WorkQueue(memory, "away")
            await queue.put(0)
            proxy.refuse()
            proxy.reset()
            # Until the connections are known to be lost: what one carries is unknown.
            with pytest.raises(errors.BackendUnavailableError):
                await memory.retrieve("aqe/a", timeout=0.3)
            calls = [asyncio.create_task(queue.put(at)) for at in range(1, 9)]
            calls.append(asyncio.create_task(queue.put_many([9, 10])))
            calls.append(asyncio.create_task(memory.store("aqe/a", 1)))
            await asyncio.sleep(0.3)
            assert not any(call.done() for call in calls)
            proxy.pass_through()
            await asyncio.gather(*calls)
            assert (await queue.stats()).ready == 11

    @pytest.mark.parametrize("call", ["put", "put_many", "ack"])
    async def test_a_repeat_that_fails_does_not_deny_what_was_sent_first(
        self, proxy: FaultProxy, call: str
    ) -> None:
        async with open_memory(proxy.url, fleet=f"deny-{call}", timeout=3) as memory:
            queue = WorkQueue(memory, "denied")
            await queue.put("claimed")
            (job,) = await queue.claim(lease_ttl=60)
            calls = {
                "put": lambda: queue.put("sent", timeout=2),
                "put_many": lambda: queue.put_many(["sent"], timeout=2),
                "ack": lambda: job.ack("sent"),
            }
            proxy.blackhole("to_client")
            calling = asyncio.create_task(calls[call]())
            await asyncio.sleep(0.5)
            # The answer is lost, and the repeat finds nobody until the time is up.
            proxy.refuse()
            proxy.reset()
            with pytest.raises(errors.BackendUnavailableError) as caught:
                await calling
            assert caught.value.outcome == "unknown"
            proxy.pass_through()
            stats = await queue.stats()
            assert (stats.done if call == "ack" else stats.ready) == 1

    @pytest.mark.parametrize("policy", ["skip", "fail"])
    async def test_a_copy_counts_what_it_stored_though_the_answer_was_lost(
        self, proxy: FaultProxy, server_url: str, policy: Policy
    ) -> None:
        fleet = f"copied-{policy}"
        async with (
            open_memory("memory://") as source,
            open_memory(proxy.url, fleet=fleet, timeout=20) as target,
            open_memory(server_url, fleet=fleet) as direct,
        ):
            await source.store_many({f"aqe/k/{at}": at for at in range(20)})

            def lose_answers(tally: Tally) -> None:
                if tally.read == 10:
                    proxy.blackhole("to_client")

            async def all_there() -> bool:
                return len(await direct.list_keys("aqe/k/")) == 20

            copying = asyncio.create_task(
                copy(source, target, on_conflict=policy, page_size=10, progress=lose_answers)
            )
            await until(all_there)
            proxy.reset()
            proxy.pass_through()
            tally = await copying
            assert (tally.stored, tally.skipped) == (20, 0)


class TestFull:
    @pytest.mark.parametrize("flavour", REDIS)
    async def test_a_full_redis_lets_data_be_removed_and_jobs_be_done(
        self, own_redis: Callable[..., RedisServer], flavour: str
    ) -> None:
        server = own_redis(flavour, appendfsync=None, settings={"maxmemory-policy": "noeviction"})
        async with open_memory(server.url, timeout=2, cleanup_interval=None) as memory:
            queue = WorkQueue(memory, "full")
            await queue.put_many(["a", "b", "c"])
            (first,) = await queue.claim(lease_ttl=60)
            lease = Lease(memory, "full", ttl=60)
            await lease.acquire()
            await memory.store_many(
                {f"aqe/short/{at}": "x" * 1_000 for at in range(500)}, ttl=1, partition="short"
            )
            await memory.store_many({f"aqe/long/{at}": "x" * 1_000 for at in range(500)})
            server.execute("CONFIG", "SET", "maxmemory", "1mb")
            storing, deleting = await asyncio.gather(
                memory.store("aqe/more", "x" * 1_000),
                memory.delete("aqe/long/1"),
                return_exceptions=True,
            )
            assert isinstance(storing, errors.BackendFullError)
            assert storing.outcome == "not_applied"
            assert "maxmemory" in str(storing)
            assert deleting is True
            # A put that is refused does not keep endings from being carried out beside it.
            putting, _ = await asyncio.gather(
                queue.put("x" * 1_000, timeout=3), first.ack("done"), return_exceptions=True
            )
            assert isinstance(putting, errors.BackendFullError)
            (second,) = await queue.claim(lease_ttl=60)
            await second.fail("broken", retry=False)
            assert await queue.purge_dead() == 1
            assert await memory.retrieve("aqe/long/2") == "x" * 1_000
            assert await memory.delete_many(["aqe/long/2", "aqe/long/3"]) == 2
            await until(lambda: _has_expired(memory))
            await memory.cleanup_expired()
            assert (await memory.get_stats())["total_expired"] == 0
            assert await memory.clear_partition("default") == 497
            assert await lease.release()
            server.execute("CONFIG", "SET", "maxmemory", "0")
            await memory.store("aqe/more", 1)

    async def test_a_full_sqlite_file_is_read_and_cleared(self, tmp_path: Path) -> None:
        async with open_memory(f"sqlite:///{tmp_path}/full.db", timeout=3) as memory:
            await memory.store_many({f"aqe/a/{at}": "x" * 1_000 for at in range(200)})
            session: Any = parts_of(memory).backend.session
            await session.transact(lambda connection: connection.pragma("max_page_count", 10))
            with pytest.raises(errors.BackendFullError, match="make room"):
                await memory.store_many({f"aqe/b/{at}": "x" * 1_000 for at in range(200)})
            assert await memory.list_keys("aqe/b/") == []
            assert await memory.retrieve("aqe/a/1") == "x" * 1_000
            assert await memory.clear_partition("default") == 200
            await memory.store("aqe/b/1", "x")


async def _has_expired(memory: Memory) -> bool:
    return not await memory.exists("aqe/short/0")
