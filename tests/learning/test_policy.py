import json
from random import Random

import pytest

from lionagi_qe.learning.arrangement import arrange
from lionagi_qe.learning.errors import LearningStateError
from lionagi_qe.learning.history import Candidate, Outcome
from lionagi_qe.learning.policy import LearnedOrder
from lionagi_qe.learning.synthetic import REGIMES, synthetic_history

SUITE = [Candidate(f"test_{number}", 1.0) for number in range(20)]
EVERYTHING = 1e9


def _names(policy: LearnedOrder, suite: list[Candidate], seed: int = 0) -> list[str]:
    return [suite[index].name for index in policy.order(suite, EVERYTHING, Random(seed))]


def _run(policy: LearnedOrder, suite: list[Candidate], *failing: str) -> None:
    policy.observe(suite, [Outcome(test.name, test.name in failing) for test in suite])


def test_a_test_that_failed_runs_first() -> None:
    policy = LearnedOrder()
    for _ in range(5):
        _run(policy, SUITE)
    _run(policy, SUITE, "test_13")
    assert _names(policy, SUITE)[0] == "test_13"


def test_a_recent_failure_counts_more_than_an_old_one() -> None:
    policy = LearnedOrder()
    _run(policy, SUITE, "test_3")
    _run(policy, SUITE, "test_4")
    assert _names(policy, SUITE)[:2] == ["test_4", "test_3"]


def test_a_new_test_runs_before_those_that_always_passed() -> None:
    policy = LearnedOrder()
    for _ in range(5):
        _run(policy, SUITE)
    assert _names(policy, [*SUITE, Candidate("test_new", 1.0)])[0] == "test_new"


def test_a_failure_in_a_like_suite_counts_more_than_one_in_another() -> None:
    policy = LearnedOrder()
    nightly, quick = SUITE[:11], [*SUITE[11:], SUITE[0], SUITE[1]]
    _run(policy, nightly, "test_0")
    _run(policy, quick, "test_1")
    _run(policy, nightly, "test_0")
    _run(policy, quick, "test_1")
    assert _names(policy, nightly)[0] == "test_0"
    assert _names(policy, quick)[0] == "test_1"


def test_tests_of_changed_code_run_before_those_that_always_passed() -> None:
    policy = LearnedOrder()
    for _ in range(10):
        _run(policy, SUITE)
    touched = [*SUITE[:-1], Candidate("test_19", 1.0, touched=1.0)]
    assert _names(policy, touched)[0] == "test_19"


def test_under_a_budget_short_tests_come_before_an_equally_risky_long_one() -> None:
    suite = [Candidate("long", 90.0), *(Candidate(f"short_{n}", 1.0) for n in range(10))]
    order = LearnedOrder().order(suite, 50.0, Random(0))
    assert suite[order[-1]].name == "long"


def test_the_best_of_several_schedules_is_taken_under_a_budget() -> None:
    assert arrange([0.9, 0.5, 0.5, 0.5], [3.0, 1.0, 1.0, 1.0], 3.0)[:3] == [1, 2, 3]
    assert arrange([0.9, 0.1, 0.1, 0.1], [3.0, 1.0, 1.0, 1.0], 3.0)[0] == 0
    assert arrange([0.1, 0.9], [0.0, 5.0], 4.0) == [0, 1]


def test_every_candidate_is_ordered_once_even_when_names_repeat() -> None:
    suite = [*SUITE, *SUITE]
    order = LearnedOrder().order(suite, 7.0, Random(1))
    assert sorted(order) == list(range(len(suite)))


@pytest.mark.parametrize("regime", REGIMES)
def test_a_policy_restored_from_json_decides_as_the_one_that_went_on(regime: str) -> None:
    uninterrupted, restarted = LearnedOrder(), LearnedOrder()
    for cycle in synthetic_history(regime, seed=7, cycles=60):
        budget = cycle.duration / 2
        decisions = [
            policy.order(cycle.candidates, budget, Random(cycle.number))
            for policy in (uninterrupted, restarted)
        ]
        assert decisions[0] == decisions[1]
        outcomes = [
            Outcome(cycle.candidates[index].name, cycle.failed[index])
            for index in decisions[0][:40]
        ]
        uninterrupted.observe(cycle.candidates, outcomes)
        restarted.observe(cycle.candidates, outcomes)
        restarted = LearnedOrder.from_state(json.loads(json.dumps(restarted.to_state())))


def test_tests_that_have_not_run_for_a_thousand_cycles_are_forgotten() -> None:
    policy = LearnedOrder()
    _run(policy, SUITE)
    for _ in range(1_100):
        _run(policy, SUITE[:1])
    assert list(policy.to_state()["tests"]) == ["test_0"]
    assert len(policy.to_state()["suites"]) == 50


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        ({"schema": 2}, "schema 2"),
        ({}, "schema None"),
        ({"schema": 1, "cycles": 3}, "damaged"),
        ({**LearnedOrder().to_state(), "tests": {"a": 3}}, "damaged"),
    ],
)
def test_a_state_that_can_not_be_read_is_refused(state: dict[str, object], complaint: str) -> None:
    with pytest.raises(LearningStateError, match=complaint):
        LearnedOrder.from_state(state)
