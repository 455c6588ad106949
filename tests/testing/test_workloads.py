"""Made-up work of a fleet: valid, the same for the same seed, and skewed as life is."""

from __future__ import annotations

from collections import Counter
from statistics import median

import pytest

from lionagi_qe import open_memory
from lionagi_qe.coordination import Presence, WorkQueue
from lionagi_qe.testing.workloads import WorkloadFactory


def test_the_same_seed_makes_the_same() -> None:
    one, other, third = WorkloadFactory(7), WorkloadFactory(7), WorkloadFactory(8)
    for make in (
        lambda factory: factory.agent(),
        lambda factory: [*factory.entries(5)],
        lambda factory: factory.jobs(5),
        lambda factory: factory.history(2, 5),
    ):
        made = make(one)
        assert made == make(other)
        assert made != make(third)


def test_few_keys_get_most_accesses_and_few_values_are_large() -> None:
    factory = WorkloadFactory(1)
    keys = [f"aqe/{at}" for at in range(1_000)]
    counts = Counter(factory.accesses(keys, 10_000))
    often = sum(count for _, count in counts.most_common(100))
    assert often > 10_000 * 0.6
    even = Counter(WorkloadFactory(1, skew=0).accesses(keys, 10_000))
    assert sum(count for _, count in even.most_common(100)) < 10_000 * 0.25
    sizes = sorted(factory.size() for _ in range(2_000))
    assert 250 < median(sizes) < 650
    assert sizes[-20] > 10 * median(sizes)


def test_a_history_adds_up_and_has_flaky_tests_and_changes_that_broke_some() -> None:
    runs = WorkloadFactory(3).history(runs=60, tests=200)
    failures = Counter(
        result["test"] for run in runs for result in run["results"] if result["status"] == "failed"
    )
    for run in runs:
        assert run["passed"] + run["failed"] == len(run["results"]) == 200
    flaky = [test for test, count in failures.items() if count > 2]
    assert 0 < len(flaky) < 20
    assert any(run["failed"] >= 3 for run in runs)


async def test_what_is_made_can_be_stored_put_and_shown() -> None:
    factory = WorkloadFactory(5)
    async with open_memory("memory://") as memory:
        entries = [*factory.entries(50)]
        for entry in entries:
            await memory.store(**entry)
        for key in factory.accesses([entry["key"] for entry in entries], 20):
            assert await memory.exists(key)
        queue = WorkQueue(memory, "reviews")
        jobs = factory.jobs(40)
        ids = await queue.put_many(jobs)
        twice = Counter(job.dedupe for job in jobs if job.dedupe is not None)
        assert len(set(ids)) == 40 - sum(count - 1 for count in twice.values())
        agent = factory.agent()
        async with Presence(memory, agent["name"], ttl=5, info=agent):
            assert await memory.list_keys("aqe/") != []


@pytest.mark.parametrize("count", [0, 1])
def test_few_are_made_as_well(count: int) -> None:
    factory = WorkloadFactory()
    assert len(factory.jobs(count)) == len([*factory.entries(count)]) == count
    assert len(factory.history(count, 1)) == count
