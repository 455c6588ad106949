import asyncio
import multiprocessing
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lionagi_qe import InvalidArgumentError, Memory, open_memory
from lionagi_qe.learning.bandit import Bandit
from lionagi_qe.learning.errors import LearningStateError
from lionagi_qe.learning.names import name_of, segment
from lionagi_qe.learning.qtable import Exploration, QTable, QUpdate
from lionagi_qe.learning.step import LearnedValue, RateSchedule

HALF = RateSchedule(initial=0.5, power=0)
SMALL = RateSchedule(initial=0.01, power=0, floor=0)


@pytest.fixture
async def memory() -> AsyncIterator[Memory]:
    async with open_memory("memory://") as opened:
        yield opened


async def test_an_update_moves_the_value_and_counts_the_visit(memory: Memory) -> None:
    table = QTable(memory, "flaky-hunter", rate=HALF)
    assert await table.value("few failures", "rerun 5") == LearnedValue(0.0, 0)
    assert await table.update("few failures", "rerun 5", 1.0) == LearnedValue(0.5, 1)
    assert await table.update("few failures", "rerun 5", 1.0) == LearnedValue(0.75, 2)
    assert await memory.retrieve("aqe/learning/q/flaky-hunter/few failures/rerun 5") == {
        "schema": 1,
        "q": 0.75,
        "visits": 2,
    }


async def test_a_batch_applies_duplicates_in_the_order_of_the_call(memory: Memory) -> None:
    table = QTable(memory, "a", rate=HALF)
    await table.update_many([QUpdate("s", "x", 1.0), QUpdate("s", "y", 4.0), QUpdate("s", "x", 0)])
    assert await table.values("s") == {"x": LearnedValue(0.25, 2), "y": LearnedValue(2.0, 1)}


async def test_a_batch_with_an_entry_that_is_no_value_changes_nothing(memory: Memory) -> None:
    table = QTable(memory, "a")
    await memory.store(table.key("s", "y"), "not a value")
    with pytest.raises(LearningStateError, match="holds no learned value"):
        await table.update_many([QUpdate("s", "x", 1.0), QUpdate("s", "y", 1.0)])
    assert await table.value("s", "x") == LearnedValue()


async def test_a_value_of_a_newer_schema_is_refused(memory: Memory) -> None:
    table = QTable(memory, "a")
    await memory.store(table.key("s", "x"), {"schema": 2, "q": [0.5]})
    with pytest.raises(LearningStateError, match="schema 2"):
        await table.value("s", "x")


async def test_concurrent_updates_of_one_process_lose_nothing(memory: Memory) -> None:
    table = QTable(memory, "a", rate=HALF)
    await asyncio.gather(*(table.update("s", "x", 1.0) for _ in range(50)))
    assert await table.value("s", "x") == LearnedValue(1 - 0.5**50, 50)


def _update_often(url: str, times: int) -> None:
    async def update() -> None:
        async with open_memory(url) as memory:
            table = QTable(memory, "shared", rate=SMALL)
            for _ in range(times):
                await table.update("s", "x", 3.0)

    asyncio.run(update())


