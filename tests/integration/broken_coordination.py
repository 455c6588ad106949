"""Leases, queues, steps and watches with one defect each, under the test that must notice it.

Not collected by itself: test_custom_backend.py runs it and wants every class to fail.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe import open_memory
from lionagi_qe.coordination import consumer, presence
from lionagi_qe.errors import JobLostError
from lionagi_qe.persistence.contract.jobs import (
    CancelJob,
    Claim,
    EndJob,
    PutJob,
    TransactionOperations,
    TransactionResults,
)
from lionagi_qe.persistence.sqlite import backend as sqlite
from lionagi_qe.persistence.sqlite import dependencies as sqlite_dependencies
from lionagi_qe.persistence.sqlite import job_batches as sqlite_job_batches
from lionagi_qe.persistence.sqlite import job_changes as sqlite_job_changes
from lionagi_qe.persistence.sqlite import lease as sqlite_lease
from lionagi_qe.persistence.sqlite import limits as sqlite_limits
from lionagi_qe.persistence.sqlite import operations as sqlite_operations
from lionagi_qe.persistence.sqlite import queue as sqlite_queue
from lionagi_qe.persistence.sqlite.lease import SqliteLeases
from lionagi_qe.persistence.sqlite.log import SqliteLog
from lionagi_qe.persistence.sqlite.queue import SqliteJobs
from lionagi_qe.persistence.sqlite.schedules import SqliteSchedules
from lionagi_qe.testing.conformance import queue_workers, watch
from lionagi_qe.testing.conformance.base import Conformance
from lionagi_qe.testing.conformance.lease import LeaseConformance
from lionagi_qe.testing.conformance.presence import PresenceConformance
from lionagi_qe.testing.conformance.queue import QueueConformance
from lionagi_qe.testing.conformance.watch import WatchConformance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lionagi_qe.persistence.contract.schedules import Fire, PutSchedule
    from lionagi_qe.testing.conformance import Connect


def around(patch: pytest.MonkeyPatch, owner: Any, name: str, change: Callable[..., Any]) -> None:
    """Have ``change(plain, self, ...)`` called instead of a method."""
    plain = getattr(owner, name)

    async def instead(self: Any, *arguments: Any, **named: Any) -> Any:
        return await change(plain, self, *arguments, **named)

    patch.setattr(owner, name, instead)


def _one_token(patch: pytest.MonkeyPatch) -> None:
    """A lease that ended has the token that it had before."""
    patch.setattr(sqlite_lease, "reserve", lambda *_: 0)


def _two_holders(patch: pytest.MonkeyPatch) -> None:
    """Whoever asks gets the lease."""

    async def take(plain: Any, self: Any, name: str, holder: str, ttl_ms: int) -> Any:
        found = await plain(self, name, holder, ttl_ms)
        return replace(found, holder=holder)

    around(patch, SqliteLeases, "acquire", take)


def _unfenced(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks at fences."""
    for module in (sqlite_operations, sqlite_queue, sqlite):
        patch.setattr(module, "check_fence", lambda *_: None, raising=False)


def _short_renewals(patch: pytest.MonkeyPatch) -> None:
    """Renewing changes nothing, and says that it did."""

    async def renew(plain: Any, self: Any, fence: Any, ttl_ms: int) -> bool:
        del plain, self, fence, ttl_ms
        return True

    around(patch, SqliteLeases, "renew", renew)


def _no_priorities(patch: pytest.MonkeyPatch) -> None:
    """The last job comes first."""

    async def claim(plain: Any, self: Any, queue: str, count: int, lease_ms: int) -> Claim:
        found = await plain(self, queue, count, lease_ms)
        return Claim(found.jobs[::-1], found.due_ms)

    around(patch, SqliteJobs, "claim", claim)


