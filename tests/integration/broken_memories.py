"""Memories with one defect each, under the part of the conformance suite that must notice.

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
    from lionagi_qe.testing.conformance import Connect


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

    monkeypatch.setattr(Limiter, "wait", wait)


async def _results_once(batch: Any, deadline: float) -> Any:
    del deadline
    try:
        return await batch.execute()
    except AqeError as error:
        return [error] * len(batch.items)


class _OnDict:
    """Provides ``connect`` for the class attribute ``backend``, after ``patch``."""

    backend: type[DictBackend] = DictBackend

    @pytest.fixture
    def connect(self, monkeypatch: pytest.MonkeyPatch) -> Connect:
        self.patch(monkeypatch)
        fleets: dict[str, Fleet] = {}
        return lambda **settings: Memory(self.backend(fleets), **settings)

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Break what isn't the backend's."""


class TestForgetsRevisionsUnderEntries(_OnDict, EntriesConformance):
    backend = ForgetsRevisions


class TestForgetsTheMarginUnderRanges(_OnDict, RangesConformance):
    backend = ForgetsTheMargin


class TestShowsExpiredUnderExpiry(_OnDict, ExpiryConformance):
    backend = ShowsExpired


class TestKeepsExpiryUnderExpiry(_OnDict, ExpiryConformance):
    backend = KeepsExpiry


class TestKeepsExpiryUnderMachine(_OnDict, MachineConformance):
    backend = KeepsExpiry
    # It ends with the first that fails: 30 once found none.
    machine_examples = 500
    machine_shrinks = False


class TestIgnoresConflictsUnderEntries(_OnDict, EntriesConformance):
    backend = IgnoresConflicts


class TestHalfBatchesUnderBatches(_OnDict, BatchesConformance):
    backend = HalfBatches


class TestSharedFleetsUnderFleets(_OnDict, FleetsConformance):
    backend = SharedFleets


class TestLiesAboutDeletesUnderEntries(_OnDict, EntriesConformance):
    backend = LiesAboutDeletes


class TestSweepsTheLivingUnderExpiry(_OnDict, ExpiryConformance):
    backend = SweepsTheLiving


class TestCountsWrongUnderExpiry(_OnDict, ExpiryConformance):
    backend = CountsWrong


class TestCountsWrongUnderMachine(_OnDict, MachineConformance):
    backend = CountsWrong
    machine_shrinks = False


class TestClearsEverythingUnderRanges(_OnDict, RangesConformance):
    backend = ClearsEverything


class TestLosesHalfOfASecondUnderExpiry(_OnDict, ExpiryConformance):
    backend = LosesHalfOfASecond


class TestRoundsNumbersUnderNumbers(_OnDict, NumbersConformance):
    backend = RoundsNumbers


class TestAnyKeyUnderEntries(_OnDict, EntriesConformance):
    backend = DictBackend

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _any_key(monkeypatch)


class TestLikeDialectUnderRanges(_OnDict, RangesConformance):
    backend = DictBackend

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _like_dialect(monkeypatch)


class TestSilentValuesUnderValues(_OnDict, ValuesConformance):
    backend = DictBackend

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _silent_values(monkeypatch)


class TestNoLimitUnderValues(_OnDict, ValuesConformance):
    backend = DictBackend

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _no_limit(monkeypatch)


class TestLossyUpdateUnderConcurrency(_OnDict, ConcurrencyConformance):
    backend = DictBackend

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _lossy_update(monkeypatch)


class TestNeverClosedUnderLifecycle(_OnDict, LifecycleConformance):
    backend = DictBackend

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _never_closed(monkeypatch)


class TestUnorderedUnderConcurrency(_OnDict, ConcurrencyConformance):
    backend = DictBackend

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _unordered(monkeypatch)


class TestImpatientUnderConcurrency(_OnDict, ConcurrencyConformance):
    patch = staticmethod(_impatient)


class TestContagiousUnderConcurrency(_OnDict, ConcurrencyConformance):
    backend = DictBackend

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _contagious(monkeypatch)