async def test_processes_that_update_one_value_lose_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/q.db?synchronous=normal"
    async with open_memory(url) as memory:
        table = QTable(memory, "shared")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        writers = [context.Process(target=_update_often, args=(url, 50)) for _ in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            await asyncio.to_thread(writer.join)
        assert [writer.exitcode for writer in writers] == [0] * 4
        value = await table.value("s", "x")
    assert value.visits == 200
    assert value.q == pytest.approx(3.0 * (1 - 0.99**200), abs=1e-9)


async def test_q_learning_adds_the_discounted_best_of_the_next_state(memory: Memory) -> None:
    table = QTable(memory, "a", rate=RateSchedule(power=0), discount=0.5)
    await table.update("late", "good", 4.0)
    await table.update("late", "bad", -4.0)
    assert (await table.learn("early", "go", 1.0, "late")).q == 3.0
    assert (await table.learn("early", "stop", 1.0)).q == 1.0


async def test_choices_settle_on_the_best_action_and_repeat_for_equal_seeds(
    memory: Memory,
) -> None:
    table = QTable(memory, "a", exploration=Exploration(floor=0.0), seed=3)
    actions = ["rerun 3", "rerun 10"]
    for _ in range(60):
        action = await table.choose("s", actions)
        assert action == await QTable(
            memory, "a", exploration=Exploration(floor=0.0), seed=3
        ).choose("s", actions)
        await table.update("s", action, 1.0 if action == "rerun 10" else 0.1)
    visits = {action: value.visits for action, value in (await table.values("s")).items()}
    assert visits["rerun 10"] > 2 * visits["rerun 3"]


async def test_a_process_that_takes_over_decides_as_an_uninterrupted_one(tmp_path: Path) -> None:
    async def decide(path: Path, *, restart: bool) -> list[str]:
        url = f"sqlite:///{path}"
        memory, choices = open_memory(url), []
        for turn in range(30):
            if restart and turn % 7 == 0:
                await memory.close()
                memory = open_memory(url)
            bandit = Bandit(memory, "mutants", seed=5)
            choices.append(await bandit.choose(["swap", "drop", "negate"]))
            await bandit.update(choices[-1], 1.0 if choices[-1] == "negate" else 0.0)
        await memory.close()
        return choices

    steady = await decide(tmp_path / "steady.db", restart=False)
    assert await decide(tmp_path / "restarted.db", restart=True) == steady


@pytest.mark.parametrize("strategy", ["thompson", "ucb"])
async def test_a_bandit_pulls_the_arm_that_pays_most(memory: Memory, strategy: str) -> None:
    bandit = Bandit(memory, "m", strategy=strategy)
    for _ in range(80):
        arm = await bandit.choose(["poor", "rich"])
        await bandit.update(arm, 0.9 if arm == "rich" else 0.1)
    arms = await bandit.arms()
    assert arms["rich"].visits > 3 * arms["poor"].visits
    assert arms["rich"].q == pytest.approx(0.9)


async def test_an_arm_never_pulled_is_first_under_the_upper_bound(memory: Memory) -> None:
    bandit = Bandit(memory, "m", strategy="ucb")
    await bandit.update_many([("known", 1.0), ("known", 1.0)])
    assert await bandit.rank(["known", "new"]) == ["new", "known"]


async def test_exports_restore_into_another_memory_and_reset_forgets(memory: Memory) -> None:
    table = QTable(memory, "a")
    await table.update_many([QUpdate("50% / half", "go/on", 1.0), QUpdate("é", "x", 0.5)])
    exported = await table.export()
    assert exported["states"]["50% / half"] == {"go/on": {"q": 1.0, "visits": 1}}
    async with open_memory("memory://") as other:
        copy = QTable(other, "a")
        assert await copy.restore(exported) == 2
        assert await copy.export() == exported
    assert await table.reset() == 2
    assert (await table.export())["states"] == {}


@pytest.mark.parametrize("wrong", [{}, {"schema": 9, "states": {"s": {"a": {}}}}, {"states": 3}])
async def test_what_is_no_export_is_refused(memory: Memory, wrong: dict[str, object]) -> None:
    with pytest.raises(LearningStateError):
        await QTable(memory, "a").restore(wrong)


async def test_tables_whose_names_start_alike_are_apart(memory: Memory) -> None:
    await QTable(memory, "agent").update("s", "x", 1.0)
    await QTable(memory, "agent-2").update("s", "x", 1.0)
    assert await QTable(memory, "agent").reset() == 1


@pytest.mark.parametrize("name", ["plain", "a/b", "100%", "%2F", "line\nbreak", "é *?[]_"])
def test_names_survive_in_keys(name: str) -> None:
    assert name_of(segment(name)) == name
    assert "/" not in segment(name)


async def test_wrong_arguments_are_refused(memory: Memory) -> None:
    with pytest.raises(InvalidArgumentError, match="no action"):
        await QTable(memory, "a").choose("s", [])
    with pytest.raises(InvalidArgumentError, match="no arm"):
        await Bandit(memory, "a").choose([])
    with pytest.raises(InvalidArgumentError, match="from 0 to 1"):
        await Bandit(memory, "a").update("arm", 1.5)
    with pytest.raises(InvalidArgumentError, match="discount"):
        QTable(memory, "a", discount=2)
    with pytest.raises(InvalidArgumentError, match="non-empty"):
        await QTable(memory, "a").update("", "x", 1.0)
    with pytest.raises(InvalidArgumentError, match="initial"):
        RateSchedule(initial=0)


def test_rates_fall_with_visits_down_to_their_floor() -> None:
    rate = RateSchedule(initial=1.0, power=1.0, floor=0.1)
    assert [rate.at(visits) for visits in (0, 1, 9, 99)] == [1.0, 0.5, 0.1, 0.1]
