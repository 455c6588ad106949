"""What a run is judged by, on series of which the answer is known."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.load.open_loop import OpenLoop
from tests.load.outcome import judge_clients, judge_server
from tests.load.plan import EVERYTHING, Arrival, Phase, Plan, phases_of
from tests.load.samples import (
    NOT_BEGUN,
    UNANSWERED,
    Samples,
    SampleWriter,
    over_time,
    percentile,
    summary,
)
from tests.load.verdicts import growth, lasting_p99, level, peak, slope, windows_ratio

if TYPE_CHECKING:
    from pathlib import Path

    from tests.load.verdicts import Verdict

HALF_AN_HOUR = 1800.0
TIMES = [10.0 * at for at in range(180)]


def plan(scenario: str = "soak", rate: float = 100, seconds: float = HALF_AN_HOUR) -> Plan:
    return Plan(scenario, "redis", 20, 4, phases_of(scenario, rate, seconds))


def samples_of(waits: dict[str, list[tuple[float, float]]]) -> Samples:
    """Make samples by kind from seconds at which calls were due, and their latencies."""
    rows = [(due, 0.0, wait, kind, "ok") for kind, each in waits.items() for due, wait in each]
    return Samples.of(rows)


def failing(verdicts: list[Verdict]) -> list[str]:
    return [verdict.what for verdict in verdicts if not verdict.passed]


# The generator


async def test_a_stall_shows_in_the_latency_of_each_call_that_came_meanwhile(
    tmp_path: Path,
) -> None:
    stalled = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.call_later(0.2, stalled.set)

    async def call(_: Arrival) -> None:
        await stalled.wait()

    arrivals = [Arrival(at / 100, "store", 0) for at in range(20)]
    path = tmp_path / "a.samples"
    with SampleWriter(path) as writer:
        await OpenLoop(call, writer).run(arrivals, loop.time(), patience=10)
    found = Samples.read([path])
    assert len(found) == 20
    # One who asks only once it is answered would have measured 0.2 s once.
    assert all(found.latency >= 0.19 - found.due)
    assert all((found.delay >= 0) & (found.delay <= found.latency))


async def test_calls_that_could_not_be_begun_or_got_no_answer_are_told_and_wait_for_ever(
    tmp_path: Path,
) -> None:
    async def call(_: Arrival) -> None:
        await asyncio.Event().wait()

    path = tmp_path / "a.samples"
    with SampleWriter(path) as writer:
        calls = OpenLoop(call, writer, most_open=2)
        arrivals = [Arrival(0.0, "put", 0)] * 5
        await calls.run(arrivals, asyncio.get_running_loop().time(), patience=0)
    found = Samples.read([path])
    assert found.errors() == {"put": {NOT_BEGUN: 3, UNANSWERED: 2}}
    assert summary(found)["p50"] == math.inf


def test_a_seed_means_one_schedule_of_the_wanted_rate_and_mix() -> None:
    spike = plan("spike", rate=400, seconds=60)
    arrivals = [list(spike.arrivals(process)) for process in range(4)]
    assert arrivals[0] == list(spike.arrivals(0)) != arrivals[1]
    assert {each.agent % 4 for each in arrivals[3]} == {3}
    every = [each for some in arrivals for each in some]
    assert all(some == sorted(some) for some in arrivals)
    for start, phase in zip(spike.starts(), spike.phases, strict=True):
        came = sum(start <= each.at < start + phase.seconds for each in every)
        wanted = phase.rate * phase.seconds
        assert abs(came - wanted) < 5 * math.sqrt(wanted)
    kinds = Counter(each.kind for each in every)
    assert all(
        abs(kinds[kind] - part * len(every)) < 5 * math.sqrt(part * len(every))
        for kind, part in EVERYTHING.items()
    )
    assert Plan.from_json(spike.as_json()) == spike


# Percentiles


def test_percentiles_are_exact_and_by_the_second_in_which_calls_were_due() -> None:
    waits = [(at / 100, at / 1000) for at in range(1, 1001)]
    found = samples_of({"store": waits})
    told = summary(found)
    assert [told[each] for each in ("calls", "p50", "p99", "p99.9", "max")] == [
        1000, 500, 990, 999, 1000,
    ]  # fmt: skip
    assert math.isnan(percentile(np.array([]), 99))
    curve = over_time(found, 10, (100,))
    assert curve["rate"] == [99, *[100] * 9]
    assert curve["p100"] == [pytest.approx(100 * second + 99) for second in range(10)]


# What grows


def test_the_slope_is_that_of_the_line_whatever_a_few_samples_are() -> None:
    line = [3 + 0.25 * at for at in TIMES]
    assert slope(TIMES, line) == pytest.approx(0.25)
    for place in range(0, 180, 6):
        line[place] += 1000
    assert slope(TIMES, line) == pytest.approx(0.25, rel=0.01)
    assert slope([1], [1]) == 0


@pytest.mark.parametrize(("per_ten_minutes", "holds"), [(0.9, True), (1.1, False), (-5, True)])
def test_memory_may_grow_by_less_than_a_mebibyte_in_ten_minutes(
    per_ten_minutes: float, holds: bool
) -> None:
    dice = np.random.default_rng(1)
    noise = dice.normal(0, 0.2, len(TIMES))
    held = [60 + per_ten_minutes * at / 600 + more for at, more in zip(TIMES, noise, strict=True)]
    verdict = growth("memory", TIMES, held)
    assert verdict.passed is holds
    assert verdict.found == pytest.approx(per_ten_minutes, abs=0.05)


def test_a_run_too_short_to_tell_is_not_judged() -> None:
    verdict = growth("memory", [0, 10, 20], [60, 61, 62])
    assert verdict.passed
    assert verdict.untold == "too short to tell"


def test_levels_may_swing_but_not_rise_and_peaks_not_get_higher() -> None:
    saw = [100.0 * (at % 7) for at in range(70)]
    assert level("dead rows", saw, slack=0).passed
    assert peak("dead rows", saw, slack=0).passed
    rising = [each + 20 * at for at, each in enumerate(saw)]
    assert not level("dead rows", rising, slack=0).passed
    assert not peak("dead rows", rising, slack=0).passed
    assert level("connections", [1, 1, 2, 2], slack=2).passed
    assert not level("connections", [1, 1, 4, 4], slack=2).passed


def test_of_several_processes_the_one_that_leaks_is_named() -> None:
    def held(**more: list[float]) -> dict[str, list[float]]:
        flat = [9.0] * len(TIMES)
        return {"at": TIMES, "rss": flat, "files": flat, "tasks": flat, "threads": flat, **more}

    assert failing(judge_clients(plan(), {0: held(), 1: held()})) == []
    leaks = [9 + at / 60 for at in TIMES]
    found = judge_clients(plan(), {0: held(), 1: held(rss=leaks), 2: held(files=leaks)})
    assert failing(found) == [
        "growth of memory (RSS) of process 1",
        "level of open files of process 2",
    ]
    # What is made in the first minutes is no leak.
    filling = [min(at, 200) for at in TIMES]
    assert failing(judge_clients(plan(), {0: held(rss=filling, tasks=filling)})) == []


def test_a_store_that_grows_is_found_and_one_that_is_cleared_is_not() -> None:
    flat, rising = [50.0] * len(TIMES), [50 + at / 30 for at in TIMES]
    saw = [3_000.0 * (at % 6) for at in range(len(TIMES))]
    server = {"at": TIMES, "size": flat, "dead rows": saw, "connections": flat}
    assert failing(judge_server(plan(), server)) == []
    server |= {"size": rising, "oldest transaction, s": rising}
    assert failing(judge_server(plan(), server)) == ["level of size", "oldest transaction"]
    behind = {"at": TIMES, "PostgreSQL: dead rows": [1_000.0 * at for at in range(180)]}
    assert failing(judge_server(plan(), behind)) == ["peak of PostgreSQL: dead rows"]


# What gets slower


def steady(kind: str, slower: float = 1.0) -> dict[str, list[tuple[float, float]]]:
    """Make ten calls a second for ten minutes, slower in the last of them."""
    waits = [0.001 + (at % 100) / 1000 for at in range(6000)]
    return {
        kind: [(at / 10, wait * (slower if at >= 5400 else 1)) for at, wait in enumerate(waits)]
    }


def test_the_last_minute_may_be_a_fifth_slower_than_the_second() -> None:
    assert failing(lasting_p99(samples_of(steady("store", 1.19)), 600)) == []
    slower = failing(lasting_p99(samples_of(steady("store", 1.21)), 600))
    assert slower == ["p99 of all calls, last minute"]


def test_a_kind_is_slower_where_that_is_more_than_chance() -> None:
    drawn = np.random.default_rng(1)

    def minute_of(slower: float) -> list[tuple[float, float]]:
        waits = drawn.lognormal(0, 1, 6000)
        return [(at / 10, wait * (slower if at >= 5400 else 1)) for at, wait in enumerate(waits)]

    def rate(slower: float) -> float:
        runs = [lasting_p99(samples_of({"store": minute_of(slower)}), 600) for _ in range(100)]
        return sum("p99 of store, last minute, at least" in failing(run) for run in runs) / 100

    assert rate(1.0) <= 0.02
    assert rate(3.0) >= 0.9


def test_a_rare_call_that_gets_slower_is_not_hidden_by_others_that_are_slow_anyway() -> None:
    slow = {"search": [(at / 10, 5.0) for at in range(6000)]}
    found = lasting_p99(samples_of({**slow, **steady("claim", 2)}), 600)
    assert failing(found) == ["p99 of claim, last minute, at least"]


@pytest.mark.parametrize(
    ("then", "else_"),
    [((60, 120, 0.4), 0.1), ((540, 600, 0.4), 0.1), ((540, 600, 0.1), 0.4), ((0, 0, 0), 0.6)],
)
def test_what_others_did_to_latencies_is_not_ours(
    then: tuple[float, float, float], else_: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    calls = samples_of(steady("store", 2))
    times = [10.0 * at for at in range(1, 61)]
    for as_ever in (0.1, 0.4):
        used = {"at": times, "servers": [0.5] * 60, "others": [as_ever] * 60}
        assert len(failing(lasting_p99(calls, 600, machine=used))) == 2
    start, end, most = then
    others = [most if start < at <= end else else_ for at in times]
    used = {"at": times, "servers": [0.5] * 60, "others": others}
    found = lasting_p99(calls, 600, machine=used)
    assert failing(found) == []
    assert {each.untold for each in found} == {"can't be told: others used the machine"}


def test_what_comes_by_itself_is_judged_by_itself() -> None:
    calls = samples_of({**steady("store"), **steady("watch", 3)})
    found = lasting_p99(calls, 600, apart=["watch"])
    assert failing(found) == ["p99 of watch, last minute, at least"]


@pytest.mark.parametrize(("factor", "holds"), [(1.25, True), (1.35, False), (0.7, False)])
def test_the_end_of_a_backlog_costs_what_its_start_does(factor: float, holds: bool) -> None:
    costs = [20.0] * 5 + [500.0] * 90 + [20 * factor] * 5
    costs[1] = costs[-2] = 9_000
    assert windows_ratio("put", costs).passed is holds


def test_steps_of_stress_double_and_last_as_long_as_each_other() -> None:
    steps = phases_of("stress", 100, 50)
    assert [step.rate for step in steps] == [100, 200, 400, 800, 1600]
    assert {step.seconds for step in steps} == {10}
    assert phases_of("sustained", 5, 60) == (Phase("sustained", 60, 5),)
