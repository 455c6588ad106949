"""Memories with one defect each, under the tests of the conformance suite that must notice.

Not collected by itself: test_custom_backend.py runs it and wants every class to fail.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from dict_backend import DictBackend, Fleet

from lionagi_qe import AqeError, BackendTimeoutError, Memory, RevisionConflictError
from lionagi_qe.persistence.calls.entries import EntryCalls
from lionagi_qe.persistence.contract.operations import Delete, Put
from lionagi_qe.persistence.contract.records import KeyPage, Page, Sweep
from lionagi_qe.persistence.scheduling import batcher
from lionagi_qe.persistence.scheduling.scheduler import Scheduler
from lionagi_qe.persistence.server_support.limiter import Limiter
from lionagi_qe.persistence.values import codec, glob, keys
from lionagi_qe.testing.conformance.base import Conformance
from lionagi_qe.testing.conformance.batches import BatchesConformance
from lionagi_qe.testing.conformance.concurrency import ConcurrencyConformance
from lionagi_qe.testing.conformance.entries import EntriesConformance
from lionagi_qe.testing.conformance.expiry import ExpiryConformance
from lionagi_qe.testing.conformance.fleets import FleetsConformance
from lionagi_qe.testing.conformance.lifecycle import LifecycleConformance
from lionagi_qe.testing.conformance.machine import MachineConformance
from lionagi_qe.testing.conformance.numbers import NumbersConformance
from lionagi_qe.testing.conformance.ranges import RangesConformance
from lionagi_qe.testing.conformance.values import ValuesConformance

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.testing.conformance import Connect

    # A backend, or what breaks something else.
    Defect = type[DictBackend] | Callable[[pytest.MonkeyPatch], None]


class ForgetsRevisions(DictBackend):
    """Revisions start anew when the store is empty."""

    def _put(self, put: Put, entry: Any) -> int:
        if not self._fleet.entries:
            self._fleet.revision = 0
        return super()._put(put, entry)


class ForgetsTheMargin(DictBackend):
    """Pages lose their last entry."""

    async def page(self, keys: Any, limit: int, partition: str | None) -> Page:
        page = await super().page(keys, limit, partition)
        return Page(page.records[:-1], page.after) if page.after else page


class ShowsExpired(DictBackend):
    """Listings name entries that have expired."""

    async def page_keys(self, keys: Any, limit: int, partition: str | None) -> KeyPage:
        del partition
        return KeyPage([key for key in self._fleet.keys if key >= keys.first][:limit], None)


class KeepsExpiry(DictBackend):
    """Storing without TTL keeps the old one."""

    def _put(self, put: Put, entry: Any) -> int:
        revision = super()._put(put, entry)
        if entry is not None and put.ttl_ms is None:
            record = self._fleet.entries[put.key]
            self._fleet.keep(record._replace(expires_ms=entry.expires_ms))
        return revision


class IgnoresConflicts(DictBackend):
    """Compare-and-set sets without comparing."""

    def _apply(self, operation: Any) -> Any:
        try:
            return super()._apply(operation)
        except RevisionConflictError:
            return super()._apply(Put(operation.key, b"1"))


class HalfBatches(DictBackend):
    """A batch that fails leaves what came before the failure."""

    async def write(self, operations: Any, *, atomic: bool) -> Any:
        results = await super().write(operations, atomic=False)
        for result in results:
            if atomic and isinstance(result, Exception):
                raise result
        return results


class SharedFleets(DictBackend):
    """All fleets are one."""

    async def open(self, fleet: str, *, migrate: bool) -> None:
        del fleet
        await super().open("all", migrate=migrate)


class LiesAboutDeletes(DictBackend):
    """Delete always says that there was one."""

    def _apply(self, operation: Any) -> Any:
        result = super()._apply(operation)
        return True if isinstance(operation, Delete) else result


class SweepsTheLiving(DictBackend):
    """Cleaning up takes entries that have not expired yet."""

    async def sweep(self, limit: int) -> Sweep:
        for key in [k for k, e in self._fleet.entries.items() if e.expires_ms][:limit]:
            self._fleet.drop(key)
        return Sweep(0, more=False)


class CountsWrong(DictBackend):
    """Statistics count what has expired."""

    async def stats(self) -> Any:
        stats = await super().stats()
        return replace(stats, total_keys=len(self._fleet.entries), total_expired=0)


class ClearsEverything(DictBackend):
    """Clearing a partition clears all."""

    async def clear_partition(self, partition: str, batch: int) -> int:
        cleared = await super().clear_partition(partition, batch)
        self._fleet.entries.clear()
        self._fleet.keys.clear()
        return cleared


class LosesHalfOfASecond(DictBackend):
    """Entries expire half a second early."""

    def _put(self, put: Put, entry: Any) -> int:
        if put.ttl_ms is not None and put.ttl_ms >= 1000:
            put = put._replace(ttl_ms=put.ttl_ms - 600)
        return super()._put(put, entry)


class RoundsNumbers(DictBackend):
    """Numbers go through doubles."""

    def _apply(self, operation: Any) -> Any:
        result = super()._apply(operation)
        if isinstance(result, int) and abs(result) > 2**53:
            return int(float(result))
        return result


def _any_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "check_key", str)


def _like_dialect(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_glob = glob.compile_glob
    monkeypatch.setattr(
        "lionagi_qe.persistence.calls.ranges.compile_glob",
        lambda pattern: compile_glob(pattern.replace("%", "*")),
    )


def _silent_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(value: Any, max_bytes: int = 0) -> bytes:
        del max_bytes
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str)

    monkeypatch.setattr("lionagi_qe.persistence.calls.entries.encode", encode)


def _no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = codec.encode
    monkeypatch.setattr(
        "lionagi_qe.persistence.calls.entries.encode", lambda value, _=0: encode(value, 10**9)
    )


def _lossy_update(monkeypatch: pytest.MonkeyPatch) -> None:
    async def update(self: Memory, key: str, fn: Any, default: Any = None, **_: Any) -> Any:
        value = fn(await self.retrieve(key, default))
        await asyncio.sleep(0)
        await self.store(key, value)
        return value

    monkeypatch.setattr(EntryCalls, "update", update)


def _never_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def close(self: Memory) -> None:
        del self

    monkeypatch.setattr(Memory, "close", close)


def _unordered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls go to the backend as they come, with a pause that differs."""

    async def write(self: Any, key: str, encode: Any, deadline: float, *arguments: Any) -> Any:
        del key, deadline
        await self.open()
        await asyncio.sleep(random.uniform(0, 0.01))
        (result,) = await self.backend.write([encode(*arguments)], atomic=False)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(Scheduler, "write", write)


