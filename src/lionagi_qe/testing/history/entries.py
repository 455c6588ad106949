"""Judges entries: named anomalies first, as they say most, then linearizability of each key."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lionagi_qe.testing.history.entry_model import EntryModel
from lionagi_qe.testing.history.linearizability import find_order
from lionagi_qe.testing.history.operations import NEVER
from lionagi_qe.testing.history.violation import Kind, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lionagi_qe.testing.history.steps import EntryStep, KeyHistory
    from lionagi_qe.testing.history.violation import Promises

# How many of the steps between which no order was found are shown.
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Linearized:
    """What became of the search for an order of one key's calls."""

    violation: Violation | None
    decided: bool
    searched: int


def linearize(history: KeyHistory, promises: Promises) -> Linearized:
    """Search for an order of a key's calls in which each answer is right."""
    order = find_order(EntryModel(), history.steps, promises.search_limit)
    if order.found is not False:
        return Linearized(None, order.found is not None, order.searched)
    message = (
        f"{history.key!r}: after {len(order.placed)} of {len(history.steps)} steps in the best "
        f"order found, the entry is {order.state}, and none of the calls that come next fits; "
        "the last ones placed, then those"
    )
    shown = [*order.placed[-_SHOWN:], *order.stuck[:_SHOWN]]
    operations = tuple(dict.fromkeys(step.operation for step in shown))
    return Linearized(
        Violation(Kind.NOT_LINEARIZABLE, message, operations), decided=True, searched=order.searched
    )


def anomalies(history: KeyHistory, promises: Promises) -> Iterator[Violation]:
    """Yield what one key's calls show by themselves; each value is written once at most."""
    found = _Anomalies(history, promises)
    yield from found.of_reads()
    yield from found.of_revisions()
    yield from found.of_comparisons()
    yield from found.of_numbers()