def _written(change: Callable[[Any], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """Return a defect by which operations on jobs are written otherwise than asked for."""

    def patch_it(patch: pytest.MonkeyPatch) -> None:
        async def write(plain: Any, self: Any, operations: Any) -> Any:
            return await plain(self, [change(each) for each in operations])

        around(patch, SqliteJobs, "write", write)

    return patch_it


def _told_twice(patch: pytest.MonkeyPatch) -> None:
    """Whoever fires a schedule is told that it was first."""

    async def fire(plain: Any, self: Any, fire: Fire) -> bool:
        await plain(self, fire)
        return True

    around(patch, SqliteSchedules, "fire", fire)


def _early(patch: pytest.MonkeyPatch) -> None:
    """A schedule is fired by the caller's clock."""

    async def fire(plain: Any, self: Any, fire: Fire) -> bool:
        return await plain(self, replace(fire, now_ms=fire.record.fired_to_ms + 1))

    around(patch, SqliteSchedules, "fire", fire)


def _always_anew(patch: pytest.MonkeyPatch) -> None:
    """A schedule that is made again begins again."""

    async def put(plain: Any, self: Any, schedule: PutSchedule) -> None:
        await self.remove(schedule.queue, schedule.name)
        await plain(self, schedule)

    around(patch, SqliteSchedules, "put", put)


def _changed(kind: type, of: str | None = None, /, **fields: Any) -> Callable[[Any], Any]:
    def change(operation: Any) -> Any:
        is_meant = isinstance(operation, kind) and of in {
            None,
            getattr(operation, "ending", None),
        }
        return replace(operation, **fields) if is_meant else operation

    return change


def _late_work_counts(patch: pytest.MonkeyPatch) -> None:
    """A job's end is acknowledged whoever has it now."""

    async def write(plain: Any, self: Any, operations: Any) -> Any:
        results = await plain(self, operations)
        return ["done" if isinstance(each, JobLostError) else each for each in results]

    around(patch, SqliteJobs, "write", write)


def _halves(patch: pytest.MonkeyPatch) -> None:
    """A transaction's entries are changed though its jobs are refused."""

    async def transact(plain: Any, self: Any, step: TransactionOperations) -> TransactionResults:
        entries = await plain(self, TransactionOperations(step.operations, []))
        jobs = await plain(self, TransactionOperations([], step.jobs))
        return TransactionResults(entries.operations, jobs.jobs)

    around(patch, SqliteJobs, "transact", transact)


def _fragile(patch: pytest.MonkeyPatch) -> None:
    """What a handler raises ends its worker, or leaves the job claimed."""

    async def do(job: Any, handler: Any) -> None:
        try:
            result = await handler(job)
        except Exception:
            raise
        except BaseException:  # noqa: BLE001 - the defect
            return
        await job.ack(result)

    patch.setattr(consumer, "_do", do)


def _ends_with_children(patch: pytest.MonkeyPatch) -> None:
    """The cancellation of a handler's own task passes for the worker's."""
    patch.setattr(consumer, "_is_cancelled", lambda: True)


def pages(change: Callable[[Any], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """Return a defect of what watchers are told."""

    def patch_it(patch: pytest.MonkeyPatch) -> None:
        async def read(plain: Any, self: Any, *arguments: Any, **named: Any) -> Any:
            return change(await plain(self, *arguments, **named))

        around(patch, SqliteLog, "read", read)

    return patch_it


def _without_removals(page: Any) -> Any:
    return replace(page, records=[each for each in page.records if each.kind == "stored"])


def _twice(page: Any) -> Any:
    return replace(page, records=[each for each in page.records for _ in range(2)])


def _cursors_at_the_end(page: Any) -> Any:
    records = [replace(each, position=page.position) for each in page.records]
    return replace(page, records=records)


def _nothing_expires(patch: pytest.MonkeyPatch) -> None:
    """Expiry is told once somebody sweeps."""

    async def read(plain: Any, self: Any, *arguments: Any, **named: Any) -> Any:
        return await plain(self, *arguments, **{**named, "bury": False})

    around(patch, SqliteLog, "read", read)


def _lost_beats(patch: pytest.MonkeyPatch) -> None:
    """No beat reaches the server."""

    async def beat(self: Any) -> bool:
        del self
        await asyncio.sleep(0)
        return True

    patch.setattr(presence.Presence, "beat", beat)


def _never_cancelled(patch: pytest.MonkeyPatch) -> None:
    """A cancelled job waits on."""

    async def write(plain: Any, self: Any, operations: Any) -> Any:
        kept = [each for each in operations if not isinstance(each, CancelJob)]
        results = iter(await plain(self, kept) if kept else [])
        return [
            "cancelled" if isinstance(each, CancelJob) else next(results) for each in operations
        ]

    around(patch, SqliteJobs, "write", write)


def _unlimited(patch: pytest.MonkeyPatch) -> None:
    """Limits are set and told, and nobody keeps to them."""
    patch.setattr(sqlite_limits.ClaimInTurn, "limits", lambda _: {})


def _places_kept(patch: pytest.MonkeyPatch) -> None:
    """The end of a job frees no place."""
    plain = sqlite_job_changes.touch_line

    def touch(connection: Any, bound: Any, key: Any, priority: Any) -> None:
        if priority is not None:
            plain(connection, bound, key, priority)

    patch.setattr(sqlite_job_changes, "touch_line", touch)


def _never_freed(patch: pytest.MonkeyPatch) -> None:
    """Who waits for a job isn't told of its end."""
    patch.setattr(sqlite_dependencies, "_free", lambda *_: False)


def _never_fallen(patch: pytest.MonkeyPatch) -> None:
    """Who waits for a job that is dead waits on."""
    patch.setattr(sqlite_dependencies, "_fall", lambda *_: False)


def _never_called(patch: pytest.MonkeyPatch) -> None:
    """Jobs of a batch end, and nobody counts them."""
    patch.setattr(sqlite_job_batches, "count_ended", lambda *_: None)


def _always_called(patch: pytest.MonkeyPatch) -> None:
    """A callback is called however its batch ended."""

    def call(connection: Any, ended: Any, *_: Any) -> None:
        connection.execute(sqlite_job_batches.sql.CALL, ended)

    patch.setattr(sqlite_job_batches, "_refuse", call)


DEFECTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], type, str]] = {
    "OneToken": (
        _one_token,
        LeaseConformance,
        "test_tokens_grow_across_release_expiry_and_takeover",
    ),
    "TwoHolders": (_two_holders, LeaseConformance, "test_a_held_lease_is_nobody_elses"),
    "Unfenced": (_unfenced, LeaseConformance, "test_a_stale_fence_lets_no_change_through"),
    "ShortRenewals": (
        _short_renewals,
        LeaseConformance,
        "test_a_lease_is_kept_for_longer_than_its_ttl",
    ),
    "NoPriorities": (
        _no_priorities,
        QueueConformance,
        "test_lower_priority_numbers_come_first_then_older_jobs",
    ),
    "NoDelay": (
        _written(_changed(PutJob, delay_ms=0)),
        QueueConformance,
        "test_a_delayed_job_comes_when_it_is_due_and_wakes_who_waits",
    ),
    "NoDedupe": (
        _written(_changed(PutJob, dedupe=None)),
        QueueConformance,
        "test_a_dedupe_key_holds_until_the_job_ends",
    ),
    "NeverReplaced": (
        _written(_changed(PutJob, on_duplicate="keep")),
        QueueConformance,
        "test_a_waiting_job_is_replaced",
    ),
    "ForgottenKeys": (
        _written(_changed(PutJob, dedupe_ms=0)),
        QueueConformance,
        "test_an_idempotency_key_outlives_its_job",
    ),
    "NeverCancelled": (
        _never_cancelled,
        QueueConformance,
        "test_a_job_that_waits_is_cancelled_at_once",
    ),
    "ToldTwice": (
        _told_twice,
        QueueConformance,
        "test_of_many_that_fire_the_first_puts_the_jobs",
    ),
    "Early": (_early, QueueConformance, "test_the_server_decides_whether_it_is_time"),
    "AlwaysAnew": (
        _always_anew,
        QueueConformance,
        "test_a_schedule_goes_on_or_begins_anew_as_its_rule_says",
    ),
    "NoTurns": (
        _written(_changed(PutJob, limit_key="one")),
        QueueConformance,
        "test_keys_take_turns_whoever_came_first",
    ),
    "Unlimited": (
        _unlimited,
        QueueConformance,
        "test_a_queue_has_no_more_jobs_claimed_than_its_limit",
    ),
    "PlacesKept": (
        _places_kept,
        QueueConformance,
        "test_a_key_has_no_more_jobs_claimed_than_the_limit_of_keys",
    ),
    "NeverWaiting": (
        _written(_changed(PutJob, after=())),
        QueueConformance,
        "test_a_job_waits_for_all_that_it_comes_after_and_gets_their_results",
    ),
    "NeverFreed": (
        _never_freed,
        QueueConformance,
        "test_a_chain_is_done_in_its_order",
    ),
    "NeverFallen": (
        _never_fallen,
        QueueConformance,
        "test_what_comes_after_a_cancelled_job_is_cancelled",
    ),
    "NeverCalled": (
        _never_called,
        QueueConformance,
        "test_a_callback_is_called_once_all_of_its_batch_have_ended",
    ),
    "AlwaysCalled": (
        _always_called,
        QueueConformance,
        "test_where_all_must_succeed_a_dead_job_is_the_callbacks_end",
    ),
    "NoResults": (
        _written(_changed(EndJob, "ack", payload=b"null")),
        QueueConformance,
        "test_a_done_job_gives_its_result",
    ),
    "NeverDead": (
        _written(_changed(EndJob, "retry", ending="release")),
        QueueConformance,
        "test_a_failed_job_comes_back_after_its_backoff_until_it_is_dead",
    ),
    "NoDetails": (
        _written(_changed(EndJob, "retry", detail=b"")),
        QueueConformance,
        "test_failed_attempts_are_kept_with_their_reasons",
    ),
    "LateWorkCounts": (
        _late_work_counts,
        QueueConformance,
        "test_an_old_claim_is_no_use_after_the_job_was_claimed_again_by_the_same",
    ),
    "Fragile": (
        _fragile,
        QueueConformance,
        "test_however_a_handler_ends_it_is_one_failed_attempt",
    ),
    "EndsWithChildren": (
        _ends_with_children,
        QueueConformance,
        "test_however_a_handler_ends_it_is_one_failed_attempt",
    ),
    "Halves": (_halves, QueueConformance, "test_what_is_refused_changes_nothing"),
    "NoRemovals": (
        pages(_without_removals),
        WatchConformance,
        "test_every_way_of_changing_an_entry_is_seen",
    ),
    "Twice": (
        pages(_twice),
        WatchConformance,
        "test_a_watch_yields_what_is_stored_from_its_beginning_on",
    ),
    "CursorsAtTheEnd": (
        pages(_cursors_at_the_end),
        WatchConformance,
        "test_each_change_tells_where_to_go_on",
    ),
    "NothingExpires": (
        _nothing_expires,
        WatchConformance,
        "test_expiry_is_seen_without_any_sweep",
    ),
    "LostBeats": (
        _lost_beats,
        PresenceConformance,
        "test_a_member_lives_as_long_as_it_beats",
    ),
}


class _Broken(Conformance):
    """Provides ``connect`` on SQLite files after the class attribute ``defect``."""

    defect: Callable[[pytest.MonkeyPatch], None]

    @pytest.fixture
    def connect(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Connect:
        type(self).defect(monkeypatch)
        # What never comes need not be waited for so long.
        monkeypatch.setattr(watch, "SECONDS_TO_WAIT", 1.0)
        monkeypatch.setattr(queue_workers, "LONG", 1.0)
        return lambda **settings: open_memory(f"sqlite:///{tmp_path}/a.db", **settings)


def broken(defects: dict[str, Any]) -> dict[str, type]:
    """Return a class of tests for each defect, by name."""
    return {
        f"Test{name}": type(
            f"Test{name}",
            (_Broken,),
            {"defect": staticmethod(defect), test: getattr(suite, test)},
        )
        for name, (defect, suite, test) in defects.items()
    }


globals().update(broken(DEFECTS))
