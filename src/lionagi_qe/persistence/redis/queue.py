"""Work queues in Redis: sorted sets that scripts move jobs between, each queue in one shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import CrossShardError
from lionagi_qe.persistence.contract.job_batches import (
    BATCH_JOB_STATES,
    BatchJobRecord,
    BatchRecord,
    when_of,
)
from lionagi_qe.persistence.contract.job_pages import (
    ListedState,
    end_in_line,
    place_in_line,
    position_of,
)
from lionagi_qe.persistence.contract.job_states import STATES
from lionagi_qe.persistence.contract.jobs import (
    LEASE_ENDED,
    Claim,
    ClaimedJob,
    JobOperation,
    JobRecord,
    JobRecordPage,
    JobResult,
    ListedRecord,
    PutJob,
    QueueCounts,
    TransactionOperations,
    TransactionResults,
)
from lionagi_qe.persistence.contract.notifier import Notifier
from lionagi_qe.persistence.redis import scripts
from lionagi_qe.persistence.redis.job_details import details_of
from lionagi_qe.persistence.redis.job_operations import job_results_of, job_words_of, refusal_of
from lionagi_qe.persistence.redis.listen import Listener
from lionagi_qe.persistence.redis.operations import (
    fence_words,
    result_of,
    scatter,
    spare_removals,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.job_details import JobDetails
    from lionagi_qe.persistence.contract.sealed_texts import JobText, TextExchange
    from lionagi_qe.persistence.redis.session import RedisSession

_FIELDS = 10
# What ``find`` adds: the failed attempts.
_FIELDS_FOUND = _FIELDS + 1
# The field of each text in a job's hash; the last two lie elsewhere.
_TEXTS: dict[JobText, str] = {
    "payload": "p",
    "outcome": "o",
    "progress": "g",
    "failures": "f",
    "before": "b",
    "member": "m",
}
# The sorted set of each state, and from which end it is listed.
_SETS: dict[ListedState, tuple[str, str]] = {
    "ready": ("r", "up"),
    "delayed": ("w", "up"),
    "waiting": ("a", "up"),
    "claimed": ("l", "up"),
    "done": ("f", "down"),
    "dead": ("x", "down"),
    "cancelled": ("c", "down"),
}


class RedisJobs:
    """The queues of the backend's fleet."""

    def __init__(self, session: RedisSession) -> None:
        self._session = session
        self.notifier = Notifier()
        self._listener = Listener(session.link, self.notifier)

    def _shard_of(self, queue: str) -> int:
        return self._session.shards.of(queue)

    async def listen(self, queue: str) -> bool:
        """Subscribe to the queue's channel, on a connection of its own."""
        prefix = self._session.shards.prefixes[self._shard_of(queue)]
        return await self._listener.listen(f"{prefix}:q:{queue}", queue)

    async def close(self) -> None:
        """Stop listening."""
        await self._listener.close()

    # Changing

    async def write(self, operations: Sequence[JobOperation]) -> list[JobResult]:
        """Send each shard its operations in one call."""

        async def apply(shard: int, chosen: Sequence[JobOperation]) -> list[JobResult]:
            answer = await self._session.run(
                scripts.QUEUE_APPLY,
                shard,
                len(chosen),
                *job_words_of(chosen),
                *fence_words(chosen),
                mutates=True,
            )
            return job_results_of(chosen, answer)

        async def send(shard: int, chosen: list[JobOperation]) -> list[JobResult]:
            return await spare_removals(
                chosen,
                lambda operation: not isinstance(operation, PutJob),
                lambda some: apply(shard, some),
            )

        return await scatter(
            operations,
            lambda operation: self._shard_of(operation.queue),
            send,
            share_errors=True,
        )

    async def transact(self, step: TransactionOperations) -> TransactionResults:
        """Send all in one call, if all of it lies in one shard."""
        shards = {self._session.shards.of(operation.key) for operation in step.operations}
        shards |= {self._shard_of(operation.queue) for operation in step.jobs}
        if len(shards) > 1:
            names = sorted({operation.key for operation in step.operations})
            names += sorted({f"queue {operation.queue}" for operation in step.jobs})
            msg = (
                f"one step over {len(shards)} shards ({', '.join(names)}): what changes together "
                "must lie in one; make the fleet with ?colocate=1 and let keys and queues that "
                "change together begin with the same segment, or make it with ?shards=1"
            )
            raise CrossShardError(msg)
        answer = await self._session.run(
            scripts.QUEUE_TRANSACT,
            shards.pop(),
            len(step.operations),
            len(step.jobs),
            *words_of(step.operations),
            *job_words_of(step.jobs),
            *fence_words([*step.operations, *step.jobs]),
            mutates=True,
        )
        if answer[0] in {b"entry", b"job"}:
            raise refusal_of(step, *answer)
        split = 2 * len(step.operations)
        pairs = zip(answer[:split:2], answer[1:split:2], strict=True)
        results = [
            result_of(operation, status, figure)
            for operation, (status, figure) in zip(step.operations, pairs, strict=True)
        ]
        return TransactionResults(
            results, [str(result) for result in job_results_of(step.jobs, answer[split:])]
        )

    async def claim(self, queue: str, count: int, lease_ms: int) -> Claim:
        """Pop the first of the line."""
        due, *flat = await self._session.run(
            scripts.QUEUE_CLAIM,
            self._shard_of(queue),
            queue,
            count,
            lease_ms,
            LEASE_ENDED,
            mutates=True,
        )
        jobs: list[ClaimedJob] = []
        for at in range(0, len(flat), 7):
            job_id, payload, *numbers = flat[at : at + 7]
            priority, attempt, most, number, created = map(int, numbers)
            jobs.append(
                ClaimedJob(job_id.decode(), payload, priority, attempt, most, number, created)
            )
        return Claim(jobs, int(due) if due else None)

    async def revive(self, queue: str, job_ids: Sequence[str]) -> int:
        """Put dead ones back in line, at their old places."""
        return await self._dead("revive", queue, job_ids)

    async def purge(self, queue: str, job_ids: Sequence[str]) -> int:
        """Delete dead ones."""
        return await self._dead("purge", queue, job_ids)

    async def exchange(self, queue: str, exchanges: Sequence[TextExchange]) -> int:
        """Exchange sealed texts in one call."""
        words: list[Any] = []
        for job_id, text, old, new, before in exchanges:
            words += job_id, _TEXTS[text], before, old, new
        shard = self._shard_of(queue)
        return await self._session.run(
            scripts.QUEUE_EXCHANGE, shard, "exchange", queue, *words, mutates=True
        )

    async def results_kept(
        self, queue: str, job_ids: Sequence[str]
    ) -> list[tuple[str, str, bytes | str]]:
        """Read what is kept with each job."""
        flat = await self._session.run(
            scripts.QUEUE_EXCHANGE,
            self._shard_of(queue),
            "results",
            queue,
            *job_ids,
            mutates=False,
        )
        return [
            (flat[at].decode(), flat[at + 1].decode(), flat[at + 2])
            for at in range(0, len(flat), 3)
        ]

    async def _dead(self, what: str, queue: str, job_ids: Sequence[str]) -> int:
        return await self._session.run(
            scripts.QUEUE_DEAD, self._shard_of(queue), what, queue, *job_ids, mutates=True
        )

    # Looking

    async def find(self, queue: str, job_ids: Sequence[str]) -> list[JobRecord | None]:
        """Read the jobs' hashes."""
        flat = await self._read_jobs("find", queue, *job_ids)
        width = _FIELDS_FOUND
        records = [_record(flat[at : at + width]) for at in range(0, len(flat), width)]
        found = {record.job_id: record for record in records}
        return [found.get(job_id) for job_id in job_ids]

    async def details(self, queue: str, job_id: str) -> JobDetails | None:
        """Read its hashes."""
        shard = self._shard_of(queue)
        return details_of(
            await self._session.run(
                scripts.QUEUE_LOOK, shard, "details", queue, job_id, mutates=False
            )
        )

    async def list_dead(self, queue: str, after: str, limit: int) -> list[JobRecord]:
        """Read a page of the dead ones."""
        flat = await self._read_jobs("dead", queue, after, limit)
        return [_record(flat[at : at + _FIELDS]) for at in range(0, len(flat), _FIELDS)]

    async def list_jobs(
        self, queue: str, state: ListedState, after: str, limit: int
    ) -> JobRecordPage:
        """Read a page of the state's sorted set."""
        letter, direction = _SETS[state]
        key, position = place_in_line(after) if state == "ready" else (None, after)
        score, member = position_of(position) if position else ("", "")
        last, name, line, *flat = await self._session.run(
            scripts.QUEUE_PAGE,
            self._shard_of(queue),
            queue,
            letter,
            direction,
            score,
            member,
            limit,
            key or "",
            mutates=False,
        )
        width = _FIELDS + 1
        listed = [
            ListedRecord(_record(flat[at : at + _FIELDS]), int(flat[at + _FIELDS] or 0) or None)
            for at in range(0, len(flat), width)
        ]
        if not last:
            return JobRecordPage(listed, None)
        key = line.decode() or None
        return JobRecordPage(listed, end_in_line(key, f"{last.decode()}:{name.decode()}"))

    async def _read_jobs(self, what: str, queue: str, *arguments: Any) -> list[Any]:  # noqa: ANN401
        return await self._session.run(
            scripts.QUEUE_LOOK, self._shard_of(queue), what, queue, *arguments, mutates=False
        )

    async def count(self, queue: str) -> QueueCounts:
        """Ask the sets for their sizes."""
        counts = await self._session.run(
            scripts.QUEUE_LOOK, self._shard_of(queue), "count", queue, mutates=False
        )
        return QueueCounts(*counts, exact=True)

    async def results_before(self, queue: str, job_id: str) -> list[tuple[str, bytes | str]]:
        """Read what was kept with the job."""
        flat = await self._session.run(
            scripts.QUEUE_LOOK, self._shard_of(queue), "results", queue, job_id, mutates=False
        )
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return sorted((before.decode(), result) for before, result in pairs)

    async def find_batch(self, queue: str, batch_id: str) -> BatchRecord | None:
        """Read its hash."""
        found = await self._batches("find", queue, batch_id)
        return found[0] if found else None

    async def list_batches(self, queue: str, after: str, limit: int) -> list[BatchRecord]:
        """Read a page of the queue's."""
        return await self._batches("list", queue, after, limit)

    async def _batches(self, what: str, queue: str, *arguments: Any) -> list[BatchRecord]:  # noqa: ANN401
        flat = await self._session.run(
            scripts.QUEUE_BATCH_LOOK, self._shard_of(queue), what, queue, *arguments, mutates=False
        )
        found: list[BatchRecord] = []
        for at in range(0, len(flat), 8):
            batch_id, state, succeeded, *counts = flat[at : at + 8]
            state, when = STATES[int(state)], when_of(int(succeeded))
            found.append(BatchRecord(batch_id.decode(), state, when, *map(int, counts)))
        return found

    async def batch_jobs(
        self, queue: str, batch_id: str, after: str, limit: int, *, pending: bool
    ) -> list[BatchJobRecord]:
        """Read a page of them."""
        flat = await self._session.run(
            scripts.QUEUE_BATCH_LOOK,
            self._shard_of(queue),
            "jobs",
            queue,
            batch_id,
            after,
            limit,
            int(pending),
            mutates=False,
        )
        return [
            BatchJobRecord(job_id.decode(), BATCH_JOB_STATES[int(state)], outcome or None)
            for job_id, state, outcome in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        ]

    async def confirm(self, queue: str) -> None:
        """The repeat itself has waited for all that was written before it, see ``exchange``."""

    async def queues(self) -> list[str]:
        """Read the names from all shards."""

        async def names(shard: int) -> list[bytes]:
            key = f"{self._session.shards.prefixes[shard]}:qs"
            return list(await self._session.link.command(key, "SMEMBERS", key))

        return sorted(
            name.decode() for found in await self._session.on_all(names) for name in found
        )


def _record(fields: list[Any]) -> JobRecord:
    job_id, state, priority, attempts, most, payload, outcome, created, progress, key = fields[
        :_FIELDS
    ]
    return JobRecord(
        job_id.decode(),
        STATES[int(state)],
        int(priority),
        int(attempts),
        int(most),
        payload or b"",
        outcome,
        int(created),
        progress,
        None if key is None else key.decode(),
        *fields[_FIELDS:],
    )
