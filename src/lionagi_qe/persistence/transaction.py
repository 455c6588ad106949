"""Changes of several entries and jobs that are applied in one atomic step, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import BatchTooLargeError, InvalidArgumentError
from lionagi_qe.persistence.calls.base import MAX_BATCH_BYTES
from lionagi_qe.persistence.contract.jobs import PutJob, TransactionOperations
from lionagi_qe.persistence.contract.operations import Add, Delete, Put, Touch
from lionagi_qe.persistence.values import keys as naming
from lionagi_qe.persistence.values.codec import check_number, encode
from lionagi_qe.persistence.values.entry import INHERIT, check_revision, check_ttl
from lionagi_qe.persistence.values.keys import DEFAULT_PARTITION

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from lionagi_qe.persistence.calls.base import Limits
    from lionagi_qe.persistence.contract.jobs import JobOperation
    from lionagi_qe.persistence.contract.operations import Fence, Operation
    from lionagi_qe.persistence.scheduling.scheduler import Scheduler
    from lionagi_qe.persistence.values.entry import Inherit


class Transaction:
    """Collects changes, and applies them all when its ``async with`` is left without an error.

    Made by ``Memory.transaction``. Nothing is sent before the end, so it can't be used to read what
    it changes; to depend on what was read, give ``if_revision``. Each entry at most once.

    Attributes:
        results: after it was applied, what each key's operation came to: the revision of a stored
            entry, the sum of an incremented one, else whether a live entry was there.
        job_ids: after it was applied, for each job put the id that counts: another one than
            ``put`` returned where a job with the same ``dedupe`` was there.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        limits: Limits,
        deadline: Callable[[], float],
        fence: Fence | None,
    ) -> None:
        self._scheduler = scheduler
        self._limits = limits
        self._deadline = deadline
        self._fence = fence
        self._operations: dict[str, Operation] = {}
        self._jobs: dict[str, JobOperation] = {}
        self._when_applied: list[Callable[[], None]] = []
        self._done = False
        self.results: dict[str, Any] = {}
        self.job_ids: dict[str, str] = {}

    @property
    def fence(self) -> Fence | None:
        """What must be held for it to be applied."""
        return self._fence

    # Collecting

    def store(
        self,
        key: str,
        value: Any,  # noqa: ANN401 - any JSON value
        ttl: float | timedelta | Inherit | None = INHERIT,
        partition: str = DEFAULT_PARTITION,
        *,
        if_revision: int | None = None,
    ) -> None:
        """Store ``value`` under ``key``; as ``Memory.store``."""
        naming.check_key(key)
        payload = encode(value, self._limits["max_value_bytes"])
        self._add(
            Put(
                key,
                payload,
                naming.check_partition(partition),
                self._limits["default_ttl_ms"] if ttl is INHERIT else check_ttl(ttl),
                check_revision(if_revision),
                fence=self._fence,
            )
        )

    def delete(self, key: str, *, if_revision: int | None = None) -> None:
        """Remove the entry; as ``Memory.delete``."""
        self._add(Delete(naming.check_key(key), check_revision(if_revision), self._fence))

    def increment(self, key: str, amount: float = 1) -> None:
        """Add to the number under ``key``; as ``Memory.increment``."""
        self._add(Add(naming.check_key(key), check_number(amount), self._fence))

    def touch(self, key: str, ttl: float | timedelta | None) -> None:
        """Let a live entry expire ``ttl`` seconds from now; as ``Memory.touch``."""
        self._add(Touch(naming.check_key(key), check_ttl(ttl), self._fence))

    def _add(self, operation: Operation) -> None:
        self._check_open()
        if operation.key in self._operations:
            msg = f"key {operation.key!r}: is already changed in this transaction; once is enough"
            raise InvalidArgumentError(msg)
        self._operations[operation.key] = operation

    def add_job(
        self, operation: JobOperation, when_applied: Callable[[], None] | None = None
    ) -> None:
        """Add a job's operation; queues and jobs that are given ``transaction=`` do it.

        ``when_applied`` is called once the whole transaction has been applied.
        """
        self._check_open()
        if operation.job_id in self._jobs:
            msg = f"job {operation.job_id}: is already changed in this transaction"
            raise InvalidArgumentError(msg)
        self._jobs[operation.job_id] = operation
        if when_applied is not None:
            self._when_applied.append(when_applied)

    def _check_open(self) -> None:
        if self._done:
            msg = "this transaction has ended; make a new one with memory.transaction()"
            raise InvalidArgumentError(msg)

    # Applying

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._check_open()
        self._done = True
        if error is None and (self._operations or self._jobs):
            await self._apply()

    async def _apply(self) -> None:
        step = TransactionOperations(list(self._operations.values()), list(self._jobs.values()))
        count, limit = len(step.operations) + len(step.jobs), self._limits["max_batch"]
        size = sum(len(put.payload) for put in step.operations if isinstance(put, Put))
        size += sum(len(job.payload) for job in step.jobs)
        if count > limit or size > MAX_BATCH_BYTES:
            msg = (
                f"transaction of {count} changes, {size} bytes: the limits are {limit} and "
                f"{MAX_BATCH_BYTES}; make it smaller"
            )
            raise BatchTooLargeError(msg)
        found = await self._scheduler.transact(step, size, self._deadline())
        self.results = dict(zip(self._operations, found.operations, strict=True))
        for operation, result in zip(step.jobs, found.jobs, strict=True):
            if isinstance(operation, PutJob):
                self.job_ids[operation.job_id] = result
                self._scheduler.jobs.notifier.notify(operation.queue)
        for applied in self._when_applied:
            applied()


def check_transaction(transaction: object) -> Transaction | None:
    """Return what a caller gave as a transaction, if it is one."""
    if transaction is None or isinstance(transaction, Transaction):
        return transaction
    msg = f"transaction {transaction!r}: give what memory.transaction() returned"
    raise InvalidArgumentError(msg)
