"""Judges queues: each job at least once, in one worker's hands, and never again after its ack."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe.testing.history.steps import canonical
from lionagi_qe.testing.history.violation import Kind, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lionagi_qe.testing.history.operations import History, Operation
    from lionagi_qe.testing.history.steps import KeyHistory
    from lionagi_qe.testing.history.violation import Promises


@dataclass(frozen=True, slots=True)
class _Hold:
    """A claim of a job, its end or its prolongation, with the claim's number."""

    number: int
    operation: Operation


@dataclass(slots=True)
class _Job:
    """All that happened to a job."""

    puts: list[Operation] = field(default_factory=list["Operation"])
    claims: list[_Hold] = field(default_factory=list[_Hold])
    acks: list[_Hold] = field(default_factory=list[_Hold])
    returns: list[_Hold] = field(default_factory=list[_Hold])


def judge_jobs(
    history: History, keys: Iterable[KeyHistory], promises: Promises
) -> Iterator[Violation]:
    """Yield what is wrong with the queues of a history, and with transactions that put jobs."""
    jobs = _jobs(history)
    by_key = {key.key: key for key in keys}
    drained = {each.arguments["queue"]: each for each in history.of("drained")}
    for (queue, name), job in jobs.items():
        yield from _judge(f"job {name!r} of {queue!r}", job, promises)
        end = drained.get(queue)
        if end is not None and name not in end.result["dead"]:
            yield from _settled(f"job {name!r} of {queue!r}", job, by_key)
        yield from _seen_without_entries(f"job {name!r} of {queue!r}", job, by_key)


def _jobs(history: History) -> Mapping[tuple[str, str], _Job]:
    jobs: dict[tuple[str, str], _Job] = defaultdict(_Job)
    for operation in history.operations:
        for queue, name in _puts(operation):
            jobs[queue, name].puts.append(operation)
        for queue, name, number in _endings(operation):
            hold = _Hold(number, operation)
            if operation.function in {"ack", "transaction"}:
                jobs[queue, name].acks.append(hold)
            else:
                jobs[queue, name].returns.append(hold)
        if operation.function == "claim" and operation.outcome == "ok":
            for claimed in operation.result:
                hold = _Hold(claimed["claim"], operation)
                jobs[operation.arguments["queue"], claimed["job"]].claims.append(hold)
    return jobs


def _puts(operation: Operation) -> list[tuple[str, str]]:
    """Return the queues and names of jobs that the call puts."""
    arguments = operation.arguments
    match operation.function:
        case "put":
            return [(arguments["queue"], arguments["job"])]
        case "put_many":
            return [(arguments["queue"], name) for name in arguments["jobs"]]
        case "transaction":
            return [(put["queue"], put["job"]) for put in arguments.get("jobs", ())]
        case _:
            return []


def _endings(operation: Operation) -> list[tuple[str, str, int]]:
    """Return the queues, names and claims of jobs that the call ends."""
    endings: Iterable[Mapping[str, Any]]
    match operation.function:
        case "ack" | "retry_job" | "release_job":
            endings = [operation.arguments]
        case "transaction":
            endings = operation.arguments.get("acks", ())
        case _:
            endings = ()
    return [(each["queue"], each["job"], each["claim"]) for each in endings]


def _judge(what: str, job: _Job, promises: Promises) -> Iterator[Violation]:
    yield from _origin(what, job)
    acked = [ack for ack in job.acks if ack.operation.outcome == "ok"]
    if len({ack.number for ack in acked}) > 1:
        operations = tuple(ack.operation for ack in acked)
        yield Violation(Kind.JOB_ACKED_TWICE, f"{what}: by two claims", operations)
    for ack in acked:
        for claim in job.claims:
            if claim.operation.invoked > ack.operation.ended:
                operations = (ack.operation, claim.operation)
                yield Violation(Kind.JOB_AFTER_ACK, f"{what}: was done", operations)
            if claim.number > ack.number and claim.operation.ended < ack.operation.invoked:
                message = f"{what}: claim {claim.number} had it when {ack.number} acknowledged it"
                operations = (claim.operation, ack.operation)
                yield Violation(Kind.LOST_JOB_ACKED, message, operations)
    yield from _hands(what, job, promises)


def _origin(what: str, job: _Job) -> Iterator[Violation]:
    for claim in job.claims:
        put = [each for each in job.puts if each.invoked <= claim.operation.ended]
        if put and all(each.outcome == "fail" for each in put):
            message = f"{what}: handed out, though putting it said that nothing was changed"
            yield Violation(Kind.REFUSED_APPLIED, message, (*put, claim.operation))
        elif not put:
            yield Violation(Kind.JOB_FROM_NOWHERE, f"{what}: handed out", (claim.operation,))


def _hands(what: str, job: _Job, promises: Promises) -> Iterator[Violation]:
    claims = sorted(job.claims, key=lambda claim: claim.number)
    for at, first in enumerate(claims):
        least = first.operation.invoked + first.operation.arguments["lease_ttl"] - promises.early
        for second in claims[at + 1 :]:
            given_back = any(
                each.number == first.number and each.operation.invoked <= second.operation.ended
                for each in job.returns
                if each.operation.outcome != "fail"
            )
            same = second.number == first.number
            if same or (second.operation.ended < least and not given_back):
                message = f"{what}: claims {first.number} and {second.number}"
                operations = (first.operation, second.operation)
                yield Violation(Kind.JOB_IN_TWO_HANDS, message, operations)


def _settled(what: str, job: _Job, by_key: Mapping[str, KeyHistory]) -> Iterator[Violation]:
    """In the end, when the queue has none left, every job was done."""
    if any(ack.operation.outcome != "fail" for ack in job.acks):
        return
    for put in job.puts:
        if put.outcome == "ok":
            message = f"{what}: was put, and never done; it was claimed {len(job.claims)} times"
            yield Violation(Kind.JOB_DROPPED, message, (put,))
        if put.function == "transaction" and not job.claims:
            for read in _reads_of(put, by_key, present=True):
                message = f"{what}: was never handed out, and the entry put with it was there"
                yield Violation(Kind.TRANSACTION_TORN, message, (put, read))
                return


def _seen_without_entries(
    what: str, job: _Job, by_key: Mapping[str, KeyHistory]
) -> Iterator[Violation]:
    for put in job.puts:
        if put.function != "transaction" or not job.claims:
            continue
        handed_out = min((claim.operation for claim in job.claims), key=lambda each: each.ended)
        for read in _reads_of(put, by_key, present=False):
            if read.invoked > handed_out.ended:
                message = f"{what}: was handed out, and the entry put with it was not there"
                yield Violation(Kind.TRANSACTION_TORN, message, (put, handed_out, read))
                return


def _reads_of(
    transaction: Operation, by_key: Mapping[str, KeyHistory], *, present: bool
) -> Iterator[Operation]:
    """Yield reads that found, or didn't find, what only this transaction ever stored."""
    changes: Iterable[Mapping[str, Any]] = transaction.arguments["changes"]
    for change in changes:
        if change["function"] != "store" or change.get("ttl"):
            continue
        history = by_key[change["key"]]
        if len([step for step in history.steps if step.what != "read"]) + len(history.refused) > 1:
            continue
        value = canonical(change["value"])
        for step in history.steps:
            if step.what == "read" and (step.value == value if present else step.value is None):
                yield step.operation
