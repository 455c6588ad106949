"""Agents in processes of their own, working together through the memory: the specified patterns."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests import prefork, programs
from tests.backends import on, url_of

from lionagi_qe import Memory, errors, open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.learning.qtable import QTable
from lionagi_qe.persistence.transfer import compare, copy
from lionagi_qe.testing.conformance.base import erase, expire, until
from lionagi_qe.testing.factories import QualityDataFactory

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable

    from conftest import PerformanceTracker
    from lionagi_qe.testing.servers import PostgresServer, RedisServer

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

PROGRAMS = Path(__file__).with_name("agent_programs.py")


async def start(role: str, url: str, argument: str = "") -> Process:
    """Start an agent in a process of its own."""
    return await prefork.start("script", PROGRAMS, role, url, argument, flags=("-W", "error"))


async def outcome(process: Process) -> dict[str, Any]:
    """Wait until an agent is done and return what it found out."""
    return json.loads(await programs.finish(process))


async def play(role: str, url: str, argument: str = "") -> dict[str, Any]:
    """Run an agent to its end."""
    return await outcome(await start(role, url, argument))


async def dismiss(process: Process) -> dict[str, Any]:
    """Ask an agent politely to end, and return what it found out."""
    process.terminate()
    return await outcome(process)


async def ready(memory: Memory, workers: int) -> None:
    """Wait until so many workers can be asked to end."""

    async def all_ready() -> bool:
        return len(await memory.list_keys("aqe/ready/")) == workers

    await until(all_ready)


@pytest.fixture(params=on("postgresql", "redis"))
def url(request: pytest.FixtureRequest) -> str:
    """The URL of each server in turn."""
    return url_of(request)


@pytest_asyncio.fixture
async def memory(url: str) -> AsyncIterator[Memory]:
    """The memory that the agents of a test share, empty before and after."""
    async with open_memory(url) as memory:
        await erase(memory)
        yield memory
        await erase(memory)


class TestAgentsShareOneMemory:
    async def test_what_one_agent_stored_another_retrieves(self, memory: Memory, url: str) -> None:
        stored = await play("planner", url, "checkout")
        entry = await memory.entry("aqe/plans/checkout")
        assert entry is not None
        assert entry.revision == stored["revision"]
        assert entry.value["tests"][0] == "test_checkout_0"

    async def test_agents_hand_work_on_to_each_other(self, memory: Memory, url: str) -> None:
        """Analyzers start first, planners last: each waits for what it needs."""
        modules = ["cart", "search"]
        analyzers = [await start("analyzer", url, module) for module in modules]
        executors = [await start("executor", url, module) for module in modules]
        planners = [await start("planner", url, module) for module in modules]
        await asyncio.gather(*map(outcome, [*planners, *executors]))
        found = await asyncio.gather(*map(outcome, analyzers))
        assert found == [{"failed": [f"test_{module}_3"]} for module in modules]
        report = await memory.retrieve("aqe/report")
        assert report == {"cart": ["test_cart_3"], "search": ["test_search_3"]}

    async def test_agents_coordinate_at_a_high_frequency(
        self, memory: Memory, url: str, performance_tracker: PerformanceTracker
    ) -> None:
        agents, updates = 3, 1_000
        processes = [await start("counter", url, str(updates)) for _ in range(agents)]
        seconds = [found["seconds"] for found in await asyncio.gather(*map(outcome, processes))]
        rate = agents * updates * 2 / max(seconds)
        performance_tracker.rates["coordination"] = rate
        print(f"{agents} agents: {rate:,.0f} updates/s together")
        assert await memory.retrieve("aqe/shared/updates") == agents * updates
        assert len(await memory.list_keys("aqe/states/")) == 20

    async def test_of_many_agents_one_makes_what_all_wait_for(
        self, memory: Memory, url: str
    ) -> None:
        processes = [await start("computer", url, "map") for _ in range(4)]
        found = await asyncio.gather(*map(outcome, processes))
        assert [each["made"] for each in found].count(True) == 1
        assert [each["value"] for each in found] == [{"expensive": "map"}] * 4
        assert await memory.retrieve("aqe/cache/map/value") == {"expensive": "map"}

    async def test_leaders_follow_each_other_and_never_overlap(
        self, memory: Memory, url: str
    ) -> None:
        processes = [await start("leader", url, "5") for _ in range(3)]
        found = await asyncio.gather(*map(outcome, processes))
        tokens = sorted(token for each in found for token in each["tokens"])
        assert len(set(tokens)) == 15
        assert await memory.retrieve("aqe/led") == 15


class TestSessions:
    async def test_a_session_ends_as_one_when_its_time_is_over(self, memory: Memory) -> None:
        session = {f"aqe/sessions/s1/{name}": name for name in ("user", "plan", "state")}
        await memory.store_many(session, ttl=0.2, partition="session-1")
        await memory.store("aqe/sessions/s2/user", "stays")
        assert len(await memory.search("aqe/sessions/s1/*")) == 3
        await expire(memory, *session)
        assert await memory.search("aqe/sessions/*") == {"aqe/sessions/s2/user": "stays"}

    async def test_a_session_can_be_prolonged_and_ended_early(self, memory: Memory) -> None:
        await memory.store_many({"aqe/s/a": 1, "aqe/s/b": 2}, ttl=1, partition="session-2")
        for key in ("aqe/s/a", "aqe/s/b"):
            assert await memory.touch(key, 600)
        await memory.store("aqe/mark", 1, ttl=1.1)
        await expire(memory, "aqe/mark")
        assert len(await memory.list_keys(partition="session-2")) == 2
        assert await memory.clear_partition("session-2") == 2


class TestLearningPersists:
    async def test_a_process_goes_on_where_another_stopped(self, memory: Memory, url: str) -> None:
        first = await play("learner", url, "20")
        second = await play("learner", url, "20")
        async with open_memory("memory://") as private:
            whole = await self._learn(private, 40)
        assert first["choices"] + second["choices"] == whole["choices"]
        assert second["table"] == whole["table"]
        assert await memory.list_keys("aqe/learning/")

    @staticmethod
    async def _learn(memory: Memory, episodes: int) -> dict[str, Any]:
        """Do what the learner does, in this process and without a break."""
        table = QTable(memory, "strategist", seed=7)
        choices: list[str] = []
        for _ in range(episodes):
            action = await table.choose("few failures", ["rerun", "reorder"])
            choices.append(action)
            await table.learn("few failures", action, 1.0 if action == "reorder" else 0.2)
        return {"choices": choices, "table": await table.export()}

    async def test_agents_that_learn_at_once_lose_no_visit(self, memory: Memory, url: str) -> None:
        processes = [await start("learner", url, "30") for _ in range(3)]
        await asyncio.gather(*map(outcome, processes))
        values = await QTable(memory, "strategist").values("few failures")
        assert sum(value.visits for value in values.values()) == 90


class TestWorkQueue:
    async def test_workers_share_the_jobs_and_every_effect_is_there_once(
        self, memory: Memory, url: str
    ) -> None:
        queue = WorkQueue(memory, "tests")
        workers = [await start("worker", url, f"w{at}") for at in range(3)]
        ids = await queue.put_many(range(200))
        results = await asyncio.gather(*(queue.result(job, timeout=60) for job in ids))
        await ready(memory, 3)
        done = [each["done"] for each in await asyncio.gather(*map(dismiss, workers))]
        assert sorted(job for each in done for job in each) == list(range(200))
        assert {result["by"] for result in results} <= {"w0", "w1", "w2"}
        effects = await memory.search("aqe/effects/*")
        assert set(effects.values()) == {1}
        assert len(effects) == 200

    async def test_the_job_of_a_worker_that_died_is_done_by_another(
        self, memory: Memory, url: str
    ) -> None:
        queue = WorkQueue(memory, "tests")
        job = await queue.put(42)
        victim = await start("stuck", url)
        assert victim.stdout is not None
        assert json.loads(await victim.stdout.readline()) == {"claimed": 42}
        victim.send_signal(signal.SIGKILL)
        await victim.communicate()
        rescuer = await start("worker", url, "rescuer")
        assert await queue.result(job, timeout=60) == {"by": "rescuer"}
        await ready(memory, 1)
        await dismiss(rescuer)
        assert await memory.retrieve("aqe/effects/00042") == 1


class TestFleetCommander:
    async def test_a_run_keeps_its_results_in_the_shared_memory_and_remembers_them(
        self, memory: Memory, url: str, tmp_path: Path
    ) -> None:
        project = tmp_path / "shop"
        (project / "tests").mkdir(parents=True)
        (project / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
        (project / "shop.py").write_text("def price(n):\n    return 2 * n if n else 0\n")
        (project / "tests" / "test_shop.py").write_text(
            "from shop import price\n\n\ndef test_price():\n    assert price(2) == 4\n"
        )
        first = await self._run(project, url)
        assert (first["code"], first["passed"]) == (0, 1)
        assert await memory.list_keys("aqe/runs/shop/")
        with (project / "tests" / "test_shop.py").open("a") as tests:
            tests.write("\n\ndef test_free():\n    assert price(0) == 1\n")
        second = await self._run(project, url)
        assert second["code"] == 1
        assert "test_free" in second["output"]
        history = await memory.search("aqe/tests/shop/*")
        assert any("test_free" in key for key in history)

    @staticmethod
    async def _run(project: Path, url: str) -> dict[str, Any]:
        process = await programs.start(
            *(*programs.AQE, "run", project, "--memory", url, "--json", "--quiet"),
            *("--agents", "test-executor,coverage-analyzer,quality-gate"),
        )
        output, _ = await process.communicate()
        text = output.decode()
        metrics = {metric["name"]: metric["value"] for metric in json.loads(text)["metrics"]}
        return {"code": process.returncode, "output": text, "passed": metrics["tests_passed"]}


@pytest.mark.postgres
@pytest.mark.redis
class TestTwoBackends:
    async def test_a_migration_from_redis_to_postgresql_and_back_keeps_everything(
        self, redis_url: str, postgres_url: str
    ) -> None:
        factory = QualityDataFactory(seed=5)
        async with (
            open_memory(redis_url, fleet="migrate-from") as source,
            open_memory(postgres_url, fleet="migrate-over") as middle,
            open_memory(redis_url, fleet="migrate-to") as target,
        ):
            for each in (source, middle, target):
                await erase(each)
            runs = {f"aqe/runs/{at:04}": factory.run() for at in range(300)}
            await source.store_many(runs, partition="runs")
            await source.store_many({f"aqe/temp/{at}": at for at in range(20)}, ttl=3_000)
            await copy(source, middle)
            await copy(middle, target)
            assert (await compare(source, target)).equal
            assert await target.search("aqe/runs/*", partition="runs") == runs
            entry, original = await target.entry("aqe/temp/7"), await source.entry("aqe/temp/7")
            assert entry is not None
            assert original is not None
            assert entry.expires_at is not None
            assert original.expires_at is not None
            assert abs((entry.expires_at - original.expires_at).total_seconds()) < 1
            for each in (source, middle, target):
                await erase(each)

    async def test_a_durable_memory_behind_a_cache_serves_both(
        self, redis_url: str, postgres_url: str
    ) -> None:
        async with (
            open_memory(postgres_url, fleet="hybrid", cache=redis_url) as hybrid,
            open_memory(postgres_url, fleet="hybrid") as durable,
        ):
            await erase(durable)
            await hybrid.store("aqe/a", {"from": "hybrid"})
            assert await durable.retrieve("aqe/a") == {"from": "hybrid"}
            assert await hybrid.retrieve("aqe/a") == {"from": "hybrid"}
            await durable.store("aqe/a", {"from": "durable"})

            async def sees_it() -> bool:
                return await hybrid.retrieve("aqe/a") == {"from": "durable"}

            await until(sees_it)
            await erase(durable)

    async def test_backends_and_fleets_are_apart(self, redis_url: str, postgres_url: str) -> None:
        async with (
            open_memory(redis_url, fleet="apart-a") as one,
            open_memory(redis_url, fleet="apart-b") as two,
            open_memory(postgres_url, fleet="apart-a") as three,
        ):
            memories = (one, two, three)
            for at, each in enumerate(memories):
                await each.store("aqe/who", at)
            assert [await each.retrieve("aqe/who") for each in memories] == [0, 1, 2]
            for each in memories:
                assert await each.list_keys() == ["aqe/who"]
                await each.delete("aqe/who")


class TestResilience:
    @pytest.mark.postgres
    async def test_agents_get_over_a_crash_of_postgresql(
        self, own_postgres: Callable[..., PostgresServer]
    ) -> None:
        await self._crash(await asyncio.to_thread(own_postgres))

    @pytest.mark.redis
    async def test_agents_get_over_a_crash_of_redis(
        self, own_redis: Callable[..., RedisServer]
    ) -> None:
        await self._crash(await asyncio.to_thread(own_redis, appendfsync="always"))

    @staticmethod
    async def _crash(server: PostgresServer | RedisServer) -> None:
        async with open_memory(server.url, timeout=30) as memory:
            queue = WorkQueue(memory, "tests", max_attempts=50)
            workers = [await start("worker", server.url, f"w{at}") for at in range(2)]
            await ready(memory, 2)
            ids = await queue.put_many(range(300))

            async def under_way() -> bool:
                return len(await memory.list_keys("aqe/effects/")) > 20

            await until(under_way)
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.start)
            for job in ids:
                await queue.result(job, timeout=90)
            await asyncio.gather(*map(dismiss, workers))
            effects = await memory.search("aqe/effects/*")
            assert len(effects) == 300
            # A job whose end the crash took was done again; none was left out.
            assert min(effects.values()) == 1

    async def test_a_wrong_call_of_one_agent_leaves_the_others_alone(
        self, memory: Memory, url: str
    ) -> None:
        healthy = await start("counter", url, "200")
        for value in ({1, 2}, float("nan"), b"bytes"):
            with pytest.raises(errors.InvalidValueError):
                await memory.store("aqe/states/0", value)
        with pytest.raises(errors.InvalidKeyError):
            await memory.store("states", 1)
        await outcome(healthy)
        assert await memory.retrieve("aqe/shared/updates") == 200
