"""What is kept of a job's failed attempts: error, traceback, worker, time."""

from __future__ import annotations

import os
import socket
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lionagi_qe.persistence.contract.failed_attempts import failures_of
from lionagi_qe.persistence.values.codec import decode

# Ten of them are kept with a job.
_LONGEST_ERROR = 2_000
_LONGEST_TRACEBACK = 6_000


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One attempt at a job that failed.

    Attributes:
        attempt: which one it was, from 1; a revived job begins at 1 again.
        error: what it failed with, its first 2,000 characters.
        traceback: where that was raised, the last 6,000 characters; None if ``fail`` was given a
            text, or the worker's lease ended.
        worker: host and process that had the job; None if its lease ended.
        seconds: from the claim to its end, by the worker's clock; None if its lease ended.
        ended_at: UTC by the server's clock; of a lease, when that was noticed.
    """

    attempt: int
    error: str
    traceback: str | None
    worker: str | None
    seconds: float | None
    ended_at: datetime


def failed_attempts_of(stored: bytes | str | None) -> tuple[FailedAttempt, ...]:
    """Return what a job keeps, the oldest first."""
    return tuple(_failed_attempt(*failure) for failure in failures_of(stored))


def _failed_attempt(attempt: int, ended_ms: int, text: str) -> FailedAttempt:
    ended_at = datetime.fromtimestamp(ended_ms / 1000, UTC)
    noted = decode(text) if text else ""
    if not isinstance(noted, dict):
        return FailedAttempt(attempt, str(noted), None, None, None, ended_at)
    return FailedAttempt(
        attempt,
        str(noted.get("error", "")),
        noted.get("traceback"),
        noted.get("worker"),
        noted.get("seconds"),
        ended_at,
    )


def detail_of(error: str | BaseException, text: str, seconds: float) -> dict[str, Any]:
    """Return what is kept of an attempt beside its error."""
    detail: dict[str, Any] = {
        "error": text[:_LONGEST_ERROR],
        "worker": f"{socket.gethostname()}:{os.getpid()}",
        "seconds": round(seconds, 3),
    }
    if isinstance(error, BaseException) and error.__traceback__ is not None:
        detail["traceback"] = _traceback_of(error)
    return detail


def _traceback_of(error: BaseException) -> str:
    try:
        lines = traceback.format_exception(error)
    except Exception as unprintable:  # noqa: BLE001 - __str__ is the handler's code as well
        lines = [*traceback.format_tb(error.__traceback__), f"({type(unprintable).__name__})"]
    shown = "".join(lines).rstrip().encode(errors="replace").decode()
    if len(shown) <= _LONGEST_TRACEBACK:
        return shown
    kept = shown[-_LONGEST_TRACEBACK:].partition("\n")[2]
    return f"...\n{kept}"
