from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from lionagi_qe import InvalidArgumentError, Memory, open_memory
from lionagi_qe.learning.errors import LearningStateError
from lionagi_qe.learning.history import Candidate, Cycle, Outcome
from lionagi_qe.learning.ordering import TestOrder, TestOrdering, projects
from lionagi_qe.learning.shadow import Decision, Scores, summarise, who_should_act
from lionagi_qe.learning.synthetic import synthetic_history

SUITE = [Candidate(f"tests/test_shop.py::test_{number}", 1.0) for number in range(40)]


@pytest.fixture
async def memory() -> AsyncIterator[Memory]:
    async with open_memory("memory://") as opened:
        yield opened


def _names(decided: TestOrder) -> list[str]:
    return [decided.candidates[index].name for index in decided.order]


def _outcomes(suite: list[Candidate], *failing: str) -> list[Outcome]:
    return [Outcome(test.name, test.name in failing) for test in suite]


def _outcomes_of(cycle: Cycle) -> list[Outcome]:
    return [
        Outcome(test.name, failed)
        for test, failed in zip(cycle.candidates, cycle.failed, strict=True)
    ]


async def test_a_regression_in_changed_code_is_found_early_after_quiet_runs(
    memory: Memory,
) -> None:
    ordering = TestOrdering(memory, "shop")
    for _ in range(10):
        await ordering.settle(await ordering.decide(SUITE), _outcomes(SUITE))
    broken = SUITE[31].name
    change = [Candidate(test.name, 1.0, touched=float(test.name == broken)) for test in SUITE]
    decided = await ordering.decide(change)
    assert _names(decided).index(broken) < 3
    await ordering.settle(decided, _outcomes(SUITE, broken))
    assert _names(await ordering.decide(SUITE))[0] == broken


async def test_a_new_process_decides_as_an_uninterrupted_one(tmp_path: Path) -> None:
    async def decide(path: Path, *, restart: bool) -> list[list[str]]:
        memory, orders = open_memory(f"sqlite:///{path}"), []
        for cycle in synthetic_history("persistent", seed=4, cycles=15):
            if restart and cycle.number % 4 == 0:
                await memory.close()
                memory = open_memory(f"sqlite:///{path}")
            ordering = TestOrdering(memory, "shop", seed=9)
            decided = await ordering.decide(cycle.candidates, cycle.duration / 2)
            orders.append(_names(decided))
            await ordering.settle(decided, _outcomes_of(cycle))
        await memory.close()
        return orders

    steady = await decide(tmp_path / "steady.db", restart=False)
    assert await decide(tmp_path / "restarted.db", restart=True) == steady


async def test_how_the_candidates_are_listed_does_not_matter(memory: Memory) -> None:
    ordering = TestOrdering(memory, "shop")
    shuffled = Random(1).sample(SUITE, len(SUITE))
    assert _names(await ordering.decide(SUITE)) == _names(await ordering.decide(shuffled))


async def test_each_decision_is_logged_with_what_the_heuristic_would_have_done(
    memory: Memory,
) -> None:
    ordering = TestOrdering(memory, "shop")
    decided = await ordering.decide(SUITE)
    (logged,) = await ordering.decisions()
    assert logged.ran is None
    assert logged.learned == tuple(_names(decided)[:20])
    assert sorted(decided.heuristic) == list(range(40))
    await ordering.settle(decided, _outcomes(SUITE, SUITE[0].name))
    (logged,) = await ordering.decisions()
    assert (logged.ran, logged.failed) == (40, 1)
    assert logged.scores is not None
    assert logged.scores.optimal == pytest.approx(1 - 1 / 40 + 1 / 80)
    place = decided.learned.index(0) + 1
    assert logged.scores.learned == pytest.approx(1 - place / 40 + 1 / 80)


async def test_scores_are_of_the_tests_that_ran(memory: Memory) -> None:
    ordering = TestOrdering(memory, "shop")
    decided = await ordering.decide(SUITE)
    ran = [decided.candidates[index] for index in decided.order[:2]]
    await ordering.settle(decided, _outcomes(ran, ran[1].name))
    (logged,) = await ordering.decisions()
    assert logged.scores is not None
    assert logged.scores.learned == pytest.approx(1 - 2 / 2 + 1 / 4)


