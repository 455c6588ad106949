"""A valid history, and what is planted behind it."""

from __future__ import annotations

import random
from typing import Any

from tests.testing.reference_fleet import valid_history

from lionagi_qe.testing.history import Operation

KEY = "aqe/planted"
LEASE_TTL = 5.0


class Plant:
    """Operations that are added behind a valid history; each takes 0.1 s unless it says when."""

    def __init__(self) -> None:
        self.operations = [*valid_history(random.Random(7)).operations]
        self._now = max(each.invoked for each in self.operations) + 100
        self.start = self._now

    def __call__(
        self,
        function: str,
        result: Any = None,
        *,
        outcome: Any = "ok",
        error: str = "",
        at: tuple[float, float] | None = None,
        process: str = "planter",
        timeout: float | None = None,
        **arguments: Any,
    ) -> None:
        if at is None:
            begin, end = self._now, self._now + 0.1
            self._now += 0.2
        else:
            begin, end = self.start + at[0], self.start + at[1]
        self.operations.append(
            Operation(
                len(self.operations),
                process,
                function,
                arguments,
                begin,
                outcome,
                end,
                result,
                error,
                timeout,
            )
        )

    def refused(self, function: str, **arguments: Any) -> None:
        self(
            function,
            "the server was away",
            outcome="fail",
            error="BackendUnavailableError",
            **arguments,
        )

    def unknown(self, function: str, **arguments: Any) -> None:
        self(function, outcome="info", error="OutcomeUnknownError", **arguments)

    def store(self, value: Any, revision: int, **more: Any) -> None:
        self("store", revision, **{"key": KEY, **more, "value": value})

    def entry(self, value: Any, revision: int, **more: Any) -> None:
        told = None if value is None else {"value": value, "revision": revision}
        self("entry", told, **{"key": KEY, **more})

    def drained(self) -> None:
        self("drained", {"dead": []}, queue="planted")

    def claim(self, number: int, *jobs: str, **more: Any) -> None:
        told = [{"job": job, "claim": number, "attempt": 1} for job in jobs]
        self("claim", told, queue="planted", limit=5, lease_ttl=LEASE_TTL, **more)

    def put(self, job: str, **more: Any) -> None:
        self("put", job, queue="planted", job=job, **more)

    def ack(self, job: str, number: int, **more: Any) -> None:
        self("ack", queue="planted", job=job, claim=number, **more)

    def acquire(self, token: int, **more: Any) -> None:
        self("acquire", token, lease="planted", ttl=LEASE_TTL, **more)

    def fenced(self, value: Any, revision: int, token: int, **more: Any) -> None:
        self.store(value, revision, fence={"lease": "planted", "token": token}, **more)

    def watch(self) -> None:
        self("watch", watch="planted", prefix=KEY)

    def change(self, value: Any, revision: int, kind: str = "stored", key: str = KEY) -> None:
        self("change", watch="planted", key=key, kind=kind, revision=revision, value=value)

    def transaction(self, **more: Any) -> None:
        change = {"function": "store", "key": KEY, "value": "t"}
        job = {"queue": "planted", "job": "t"}
        self("transaction", {KEY: 9}, changes=[change], jobs=[job], **more)
