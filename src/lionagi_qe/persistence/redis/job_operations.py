"""Operations on jobs as Redis' scripts read them, and what the scripts answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.persistence.contract.jobs import CancelJob, PutJob, job_result, options_of
from lionagi_qe.persistence.redis.operations import result_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.jobs import (
        JobOperation,
        JobResult,
        TransactionOperations,
    )


def job_words_of(operations: Sequence[JobOperation]) -> list[Any]:
    """Return operations as a script reads them."""
    words: list[Any] = []
    for operation in operations:
        if isinstance(operation, PutJob):
            put = operation
            words += "put", put.queue, put.job_id, put.payload, put.priority, put.delay_ms
            words += put.dedupe or "", put.max_attempts, options_of(put)
        elif isinstance(operation, CancelJob):
            cancel = operation
            words += "cancel", cancel.queue, cancel.job_id, b"", 0, cancel.ms, "", "", ""
        else:
            end = operation
            words += end.ending, end.queue, end.job_id, end.payload, end.claim, end.ms, "", ""
            words.append(end.detail)
    return words


def job_results_of(operations: Sequence[JobOperation], answer: Sequence[bytes]) -> list[JobResult]:
    """Return the results of operations, of which a script answers two words each."""
    pairs = zip(answer[::2], answer[1::2], strict=True)
    return [
        job_result(operation, status.decode(), figure.decode())
        for operation, (status, figure) in zip(operations, pairs, strict=True)
    ]


def refusal_of(
    step: TransactionOperations, kind: bytes, at: int, status: bytes, figure: bytes = b""
) -> Exception:
    """Return what says that a step was refused: for an entry or a job, the first being 1."""
    if kind == b"entry":
        refusal: Any = result_of(step.operations[at - 1], status, figure)
    else:
        refusal = job_result(step.jobs[at - 1], status.decode(), figure.decode())
    return cast("Exception", refusal)
