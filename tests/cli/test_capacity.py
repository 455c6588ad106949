"""What ``aqe capacity`` computes: pure arithmetic on figures that were measured."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.programs import AQE, call

from lionagi_qe.bench.capacity import (
    PAGE_BYTES,
    Backend,
    CallCost,
    Figures,
    Grid,
    Load,
    Machine,
    estimate,
    measured,
    whole_pages,
)

BACKENDS: tuple[Backend, ...] = ("sqlite", "postgresql", "redis")


def flat(figure: float) -> Grid:
    return Grid(key_bytes=(64,), value_bytes=(100,), figures=((figure,),))


def figures(**others: object) -> Figures:
    cost = CallCost(server=flat(100), client=flat(50))
    calls = ("store", "store_many", "retrieve", "retrieve_many", "delete")
    plain = {
        "version": "1",
        "entry_bytes": {"table": flat(200), "toast": flat(0), "primary_key": flat(80)},
        "update_log_bytes": {call: flat(300) for call in ("store", "store_many", "delete")},
        "page_log_bytes": 5_000,
        "call_us": dict.fromkeys(calls, cost),
        "connection_bytes": 1_000_000,
        "change_bytes": 90,
        "tombstone_bytes": 150,
    }
    return Figures.model_validate({**plain, **others})


def test_between_measured_sizes_a_figure_lies_on_a_line_and_behind_the_last_it_goes_on() -> None:
    grid = Grid(
        key_bytes=(10, 20), value_bytes=(100, 200, 400), figures=((10, 20, 60), (20, 30, 70))
    )
    assert grid.at(10, 100) == 10
    assert grid.at(10, 150) == 15
    assert grid.at(15, 300) == 45
    assert grid.at(20, 800) == 150
    assert grid.at(10, 0) == 0
    assert grid.at(30, 100) == 30


def test_bytes_are_those_of_the_parts_and_of_what_is_still_told() -> None:
    load = Load(entries=1e6, updates=10, deletes=1, connections=3)
    found = estimate("postgresql", figures(), load, Machine())
    assert found.parts == {"table": 2e8, "toast": 0, "primary_key": 8e7}
    assert found.changes_bytes == 11 * 300 * 90
    assert found.tombstone_bytes == 300 * 150
    assert found.stored_bytes == 2.8e8 + found.changes_bytes + found.tombstone_bytes
    assert found.memory_bytes == 8e7 + 3e6
    assert found.server_cores == pytest.approx(11 * 100 / 1e6)
    assert found.log_bytes_a_day - found.whole_pages_a_day == pytest.approx(11 * 300 * 86_400)


def test_a_page_is_logged_whole_once_a_checkpoint_however_often_it_changes() -> None:
    one_page = PAGE_BYTES
    assert whole_pages(0, 1000) == 0
    assert whole_pages(one_page, 0) == 0
    assert whole_pages(one_page, 1e6) == pytest.approx(86_400 / 300)
    # Where there are far more pages than updates, nearly each update finds another one.
    assert whole_pages(one_page * 1e9, 10) == pytest.approx(10 * 86_400, rel=0.001)


def test_what_is_not_told_of_the_machine_is_not_judged_and_the_tightest_comes_first() -> None:
    load = Load(entries=1e9, updates=5_000, connections=50)
    bare = {each.name for each in estimate("postgresql", figures(), load, Machine()).limits}
    assert bare == {"pages of one table", "transactions a day, of those between freezing vacuums"}
    machine = Machine(memory_bytes=1e10, disk_bytes=1e12, cores=8, max_connections=100)
    limits = estimate("postgresql", figures(), load, machine).limits
    assert limits[0].name == "memory"
    assert limits[0].share > 1
    assert all(first.share >= second.share for first, second in pairwise(limits))
    assert {"disk", "cores", "connections"} < {each.name for each in limits}


def test_sqlite_has_one_writer_and_redis_one_thread_whatever_the_machine_has() -> None:
    load = Load(entries=1e6, updates=5_000)
    alone: dict[Backend, str] = {
        "sqlite": "the one writer at a time",
        "redis": "the one thread for commands",
    }
    for backend, name in alone.items():
        limits = estimate(backend, figures(), load, Machine(cores=64)).limits
        assert name in {each.name for each in limits}
    reading = Load(entries=1e6, reads=50_000)
    assert not estimate("sqlite", figures(), reading, Machine()).limits


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=30)
@given(
    entries=st.floats(1e3, 1e10),
    key=st.floats(10, 512),
    value=st.floats(2, 1e6),
    updates=st.floats(0, 1e5),
)
def test_more_entries_and_updates_never_need_less(
    backend: Backend, entries: float, key: float, value: float, updates: float
) -> None:
    known = measured().backends[backend]
    few = Load(entries=entries, key_bytes=key, value_bytes=value, updates=updates)
    many = few.model_copy(update={"entries": 2 * entries, "updates": 2 * updates})
    one, two = (estimate(backend, known, load, Machine()) for load in (few, many))
    assert 0 < one.stored_bytes < two.stored_bytes
    assert one.log_bytes_a_day <= two.log_bytes_a_day
    assert one.server_cores <= two.server_cores
    assert one.client_cores <= two.client_cores


@pytest.mark.parametrize("backend", BACKENDS)
def test_larger_values_were_measured_to_need_more_room_and_more_log(backend: Backend) -> None:
    known = measured().backends[backend]
    sizes = (100, 500, 1_500, 4_000, 16_000)
    loads = [Load(entries=1e6, value_bytes=size, updates=100) for size in sizes]
    found = [estimate(backend, known, load, Machine()) for load in loads]
    for small, large in pairwise(found):
        assert small.stored_bytes < large.stored_bytes
    assert 0 < found[0].log_bytes_a_day < found[-1].log_bytes_a_day
    if backend == "redis":  # no pages, whose number would make steps
        for small, large in pairwise(found):
            assert small.log_bytes_a_day < large.log_bytes_a_day


@pytest.mark.parametrize("backend", BACKENDS)
def test_values_need_at_least_nearly_their_own_size(backend: Backend) -> None:
    known = measured().backends[backend]
    for value in (500, 5_000, 50_000):
        load = Load(entries=1, value_bytes=value)
        assert estimate(backend, known, load, Machine()).stored_bytes > 0.9 * value


def test_the_command_tells_what_fits_and_from_which_figures() -> None:
    words = ("capacity", "--entries", "1e9", "--updates", "2000/s", "--reads", "1K/s")
    told = call(*AQE, *words, "--memory", "16G", "--backend", "postgresql")
    assert told.code == 0, told.complaints
    assert "of memory" in told.output
    assert "does not fit" in told.output
    assert measured().date in told.output
    document = json.loads(call(*AQE, *words, "--json").output)
    assert [each["backend"] for each in document["estimates"]] == [*BACKENDS]
    assert document["load"]["updates"] == 2_000
    assert document["load"]["reads"] == 1_000


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--entries", "many"), "write 1000000, 1e9 or 10M"),
        (("--entries", "1M", "--updates", "2/min"), "2000/s"),
        (("--entries", "1M", "--memory", "much"), "64G"),
        (("--updates", "1/s"), "--entries"),
    ],
)
def test_a_number_that_is_none_is_refused_with_an_example(
    words: tuple[str, ...], complaint: str
) -> None:
    told = call(*AQE, "capacity", *words)
    assert told.code == 2
    assert complaint in told.complaints
