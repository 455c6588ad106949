"""Documents of ``aqe memory``."""

from __future__ import annotations

from typing import Literal

from lionagi_qe.cli.documents.document import Json, Shape


class ListedEntry(Shape):
    """An entry without its value; times are ISO 8601, UTC."""

    key: str
    revision: int
    partition: str
    created_at: str
    updated_at: str
    expires_at: str | None


class FoundEntry(ListedEntry):
    """An entry."""

    value: Json


class Statistics(Shape):
    """Counts of a fleet's entries."""

    fleet: str
    backend: str
    total_keys: int
    total_expired: int
    """Expired, and not cleaned up yet."""
    size_bytes: int
    exact: bool
    """Whether the counts are no estimates."""
    partitions: dict[str, int]
    server: dict[str, Json]
    pool: dict[str, Json]


class RecalledEntry(Shape):
    """An entry that says what was asked for."""

    key: str
    score: float
    """Compares within one search alone."""
    relevance: float
    """The share of the query's words that it has, or its cosine if that is greater."""
    why: str
    stale: bool
    """Whether it was changed after it was indexed."""
    revision: int
    value: Json


class Side(Shape):
    """One of two memories that were compared."""

    entries: int
    digest: str


class FirstDifference(Shape):
    """An entry that differs."""

    key: str
    fault: str


class Verified(Shape):
    """Two memories side by side."""

    equal: bool
    source: Side
    target: Side
    faults: dict[str, int]
    first: list[FirstDifference]


class Change(Shape):
    """A line of aqe memory watch."""

    kind: Literal["stored", "deleted", "expired"]
    key: str
    revision: int
    value: Json
    cursor: str
    """For --since."""


class RekeyedMemory(Shape):
    """What aqe memory rekey did."""

    key: str
    sealed: int
    entries: int
    texts_sealed: int
    """Of jobs, schedules and leases."""
    texts: int
    left: int
    refused: int
    first: list[str]
    complete: bool


class Grant(Shape):
    """What the server lets a role do in a fleet."""

    role: str
    fleet: str
    read: list[str]
    """Patterns of keys, as those of scopes; all of the fleet for a user of Redis."""
    write: list[str]
    queues: list[str]
    leases: list[str]


class Granted(Grant):
    """What granting did."""

    notes: list[str]
    """What was changed beside, and what does not hold."""
    password: str | None
    """That was made for the user, and which nobody keeps."""