class _Anomalies:
    def __init__(self, history: KeyHistory, promises: Promises) -> None:
        self._key = history.key
        self._steps = history.steps
        self._refused = history.refused
        self._promises = promises

    def _violation(self, kind: Kind, message: str, *steps: EntryStep) -> Violation:
        return Violation(kind, f"{self._key!r}: {message}", tuple(step.operation for step in steps))

    # What the key's history has

    @cached_property
    def _reads(self) -> list[EntryStep]:
        return [step for step in self._steps if step.what == "read"]

    @cached_property
    def _adds(self) -> list[EntryStep]:
        return [step for step in self._steps if step.what == "add"]

    @cached_property
    def _puts(self) -> list[EntryStep]:
        return [step for step in self._steps if step.what == "put"]

    @cached_property
    def _writers(self) -> Mapping[str, EntryStep]:
        """Who wrote each value, where that is clear."""
        writers: dict[str, EntryStep] = {}
        doubled: set[str] = set()
        for step in self._puts:
            if step.value in writers:
                doubled.add(step.value)
            if step.value is not None:
                writers[step.value] = step
        return {value: step for value, step in writers.items() if value not in doubled}

    @cached_property
    def _removals(self) -> list[EntryStep]:
        """Return what can have made the entry absent, expiry but for its own time aside."""
        return [step for step in self._steps if step.what == "delete" and step.is_change]

    @cached_property
    def _shortened(self) -> bool:
        return any(step.what == "touch" for step in self._steps)

    # Reads

    def of_reads(self) -> Iterator[Violation]:
        if self._adds:
            return
        refused = {step.value: step for step in self._refused if step.what == "put"}
        written = {step.value for step in self._puts}
        for read in self._reads:
            if read.value is None:
                yield from self._absent(read)
            elif read.value not in written:
                writer = refused.get(read.value)
                if writer is not None:
                    message = "a change that said it was not applied was read"
                    yield self._violation(Kind.REFUSED_APPLIED, message, writer, read)
                else:
                    yield self._violation(Kind.UNWRITTEN_VALUE, f"{read.value} was read", read)
            elif (writer := self._writers.get(read.value)) is not None:
                yield from self._present(read, writer)

    def _absent(self, read: EntryStep) -> Iterator[Violation]:
        for put in self._puts:
            if not put.required or put.ended >= read.invoked:
                continue
            if any(self._may_follow(other, put, read) for other in self._removals):
                continue
            others = [each for each in self._puts if self._may_follow(each, put, read)]
            if not any(each.ttl for each in [put, *others]) and not self._shortened:
                yield self._gone(read, put, "no entry was read after it, and nobody deleted it")
                return
            if not others and not self._shortened:
                ends = put.invoked + put.ttl
                if put.ttl and read.ended < ends - self._promises.early:
                    message = f"gone at least {ends - read.ended:.3f} s before its TTL was over"
                    yield self._violation(Kind.EXPIRED_EARLY, message, put, read)
                    return

    @staticmethod
    def _may_follow(other: EntryStep, put: EntryStep, read: EntryStep) -> bool:
        """Whether a change can have come between a put and a read."""
        return other is not put and other.ended >= put.invoked and other.invoked <= read.ended

    def _present(self, read: EntryStep, writer: EntryStep) -> Iterator[Violation]:
        if writer.invoked > read.ended:
            message = "a value was read before it was written"
            yield self._violation(Kind.READ_TOO_EARLY, message, read, writer)
            return
        for change in [*self._puts, *self._removals]:
            if change.required and writer.ended < change.invoked and change.ended < read.invoked:
                yield self._gone(read, change, "an older value was read after it", writer)
                return
        latest = self._latest_end(writer)
        if read.invoked > latest + self._promises.late:
            message = f"seen {read.invoked - latest:.3f} s after its TTL was over"
            yield self._violation(Kind.EXPIRED_LATE, message, writer, read)

    def _gone(self, read: EntryStep, change: EntryStep, what: str, *more: EntryStep) -> Violation:
        seen = any(
            step.value == change.value
            for step in self._reads
            if change.value is not None and step.ended > change.ended
        )
        kind = Kind.STALE_READ if seen else Kind.LOST_WRITE
        return self._violation(kind, what, change, *more, read)

    def _latest_end(self, writer: EntryStep) -> float:
        """Return when an entry must have expired by the latest."""
        if not writer.ttl or not writer.required:
            return NEVER
        ends = [writer.ended + writer.ttl]
        ends += [
            step.ended + step.ttl if step.ttl else NEVER
            for step in self._steps
            if step.what == "touch" and step.told is not False
        ]
        return max(ends)

    # Revisions

    def of_revisions(self) -> Iterator[Violation]:
        """What was read or written later in time has no smaller revision."""
        told = [step for step in self._steps if step.revision and step.required]
        by_end = sorted(told, key=lambda step: step.ended)
        latest: EntryStep | None = None
        at = 0
        for step in told:  # in the order of their beginnings
            while at < len(by_end) and by_end[at].ended < step.invoked:
                if latest is None or by_end[at].revision > latest.revision:
                    latest = by_end[at]
                at += 1
            if latest is None:
                continue
            if step.what == "read" and step.revision < latest.revision:
                message = f"revision {step.revision} was read after {latest.revision} was there"
                yield self._violation(Kind.READ_WENT_BACK, message, latest, step)
            elif step.what == "put" and step.revision <= latest.revision:
                message = f"revision {step.revision} was given after {latest.revision}"
                yield self._violation(Kind.REVISION_WENT_BACK, message, latest, step)

    def of_comparisons(self) -> Iterator[Violation]:
        winners: dict[int, EntryStep] = {}
        # Who creates may win again where the entry may have gone meanwhile.
        goes = bool(self._removals) or any(step.ttl for step in self._steps)
        for step in self._steps:
            if not step.required or step.expected is None or step.what == "conflict":
                continue
            if step.expected == 0 and goes:
                continue
            if step.expected in winners:
                message = f"both expected revision {step.expected}, and both were applied"
                winner = winners[step.expected]
                yield self._violation(Kind.BOTH_WON, message, winner, step)
            winners[step.expected] = step

    # Numbers

    def of_numbers(self) -> Iterator[Violation]:
        """Bound the sums of a counter by what was acknowledged and what may have been applied."""
        if not self._adds or self._puts or self._removals or self._sums_may_fall():
            return
        told = [(step, float(step.told)) for step in self._adds if step.told is not None]
        for read in self._reads:
            value = float(read.value or 0)
            told.append((read, value))
        for step, total in told:
            own = step.amount if step.what == "add" else 0.0
            others = [each for each in self._adds if each is not step]
            least = own + math.fsum(
                each.amount for each in others if each.required and each.ended < step.invoked
            )
            most = own + math.fsum(each.amount for each in others if each.invoked <= step.ended)
            if total < least:
                message = f"{total:g}, where at least {least:g} had been acknowledged"
                yield self._violation(Kind.LOST_INCREMENT, message, step)
            elif total > most:
                message = f"{total:g}, where at most {most:g} can have been applied"
                yield self._violation(Kind.EXTRA_INCREMENT, message, step, *self._refused[:3])
        yield from self._same_sums()

    def _sums_may_fall(self) -> bool:
        """Whether sums may fall, so that they tell nothing by themselves."""
        return any(step.amount < 0 for step in self._adds)

    def _same_sums(self) -> Iterator[Violation]:
        sums: dict[float, EntryStep] = {}
        for step in self._adds:
            if step.told is None or step.amount == 0:
                continue
            if step.told in sums:
                message = f"two increments came to {step.told}"
                yield self._violation(Kind.LOST_INCREMENT, message, sums[step.told], step)
            sums[step.told] = step


def judge_entries(
    histories: Iterable[KeyHistory], promises: Promises
) -> Iterator[tuple[list[Violation], Linearized]]:
    """Yield for each key what its calls show, and what became of the search for their order."""
    for history in histories:
        yield list(anomalies(history, promises)), linearize(history, promises)
