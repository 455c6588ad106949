"""Changes of which a part was applied and the rest refused: never told to have changed nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lionagi_qe import errors, open_memory
from lionagi_qe.coordination import Lease
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.testing.servers import RedisCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lionagi_qe.persistence import Memory
    from lionagi_qe.testing.servers import PostgresServer, RedisServer

pytestmark = pytest.mark.integration
KEYS = [f"aqe/part/{at}" for at in range(60)]
# Of one batch of clear_partition, and a few more.
MANY = 1_200
# Seconds, for calls that are to be refused alone: others may take longer on a busy machine.
REFUSED_WITHIN = 2


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    """One whose nodes refuse changes at will."""
    with RedisCluster() as cluster:
        yield cluster


@pytest.mark.redis
class TestRedisCluster:
    @pytest.fixture
    def refuse(self, cluster: RedisCluster) -> Iterator[Callable[[], None]]:
        """A function by which one of the shards takes no changes until the test's end."""

        def become(replicas: str) -> None:
            cluster.nodes[0].execute("CONFIG", "SET", "min-replicas-to-write", replicas)

        yield lambda: become("1")
        become("0")

    @pytest.mark.parametrize("options", ["", "?wait_replicas=1"])
    async def test_a_batch_that_one_shard_refuses_is_unknown(
        self, cluster: RedisCluster, refuse: Callable[[], None], options: str
    ) -> None:
        async with open_memory(cluster.url, fleet=f"batch{len(options)}") as memory:
            await memory.store_many(dict.fromkeys(KEYS, "before"))
        refuse()
        async with open_memory(f"{cluster.url}{options}", fleet=f"batch{len(options)}") as memory:
            with pytest.raises(errors.OutcomeUnknownError):
                await memory.store_many(dict.fromkeys(KEYS, "after"), timeout=REFUSED_WITHIN)
            found = {*(await memory.retrieve_many(KEYS)).values()}
            assert found == {"before", "after"}

    async def test_a_batch_that_all_its_shards_refuse_changed_nothing(
        self, cluster: RedisCluster, refuse: Callable[[], None]
    ) -> None:
        async with open_memory(cluster.url, fleet="whole") as memory:
            refuse()
            refused: list[str] = []
            for key in KEYS:
                try:
                    await memory.store(key, "after", timeout=0.1)
                except errors.BackendUnavailableError:
                    refused.append(key)
            assert 0 < len(refused) < len(KEYS)
            with pytest.raises(errors.BackendUnavailableError) as caught:
                await memory.store_many(dict.fromkeys(refused, "again"), timeout=3)
            assert caught.value.outcome == "not_applied"
            assert await memory.retrieve_many(refused) == {}

    async def test_a_partition_that_is_cleared_in_some_shards_is_unknown(
        self, cluster: RedisCluster, refuse: Callable[[], None]
    ) -> None:
        async with open_memory(cluster.url, fleet="cleared") as memory:
            await memory.store_many(dict.fromkeys(KEYS, 1), partition="p")
            refuse()
            with pytest.raises(errors.OutcomeUnknownError):
                await memory.clear_partition("p", timeout=REFUSED_WITHIN)
            assert 0 < len(await memory.list_keys("aqe/part/")) < len(KEYS)

    async def test_a_lease_that_not_all_shards_know_is_unknown(
        self, cluster: RedisCluster, refuse: Callable[[], None]
    ) -> None:
        async with open_memory(cluster.url, fleet="leased") as memory:
            refuse()

            async def outcome_of(name: str) -> str:
                with pytest.raises(errors.BackendUnavailableError) as caught:
                    await parts_of(memory).leases.acquire(
                        name, "me#1", 30_000, timeout=REFUSED_WITHIN
                    )
                return caught.value.outcome

            seen: set[tuple[str, bool]] = set()
            for attempt in range(5):
                names = [f"{attempt}-{at}" for at in range(12)]
                for name, outcome in zip(
                    names, await asyncio.gather(*map(outcome_of, names)), strict=True
                ):
                    seen.add((outcome, await Lease(memory, name).state() is not None))
                if {("not_applied", False), ("unknown", True)} <= seen:
                    break
            # Where the home shard refused, nothing was changed; else somebody holds it. On a busy
            # machine a refusal may come too late to be known.
            assert {("not_applied", False), ("unknown", True)} <= seen
            assert ("not_applied", True) not in seen


class TestClearedInBatches:
    """The server refuses once the first batch has been cleared."""

    @staticmethod
    async def _clear(memory: Memory, refuse: Callable[[], object]) -> None:
        await memory.store_many({f"aqe/p/{at:04}": 1 for at in range(600)}, partition="p")
        await memory.store_many({f"aqe/p/{at:04}": 1 for at in range(600, MANY)}, partition="p")
        refuse()
        with pytest.raises(errors.OutcomeUnknownError, match="part of the change"):
            await memory.clear_partition("p", timeout=2)
        assert await memory.list_keys("aqe/p/") == [f"aqe/p/{at:04}" for at in range(1_000, MANY)]

    async def test_postgresql(self, own_postgres: Callable[..., PostgresServer]) -> None:
        server = own_postgres()
        async with open_memory(server.url, cleanup_interval=None) as memory:
            trigger = """
                CREATE FUNCTION lionagi_qe.refuse() RETURNS trigger LANGUAGE plpgsql AS $body$
                BEGIN
                    IF OLD.key = 'aqe/p/1100' THEN
                        RAISE EXCEPTION 'not now' USING ERRCODE = 'admin_shutdown';
                    END IF;
                    RETURN NEW;
                END $body$;
            """
            on = (
                "CREATE TRIGGER refuse BEFORE UPDATE ON lionagi_qe.entries "
                "FOR EACH ROW EXECUTE FUNCTION lionagi_qe.refuse()"
            )
            await self._clear(memory, lambda: [*map(server.execute, (trigger, on))])

    async def test_redis(
        self, own_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = own_redis(appendfsync=None)
        async with open_memory(server.url, cleanup_interval=None) as memory:
            session = parts_of(memory).backend.session
            run, calls = session.run, 0

            async def refuse_the_second(*words: object, mutates: bool) -> object:
                nonlocal calls
                calls += mutates
                server.execute("CONFIG", "SET", "min-replicas-to-write", "1" if calls == 2 else "0")
                return await run(*words, mutates=mutates)

            await self._clear(
                memory, lambda: monkeypatch.setattr(session, "run", refuse_the_second)
            )

    async def test_sqlite(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        async with open_memory(f"sqlite:///{tmp_path}/a.db", cleanup_interval=None) as memory:
            session = parts_of(memory).backend.session
            transact, calls = session.transact, 0

            async def full_at_the_second(step: Callable[..., object]) -> object:
                nonlocal calls
                calls += 1
                if calls == 2:
                    raise errors.BackendFullError("no room")
                return await transact(step)

            await self._clear(
                memory, lambda: monkeypatch.setattr(session, "transact", full_at_the_second)
            )
