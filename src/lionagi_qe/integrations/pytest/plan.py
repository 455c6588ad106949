"""What is to be done with the tests of a session; known before they are collected."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Plan:
    """What the processes that run the tests need to know; all of them are told the same.

    Attributes:
        places: test -> place in the order to run them in; None to leave them as they come.
        new: the place of all other tests.
        left_out: tests that are not needed.
        runs: how often new and changed tests run.
        known: tests that have a history; None where nothing is repeated.
        sources: test file -> its digest and those of its functions, when its tests last ran.
        quarantined: tests whose failures don't fail the session.
        notes: what a reader should know of all this, a sentence each.
    """

    places: dict[str, int] | None = None
    new: int = 0
    left_out: frozenset[str] = frozenset()
    runs: int = 1
    known: frozenset[str] | None = None
    sources: dict[str, Any] = field(default_factory=dict[str, Any])
    quarantined: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list[str])

    def as_text(self) -> str:
        """Return the plan as JSON."""
        return json.dumps(asdict(self), default=sorted)

    @classmethod
    def of_text(cls, text: str) -> Plan:
        """Return what ``as_text`` was called on."""
        data = json.loads(text)
        for name in ("left_out", "known", "quarantined"):
            data[name] = None if data[name] is None else frozenset(data[name])
        return cls(**data)