def _contagious(monkeypatch: pytest.MonkeyPatch) -> None:
    """One refused call fails all that travelled with it."""

    async def write(self: DictBackend, operations: Any, *, atomic: bool) -> Any:
        del atomic
        await asyncio.sleep(0)
        return await plain(self, operations, atomic=True)

    plain = DictBackend.write
    monkeypatch.setattr(DictBackend, "write", write)
    monkeypatch.setattr(batcher, "_results", _results_once)


def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes when all places are taken is sent away."""

    async def wait(self: Limiter, deadline: float) -> None:
        del self, deadline
        raise BackendTimeoutError("too many")

    write = DictBackend.write

    async def write_later(self: DictBackend, *words: Any, **options: Any) -> Any:
        # From Python 3.12 on a call that waits for nothing ends before the next one comes.
        await asyncio.sleep(0)
        return await write(self, *words, **options)

    monkeypatch.setattr(DictBackend, "write", write_later)
    monkeypatch.setattr(Limiter, "wait", wait)


async def _results_once(batch: Any, deadline: float) -> Any:
    del deadline
    try:
        return await batch.execute()
    except AqeError as error:
        return [error] * len(batch.items)


# What is broken, the part of the suite, and its tests that must fail by it.
DEFECTS: tuple[tuple[Defect, type[Conformance], tuple[str, ...]], ...] = (
    (
        ForgetsRevisions,
        EntriesConformance,
        (
            "test_revisions_grow_across_delete_expiry_and_clearing",
            "test_revision_zero_only_creates",
        ),
    ),
    (
        ForgetsTheMargin,
        RangesConformance,
        (
            "test_search_stops_at_its_limit",
            "test_ranges_longer_than_a_page_come_whole_and_once",
            "test_a_scan_sees_once_what_stays_while_others_come_and_go",
            "test_partitions_page_like_the_rest",
        ),
    ),
    (
        ShowsExpired,
        ExpiryConformance,
        (
            "test_no_call_sees_an_expired_entry",
            "test_an_expired_entry_counts_as_missing_for_changes",
            "test_touch_prolongs_and_shortens",
        ),
    ),
    (
        SweepsTheLiving,
        ExpiryConformance,
        (
            "test_expired_entries_are_counted_until_they_are_cleaned_up",
            "test_many_expired_entries_are_cleaned_up_whole",
        ),
    ),
    (
        CountsWrong,
        ExpiryConformance,
        (
            "test_no_call_sees_an_expired_entry",
            "test_expired_entries_are_counted_until_they_are_cleaned_up",
        ),
    ),
    (KeepsExpiry, ExpiryConformance, ("test_store_without_ttl_keeps_an_entry_for_ever",)),
    (CountsWrong, MachineConformance, ("test_random_calls_behave_like_a_dict",)),
    (KeepsExpiry, MachineConformance, ("test_random_calls_behave_like_a_dict",)),
    (
        IgnoresConflicts,
        EntriesConformance,
        (
            "test_compare_and_set_stores_only_at_the_expected_revision",
            "test_compare_and_set_on_a_missing_entry_conflicts",
            "test_compare_and_delete",
        ),
    ),
    (HalfBatches, BatchesConformance, ("test_one_conflict_and_nothing_is_stored",)),
    (
        ClearsEverything,
        RangesConformance,
        ("test_clearing_takes_one_partition_and_counts", "test_partition_names_are_literal"),
    ),
    (
        SharedFleets,
        FleetsConformance,
        ("test_fleets_do_not_see_each_other", "test_cleaning_up_stays_within_the_fleet"),
    ),
    (LiesAboutDeletes, EntriesConformance, ("test_delete_tells_whether_there_was_one",)),
    (
        LosesHalfOfASecond,
        ExpiryConformance,
        ("test_an_entry_lives_until_its_ttl_is_over_and_not_longer",),
    ),
    (_any_key, EntriesConformance, ("test_a_key_that_breaks_a_rule_is_refused_by_every_call",)),
    (
        _like_dialect,
        RangesConformance,
        ("test_one_glob_dialect_everywhere", "test_a_pattern_that_makes_no_sense_is_refused"),
    ),
    (
        _silent_values,
        ValuesConformance,
        (
            "test_what_would_change_is_refused_naming_the_path",
            "test_a_model_that_would_come_back_as_another_is_refused",
            "test_a_model_with_aliases_comes_back_through_as_type",
            "test_models_come_back_as_their_dump_or_through_as_type",
        ),
    ),
    (_no_limit, ValuesConformance, ("test_a_value_above_the_limit_is_refused",)),
    (_lossy_update, ConcurrencyConformance, ("test_updates_of_many_callers_all_count",)),
    (RoundsNumbers, NumbersConformance, ("test_sums_are_exact_and_keep_their_type",)),
    (
        _never_closed,
        LifecycleConformance,
        (
            "test_a_closed_memory_refuses_every_call",
            "test_a_closing_that_is_cancelled_leaves_nothing_open_and_every_call_ends",
            "test_a_memory_closed_while_it_opens_is_closed",
        ),
    ),
    (
        _unordered,
        ConcurrencyConformance,
        (
            "test_calls_on_one_key_take_effect_in_the_order_of_the_calls",
            "test_of_many_stores_the_last_called_wins",
        ),
    ),
    (_contagious, ConcurrencyConformance, ("test_a_caller_that_fails_fails_alone",)),
    (
        _impatient,
        ConcurrencyConformance,
        ("test_a_burst_of_ten_thousand_calls_is_answered_whole",),
    ),
)


class _OnDict(Conformance):
    """Provides ``connect`` for a backend in dicts with the class attribute ``defect``."""

    defect: Defect
    # The machine ends with the first example that fails: 30 once found none.
    machine_examples = 500
    machine_steps = MachineConformance.machine_steps
    machine_shrinks = False

    @pytest.fixture
    def connect(self, monkeypatch: pytest.MonkeyPatch) -> Connect:
        broken, backend = type(self).defect, DictBackend
        if isinstance(broken, type):
            backend = broken
        else:
            broken(monkeypatch)
        fleets: dict[str, Fleet] = {}
        return lambda **settings: Memory(backend(fleets), **settings)


def _named(defect: Defect, suite: type[Conformance]) -> str:
    name = "".join(word.title() for word in defect.__name__.split("_"))
    plain = defect.__name__ if isinstance(defect, type) else name
    return f"Test{plain}Under{suite.__name__.removesuffix('Conformance')}"


globals().update(
    {
        name: type(
            name,
            (_OnDict,),
            {
                "defect": defect if isinstance(defect, type) else staticmethod(defect),
                **{test: getattr(suite, test) for test in tests},
            },
        )
        for defect, suite, tests in DEFECTS
        for name in [_named(defect, suite)]
    }
)
