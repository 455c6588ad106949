import json
from collections.abc import AsyncIterator

import pytest

from lionagi_qe import open_memory
from lionagi_qe.learning.history import Candidate, Outcome
from lionagi_qe.learning.ordering import TestOrdering
from lionagi_qe.learning.proposal import Proposal, propose

SUITE = [Candidate(f"test_{number:02}", 1.0) for number in range(30)]
NAMES = [test.name for test in SUITE]
EVERYTHING = 1e9


@pytest.fixture
async def ordering() -> AsyncIterator[TestOrdering]:
    async with open_memory("memory://") as memory:
        yield TestOrdering(memory, "shop")


async def _run(ordering: TestOrdering, *failing: str) -> None:
    decided = await ordering.decide(SUITE)
    await ordering.settle(decided, [Outcome(name, name in failing) for name in NAMES])


async def _proposal(ordering: TestOrdering, known: list[Candidate] = SUITE) -> Proposal:
    # As it travels to wherever the tests run.
    learned = json.loads(json.dumps(await ordering.learned_state()))
    return propose(learned, known, EVERYTHING)


async def test_tests_of_which_nothing_is_known_stay_as_they_came(ordering: TestOrdering) -> None:
    proposal = await _proposal(ordering)
    assert proposal.learned.arrange(NAMES) == list(range(30))
    assert proposal.heuristic.arrange(NAMES[::-1]) == list(range(30))


async def test_failures_and_new_tests_go_before_what_always_passed(
    ordering: TestOrdering,
) -> None:
    for _ in range(4):
        await _run(ordering)
    await _run(ordering, "test_21")
    proposal = await _proposal(ordering)
    came = [*NAMES, "test_new"]
    for ranking in (proposal.learned, proposal.heuristic):
        assert [came[index] for index in ranking.arrange(came)][:3] == [
            "test_21",
            "test_new",
            "test_00",
        ]


async def test_changed_code_moves_a_test_forward_whatever_was_learned_of_changes(
    ordering: TestOrdering,
) -> None:
    """In thirty runs with a failure elsewhere no test of changed code failed."""
    change = [Candidate(name, 1.0, touched=float(name == "test_17")) for name in NAMES]
    for _ in range(30):
        decided = await ordering.decide(change)
        await ordering.settle(decided, [Outcome(name, name == "test_03") for name in NAMES])
    order = (await _proposal(ordering, change)).learned.arrange(NAMES)
    assert [NAMES[index] for index in order][:2] == ["test_03", "test_17"]


async def test_quiet_runs_teach_nothing_of_changed_code(ordering: TestOrdering) -> None:
    change = [Candidate(name, 1.0, touched=1.0) for name in NAMES]
    for _ in range(5):
        decided = await ordering.decide(change)
        await ordering.settle(decided, [Outcome(name, failed=False) for name in NAMES])
    assert (await ordering.policy()).changed_tests.value == 0.5


async def test_all_but_some_tests_can_be_kept_for_the_end(ordering: TestOrdering) -> None:
    await _run(ordering, "test_02", "test_05")
    proposal = (await _proposal(ordering)).only(NAMES[4:])
    order = [NAMES[index] for index in proposal.learned.arrange(NAMES)]
    assert order[0] == "test_05"
    assert order[-4:] == NAMES[:4]


async def test_a_decision_taken_elsewhere_is_logged_and_learned_from(
    ordering: TestOrdering,
) -> None:
    await _run(ordering, "test_09")
    proposal = await _proposal(ordering)
    decided = await ordering.log(
        SUITE,
        learned=proposal.learned.arrange(NAMES),
        heuristic=proposal.heuristic.arrange(NAMES),
        ran="given",
    )
    assert decided.order == tuple(range(30))
    await ordering.settle(decided, [Outcome(name, name == "test_09") for name in NAMES])
    logged = (await ordering.decisions())[-1]
    assert logged.acting == "given"
    assert logged.scores is not None
    assert logged.scores.learned == logged.scores.optimal
    assert logged.scores.given == pytest.approx(1 - 10 / 30 + 1 / 60)
    assert (await ordering.policy()).cycles == 2
