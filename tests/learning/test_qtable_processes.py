"""Many processes update one Q-value of a real server and lose nothing."""

import asyncio
import multiprocessing
from pathlib import Path

import pytest

from lionagi_qe import open_memory
from lionagi_qe.learning.qtable import QTable
from lionagi_qe.learning.step import RateSchedule

PROCESSES = 8
UPDATES = 1_000
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
        context = multiprocessing.get_context("spawn")
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
