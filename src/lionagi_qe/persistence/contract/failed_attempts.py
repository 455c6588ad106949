"""The contract of what a job keeps of its failed attempts.

A server adds to ``JobRecord.failures`` whenever it notes the error of an attempt: of one that
"retry" or "bury" ended its ``detail`` (its payload if that is empty), and one whose claim has
ended. It keeps the newest ``MOST_FAILURES``, through revivals and after the job's end; "replace"
removes them.
"""

from __future__ import annotations

import json
from typing import NamedTuple

# Each server's SQL or script has this number.
MOST_FAILURES = 10


class FailureRecord(NamedTuple):
    """A failed attempt: its number, when it ended by the server's clock, and what was noted."""

    attempt: int
    ended_ms: int
    text: str


def failures_of(stored: bytes | str | None) -> list[FailureRecord]:
    """Return what a server keeps, a JSON array of arrays, the oldest first."""
    rows: list[tuple[int, int, str]] = json.loads(stored) if stored else []
    return [FailureRecord(int(attempt), int(ended_ms), text) for attempt, ended_ms, text in rows]


def failures_text(failures: list[FailureRecord]) -> str:
    """Return failed attempts as a server keeps them."""
    return json.dumps(failures, ensure_ascii=False, separators=(",", ":"))
