"""Judges batches and transactions: all of it is there, or nothing."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from lionagi_qe.testing.history.steps import canonical, changes_of
from lionagi_qe.testing.history.violation import Kind, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lionagi_qe.testing.history.operations import History, Operation
    from lionagi_qe.testing.history.steps import EntryStep, KeyHistory
    from lionagi_qe.testing.history.violation import Promises


def judge_batches(
    history: History, keys: Iterable[KeyHistory], promises: Promises
) -> Iterator[Violation]:
    """Yield batches of which a part was seen while the rest can't have been there."""
    by_key = {key.key: key for key in keys}
    batches = history.of("transaction")
    if promises.atomic_batches == "all":
        batches += history.of("store_many")
        yield from _torn_reads(history)
    for batch in batches:
        written = _written(batch)
        alone = {key: value for key, value in written.items() if _written_once(by_key[key])}
        yield from _torn(batch, alone, by_key)


def _written(batch: Operation) -> dict[str, str | None]:
    """Return what a batch stores, by key."""
    return {
        change["key"]: canonical(change["value"])
        for change in changes_of(batch)
        if change["function"] == "store"
    }


def _written_once(key: KeyHistory) -> bool:
    """Whether the batch alone ever changed the entry, so that it is there from then on."""
    changes = [step for step in key.steps if step.what != "read"]
    return len(changes) + len(key.refused) == 1 and not any(step.ttl for step in changes)


def _torn(
    batch: Operation, written: Mapping[str, str | None], by_key: Mapping[str, KeyHistory]
) -> Iterator[Violation]:
    seen: EntryStep | None = None
    for key, value in written.items():
        for step in by_key[key].steps:
            earlier = seen is None or step.ended < seen.ended
            if step.what == "read" and step.value == value and earlier:
                seen = step
    if seen is None:
        return
    for key in written:
        for step in by_key[key].steps:
            if step.what != "read" or step.value is not None:
                continue
            if step.invoked > seen.ended or step.operation is seen.operation:
                yield _partial(
                    batch,
                    f"{seen.key!r} was there, and {key!r} was not",
                    seen.operation,
                    step.operation,
                )
                return


def _partial(batch: Operation, message: str, *others: Operation) -> Violation:
    is_batch = batch.function == "store_many"
    kind = Kind.BATCH_TORN if is_batch else Kind.TRANSACTION_TORN
    return Violation(kind, message, (batch, *others))


def _torn_reads(history: History) -> Iterator[Violation]:
    """Find single reads that show one batch's value of a key beside another's of the next.

    Of keys that only batches of just these keys ever changed.
    """
    batches: dict[frozenset[str], list[Operation]] = defaultdict(list)
    changed: dict[str, set[frozenset[str]]] = defaultdict(set)
    for operation in history.operations:
        keys = frozenset(_changed(operation))
        if operation.function == "store_many":
            batches[keys].append(operation)
        for key in keys:
            changed[key].add(keys)
    for read in history.of("retrieve_many"):
        if read.outcome != "ok":
            continue
        for keys in {group for key in read.arguments["keys"] for group in changed[key]}:
            asked = [key for key in read.arguments["keys"] if key in keys]
            if keys not in batches or any(changed[key] != {keys} for key in asked):
                continue
            sources = {_source(batches[keys], key, read.result.get(key)) for key in asked}
            if len(sources) > 1:
                told = {key: read.result.get(key) for key in asked}
                message = f"one read showed parts of several batches: {told}"
                yield Violation(Kind.BATCH_TORN, message, (read,))


def _changed(operation: Operation) -> Iterable[str]:
    match operation.function:
        case "store_many":
            return operation.arguments["items"]
        case "transaction":
            return [change["key"] for change in operation.arguments["changes"]]
        case "store" | "delete" | "increment" | "touch":
            return [operation.arguments["key"]]
        case _:
            return ()


def _source(batches: Iterable[Operation], key: str, value: object) -> int:
    """Return which batch stored a value; -1 for none."""
    for batch in batches:
        if value is not None and batch.arguments["items"][key] == value:
            return batch.number
    return -1
