"""Q-values on real servers: steps on every kind of entry, and many processes that lose nothing."""

import asyncio
import multiprocessing
from pathlib import Path

import pytest

from lionagi_qe import open_memory
from lionagi_qe.errors import InvalidValueError
from lionagi_qe.learning.qtable import QTable
from lionagi_qe.learning.step import RateSchedule
from lionagi_qe.persistence.contract.operations import Learn, Learned

PROCESSES = 8
UPDATES = 400
RATE = RateSchedule(initial=0.001, power=0, floor=0)


def _update_often(url: str, fleet: str) -> None:
    async def update() -> None:
        async with open_memory(url, fleet=fleet, timeout=60) as memory:
            table = QTable(memory, "shared", rate=RATE)
            for _ in range(UPDATES):
                await table.update("state", "action", 3.0)

    asyncio.run(update())


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/q.db?synchronous=normal"
    return request.getfixturevalue(f"{request.param}_url")


@pytest.mark.slow
async def test_concurrent_updates_equal_the_sequential_result(url: str, tmp_path: Path) -> None:
    fleet = tmp_path.name[-20:].strip("_-.")
    # The schema is made before the processes race for it.
    async with open_memory(url, fleet=fleet) as memory:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        writers = [
            context.Process(target=_update_often, args=(url, fleet)) for _ in range(PROCESSES)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            await asyncio.to_thread(writer.join)
        assert [writer.exitcode for writer in writers] == [0] * PROCESSES
        value = await QTable(memory, "shared").value("state", "action")
    assert value.visits == PROCESSES * UPDATES
    assert value.q == pytest.approx(3.0 * (1 - 0.999 ** (PROCESSES * UPDATES)), abs=1e-9)


def step(key: str, *targets: float) -> Learn:
    return Learn(key, targets, start=0.25, initial=0.5, power=0.6, floor=0.05, partition="learned")


async def test_steps_keep_what_a_live_entry_has_and_begin_anew_where_none_is(
    url: str, tmp_path: Path
) -> None:
    async with open_memory(url, fleet=tmp_path.name[-20:].strip("_-.")) as memory:
        assert await memory.learn_many([step("aqe/q/a", 1.0)]) == [Learned(0.625, 1)]
        entry = await memory.entry("aqe/q/a")
        assert entry is not None
        assert (entry.partition, entry.expires_at) == ("learned", None)

        await memory.store("aqe/q/a", entry.value, ttl=100, partition="mine")
        second, fresh = await memory.learn_many([step("aqe/q/a", 1.0), step("aqe/q/b", 0.5)])
        assert (second.visits, fresh) == (2, Learned(0.375, 1))
        entry = await memory.entry("aqe/q/a")
        assert entry is not None
        assert (entry.partition, entry.value["visits"]) == ("mine", 2)
        assert entry.expires_at is not None

        await memory.delete("aqe/q/a")
        assert await memory.learn_many([step("aqe/q/a", 1.0)]) == [Learned(0.625, 1)]
        entry = await memory.entry("aqe/q/a")
        assert entry is not None
        assert (entry.partition, entry.expires_at) == ("learned", None)


async def test_a_step_on_what_was_not_learned_undoes_the_whole_batch(
    url: str, tmp_path: Path
) -> None:
    async with open_memory(url, fleet=tmp_path.name[-20:].strip("_-.")) as memory:
        await memory.learn_many([step("aqe/q/a", 1.0)])
        before = await memory.entry("aqe/q/a")
        await memory.store("aqe/q/b", {"something": "else"})
        with pytest.raises(InvalidValueError, match="aqe/q/b"):
            await memory.learn_many([step("aqe/q/a", 1.0), step("aqe/q/b", 1.0)])
        assert await memory.entry("aqe/q/a") == before
        assert await memory.retrieve("aqe/q/b") == {"something": "else"}
