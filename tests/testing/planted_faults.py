"""Broken promises to be planted in a valid history, by the kind as which each is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.testing.plant import KEY, Plant

from lionagi_qe.testing.history import NEVER, Kind

if TYPE_CHECKING:
    from collections.abc import Callable


def lost_write(plant: Plant) -> None:
    plant.store("a", 1001)
    plant.store("b", 1002)
    plant.entry("a", 1001)


def lost_first_write(plant: Plant) -> None:
    plant.store("a", 1001)
    plant.entry(None, 0)


def undone_deletion(plant: Plant) -> None:
    plant.store("a", 1001)
    plant("delete", True, key=KEY)
    plant.entry("a", 1001)


def stale_read(plant: Plant) -> None:
    plant.store("a", 1001)
    plant.store("b", 1002)
    plant("retrieve", "a", key=KEY)
    plant("retrieve", "b", key=KEY)


def read_that_went_back(plant: Plant) -> None:
    plant.store("a", 1001)
    plant.store("b", 1002, at=(1, 9))
    plant.entry("b", 1002, at=(2, 3))
    plant.entry("a", 1001, at=(4, 5))


def invented_value(plant: Plant) -> None:
    plant.store("a", 1001)
    plant("retrieve", "z", key=KEY)


def read_from_the_future(plant: Plant) -> None:
    plant("retrieve", "a", key=KEY)
    plant.store("a", 1001)


def refused_and_applied(plant: Plant) -> None:
    plant.refused("store", key=KEY, value="a")
    plant("retrieve", "a", key=KEY)


def conflict_and_applied(plant: Plant) -> None:
    plant.store("a", 1001)
    told = {"key": KEY, "expected": 5, "actual": 1001}
    plant(
        "store",
        told,
        outcome="fail",
        error="RevisionConflictError",
        key=KEY,
        value="b",
        if_revision=5,
    )
    plant("retrieve", "b", key=KEY)


def revision_that_went_back(plant: Plant) -> None:
    plant.store("a", 1002)
    plant.store("b", 1001)


def two_winners(plant: Plant) -> None:
    plant.store("a", 1001)
    plant.store("b", 1002, if_revision=1001, at=(5, 6))
    plant.store("c", 1003, if_revision=1001, at=(5, 6), process="other")


def two_creators(plant: Plant) -> None:
    plant.store("b", 1002, if_revision=0, at=(5, 6))
    plant.store("c", 1003, if_revision=0, at=(5, 6), process="other")


def lost_increment(plant: Plant) -> None:
    plant("increment", 1, key=KEY, amount=1)
    plant("increment", 2, key=KEY, amount=1)
    plant("increment", 2, key=KEY, amount=1)


def lost_increment_at_the_end(plant: Plant) -> None:
    plant("increment", 1, key=KEY, amount=1)
    plant("increment", 3, key=KEY, amount=2)
    plant.entry(1, 1001)


def increment_applied_twice(plant: Plant) -> None:
    plant("increment", 1, key=KEY, amount=1)
    plant.unknown("increment", key=KEY, amount=1)
    plant.entry(3, 1002)


def refused_increment_applied(plant: Plant) -> None:
    plant("increment", 1, key=KEY, amount=1)
    plant.refused("increment", key=KEY, amount=1)
    plant.entry(2, 1002)


def impossible_conflict(plant: Plant) -> None:
    """It depended on the very revision that the entry had all the while."""
    plant.store("a", 1001)
    told = {"key": KEY, "expected": 1001, "actual": None}
    plant(
        "store",
        told,
        outcome="fail",
        error="RevisionConflictError",
        key=KEY,
        value="b",
        if_revision=1001,
    )
    plant.entry("a", 1001)


def unknown_outcome_that_settles_twice(plant: Plant) -> None:
    """Sent once, applied twice: it came back after another change had replaced it."""
    plant.unknown("store", key=KEY, value="a")
    plant.entry("a", 1001)
    plant.store("b", 1002)
    plant.entry("b", 1002)
    plant.entry("a", 1003)


def expired_early(plant: Plant) -> None:
    plant.store("a", 1001, ttl=10)
    plant("retrieve", None, key=KEY)


def expired_late(plant: Plant) -> None:
    plant.store("a", 1001, ttl=1, at=(0, 0.1))
    plant("retrieve", "a", key=KEY, at=(3, 3.1))


def half_a_batch(plant: Plant) -> None:
    plant.unknown("store_many", items={f"{KEY}/1": "b", f"{KEY}/2": "b"})
    plant("retrieve", "b", key=f"{KEY}/1")
    plant("retrieve", None, key=f"{KEY}/2")


def batches_mixed_in_a_read(plant: Plant) -> None:
    keys = [f"{KEY}/1", f"{KEY}/2"]
    plant("store_many", dict(zip(keys, (1001, 1002), strict=True)), items=dict.fromkeys(keys, "a"))
    plant(
        "store_many",
        dict(zip(keys, (1003, 1004), strict=True)),
        items=dict.fromkeys(keys, "b"),
        at=(5, 9),
    )
    plant("retrieve_many", dict(zip(keys, "ba", strict=True)), keys=keys, at=(6, 7))


def transaction_without_its_job(plant: Plant) -> None:
    plant.unknown(
        "transaction",
        changes=[{"function": "store", "key": KEY, "value": "t"}],
        jobs=[{"queue": "planted", "job": "t"}],
    )
    plant.entry("t", 1001)
    plant.drained()


def job_without_its_transaction(plant: Plant) -> None:
    plant.transaction(outcome="info", error="OutcomeUnknownError")
    plant.claim(1, "t")
    plant.ack("t", 1)
    plant.entry(None, 0)


def refused_transaction_with_a_job(plant: Plant) -> None:
    plant.transaction(outcome="fail", error="BackendUnavailableError")
    plant.claim(1, "t")


def doubled_token(plant: Plant) -> None:
    plant.acquire(7, at=(0, 1))
    plant.acquire(7, at=(10, 11))


def token_that_went_back(plant: Plant) -> None:
    plant.acquire(8, at=(0, 1))
    plant.acquire(7, at=(10, 11))


def two_holders(plant: Plant) -> None:
    plant.acquire(7, at=(0, 0.1))
    plant.acquire(8, at=(1, 1.1))


def stale_holder(plant: Plant) -> None:
    plant.acquire(7, at=(0, 0.1))
    plant.acquire(8, at=(6, 6.1))
    plant.fenced("a", 1001, 7, at=(7, 7.1))


def stale_holder_by_revision(plant: Plant) -> None:
    plant.acquire(7, at=(0, 0.1))
    plant.acquire(8, at=(6, 6.5))
    plant.fenced("b", 1001, 8, at=(6.2, 6.4), process="other")
    plant.fenced("a", 1002, 7, at=(6.3, 6.6))


def released_holder(plant: Plant) -> None:
    plant.acquire(7)
    plant("release", True, lease="planted", token=7)
    plant.fenced("a", 1001, 7)


def refused_holder(plant: Plant) -> None:
    plant.acquire(7)
    fence = {"lease": "planted", "token": 7}
    plant(
        "store", "stale", outcome="fail", error="StaleFenceError", key=KEY, value="a", fence=fence
    )


def stale_and_applied(plant: Plant) -> None:
    fence = {"lease": "planted", "token": 7}
    plant(
        "store", "stale", outcome="fail", error="StaleFenceError", key=KEY, value="a", fence=fence
    )
    plant.entry("a", 1001)


def dropped_job(plant: Plant) -> None:
    plant.put("a")
    plant.drained()


def dropped_after_its_worker_died(plant: Plant) -> None:
    plant.put("a")
    plant.claim(1, "a")
    plant.drained()


def job_after_its_ack(plant: Plant) -> None:
    plant.put("a")
    plant.claim(1, "a", at=(5, 5.1))
    plant.ack("a", 1, at=(6, 6.1))
    plant.claim(2, "a", at=(20, 20.1))


def job_acknowledged_twice(plant: Plant) -> None:
    plant.put("a")
    plant.claim(1, "a", at=(5, 5.1))
    plant.claim(2, "a", at=(12, 12.1))
    plant.ack("a", 1, at=(12, 13))
    plant.ack("a", 2, at=(12.5, 13.1))


def ack_of_a_lost_job(plant: Plant) -> None:
    plant.put("a")
    plant.claim(1, "a", at=(5, 5.1))
    plant.claim(2, "a", at=(12, 12.1))
    plant.ack("a", 1, at=(13, 13.1))


def job_in_two_hands(plant: Plant) -> None:
    plant.put("a")
    plant.claim(1, "a", at=(5, 5.1))
    plant.claim(2, "a", at=(6, 6.1))


def job_that_nobody_put(plant: Plant) -> None:
    plant.claim(1, "a")


def refused_job_handed_out(plant: Plant) -> None:
    plant.put("a", outcome="fail", error="BackendUnavailableError")
    plant.claim(1, "a")


def watch_gap(plant: Plant) -> None:
    plant.watch()
    plant.store("a", 1001)
    plant.store("b", 1002)
    plant.change("a", 1001)
    plant("watch_end", watch="planted")


def watch_gap_of_a_deletion(plant: Plant) -> None:
    plant.watch()
    plant.store("a", 1001)
    plant.change("a", 1001)
    plant("delete", True, key=KEY)
    plant("watch_end", watch="planted")


def watch_out_of_order(plant: Plant) -> None:
    plant.watch()
    plant.store("a", 1001)
    plant.store("b", 1002)
    plant.change("b", 1002)
    plant.change("a", 1001)


def watch_that_repeats(plant: Plant) -> None:
    plant.watch()
    plant.store("a", 1001)
    plant.change("a", 1001)
    plant.change("a", 1001)


def watch_that_invents(plant: Plant) -> None:
    plant.watch()
    plant.store("a", 1001)
    plant.change("b", 1002)


def watch_of_a_refused_change(plant: Plant) -> None:
    plant.watch()
    plant.refused("store", key=KEY, value="a")
    plant.change("a", 1001)


def watch_of_a_deletion_that_nobody_made(plant: Plant) -> None:
    plant.watch()
    plant.store("a", 1001)
    plant.change(None, 1002, kind="deleted")


def missing_member(plant: Plant) -> None:
    plant("join", group="g", agent="a", ttl=10)
    plant("alive", ["b"], group="g")


def member_that_stayed(plant: Plant) -> None:
    plant("join", group="g", agent="a", ttl=1, at=(0, 0.1))
    plant("gone", group="g", agent="a", at=(1, 1))
    plant("alive", ["a"], group="g", at=(5, 5.1))


def member_that_left_and_stayed(plant: Plant) -> None:
    plant("join", group="g", agent="a", ttl=10)
    plant("leave", group="g", agent="a")
    plant("alive", ["a"], group="g")


def late_answer(plant: Plant) -> None:
    plant("retrieve", None, key=KEY, timeout=1.0, at=(0, 2.5))


def no_answer(plant: Plant) -> None:
    plant("store", outcome="info", key=KEY, value="a", timeout=1.0, at=(0, NEVER))
    plant("closed", tasks=[], at=(9, 9))


def stray_error(plant: Plant) -> None:
    plant("store", "locked", outcome="info", error="OperationalError", key=KEY, value="a")


def left_over_task(plant: Plant) -> None:
    plant("closed", tasks=["renew lease l"])


PLANTED: dict[Kind, list[Callable[[Plant], None]]] = {
    Kind.LOST_WRITE: [lost_write, lost_first_write, undone_deletion],
    Kind.STALE_READ: [stale_read],
    Kind.READ_WENT_BACK: [read_that_went_back],
    Kind.UNWRITTEN_VALUE: [invented_value],
    Kind.READ_TOO_EARLY: [read_from_the_future],
    Kind.REFUSED_APPLIED: [
        refused_and_applied,
        conflict_and_applied,
        stale_and_applied,
        refused_job_handed_out,
        refused_transaction_with_a_job,
        watch_of_a_refused_change,
    ],
    Kind.REVISION_WENT_BACK: [revision_that_went_back],
    Kind.BOTH_WON: [two_winners, two_creators],
    Kind.LOST_INCREMENT: [lost_increment, lost_increment_at_the_end],
    Kind.EXTRA_INCREMENT: [increment_applied_twice, refused_increment_applied],
    Kind.NOT_LINEARIZABLE: [impossible_conflict, unknown_outcome_that_settles_twice],
    Kind.EXPIRED_EARLY: [expired_early],
    Kind.EXPIRED_LATE: [expired_late],
    Kind.BATCH_TORN: [half_a_batch, batches_mixed_in_a_read],
    Kind.TRANSACTION_TORN: [transaction_without_its_job, job_without_its_transaction],
    Kind.TOKEN_DOUBLED: [doubled_token],
    Kind.TOKEN_WENT_BACK: [token_that_went_back],
    Kind.LEASE_HELD_TWICE: [two_holders],
    Kind.STALE_HOLDER_WROTE: [stale_holder, stale_holder_by_revision, released_holder],
    Kind.HOLDER_REFUSED: [refused_holder],
    Kind.JOB_DROPPED: [dropped_job, dropped_after_its_worker_died],
    Kind.JOB_AFTER_ACK: [job_after_its_ack],
    Kind.JOB_ACKED_TWICE: [job_acknowledged_twice],
    Kind.LOST_JOB_ACKED: [ack_of_a_lost_job],
    Kind.JOB_IN_TWO_HANDS: [job_in_two_hands],
    Kind.JOB_FROM_NOWHERE: [job_that_nobody_put],
    Kind.WATCH_GAP: [watch_gap, watch_gap_of_a_deletion],
    Kind.WATCH_OUT_OF_ORDER: [watch_out_of_order],
    Kind.WATCH_REPEATED: [watch_that_repeats],
    Kind.WATCH_INVENTED: [watch_that_invents, watch_of_a_deletion_that_nobody_made],
    Kind.MEMBER_MISSING: [missing_member],
    Kind.MEMBER_STAYED: [member_that_stayed, member_that_left_and_stayed],
    Kind.LATE_ANSWER: [late_answer, no_answer],
    Kind.STRAY_ERROR: [stray_error],
    Kind.LEFT_OVER: [left_over_task],
}