async def test_a_decision_is_settled_once(memory: Memory) -> None:
    ordering = TestOrdering(memory, "shop")
    decided = await ordering.decide(SUITE)
    await ordering.settle(decided, _outcomes(SUITE))
    with pytest.raises(InvalidArgumentError, match="settled before"):
        await ordering.settle(decided, _outcomes(SUITE))
    assert (await ordering.policy()).cycles == 1
    await ordering.reset()
    with pytest.raises(InvalidArgumentError, match="not in the log"):
        await ordering.settle(decided, _outcomes(SUITE))


async def test_an_order_that_is_worse_for_long_is_switched_off_and_says_so(
    memory: Memory,
) -> None:
    """The adversary breaks what the heuristic ranks higher than the learned order does."""
    ordering, rng = TestOrdering(memory, "shop"), Random(2)
    reasons: list[str] = []
    while not reasons:
        decided = await ordering.decide(SUITE)
        assert decided.order == decided.learned
        assert decided.number <= 100
        behind = [
            SUITE[index].name
            for index in range(40)
            if decided.learned.index(index) > decided.heuristic.index(index)
        ]
        reason = await ordering.settle(
            decided, _outcomes(SUITE, *(behind or rng.sample([test.name for test in SUITE], 8)))
        )
        reasons += [reason] if reason else []
    assert reasons[0].startswith("the learned order was worse than the heuristic")
    assert await ordering.switched_because() == reasons[0]
    assert (await ordering.report()).verdict == "worse"
    decided = await ordering.decide(SUITE)
    assert decided.acting == "heuristic"
    assert decided.order == decided.heuristic


def _scored(*pairs: tuple[float, float]) -> list[Decision]:
    return [
        Decision(number, "learned", 9, ("a",), ("a",), 9, 1, Scores(learned, heuristic, 0.5, 0.95))
        for number, (learned, heuristic) in enumerate(pairs, start=1)
    ]


def test_the_learned_order_acts_again_once_it_is_better() -> None:
    better = _scored(*[(0.8, 0.6), (0.7, 0.6)] * 10)
    assert who_should_act("heuristic", better)[0] == "learned"
    assert who_should_act("learned", better) == ("learned", None)


def test_nothing_is_switched_on_little_or_mixed_evidence() -> None:
    assert who_should_act("learned", _scored(*[(0.1, 0.9)] * 19)) == ("learned", None)
    mixed = _scored(*[(0.8, 0.6), (0.6, 0.8)] * 10)
    assert who_should_act("learned", mixed) == ("learned", None)
    assert who_should_act("heuristic", mixed) == ("heuristic", None)


def test_a_tie_is_called_a_tie() -> None:
    tie = summarise(_scored(*[(0.8, 0.6), (0.6, 0.8)] * 20))
    assert tie.verdict == "no difference"
    assert tie.orders["random"].mean == 0.5
    assert summarise(_scored((0.8, 0.6))).verdict == "too few decisions"
    assert summarise([]).verdict == "too few decisions"
    assert summarise(_scored(*[(0.8, 0.6)] * 9)).verdict == "better"


async def test_a_logged_decision_that_can_not_be_read_is_refused(memory: Memory) -> None:
    ordering = TestOrdering(memory, "shop")
    await ordering.decide(SUITE)
    (key,) = await memory.list_keys("aqe/learning/order/shop/log/")
    for wrong in ({"schema": 7}, {"schema": 1, "number": "first"}):
        await memory.store(key, wrong)
        with pytest.raises(LearningStateError):
            await ordering.decisions()


async def test_projects_are_apart_and_listed(memory: Memory) -> None:
    for name in ("shop", "shop/api"):
        ordering = TestOrdering(memory, name)
        await ordering.settle(await ordering.decide(SUITE), _outcomes(SUITE))
    assert await projects(memory) == ["shop", "shop/api"]
    await TestOrdering(memory, "shop").reset()
    assert await projects(memory) == ["shop/api"]
