"""The log of learned decisions in the memory, and who decides by what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.learning.shadow import (
    SWITCH_AFTER,
    Acting,
    Decision,
    Report,
    Scores,
    summarise,
    who_should_act,
)
from lionagi_qe.learning.step import PARTITION

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory

# Decisions of which nothing came score nothing, so more are read than a switch needs.
_REVIEWED = 5 * SWITCH_AFTER
_LOG_SECONDS = 365 * 86_400
_DIGITS = 12
_NO_SWITCH: dict[str, Any] = {"acting": "learned", "after": 0, "reason": None}


class ShadowLog:
    """Decisions of one kind, ``<prefix>log/<number>``, and who acts, ``<prefix>acting``.

    Args:
        memory: where the log is.
        prefix: of its keys, with a slash at its end.
        subject: what is judged, for people.
        unit: of the scores.
    """

    def __init__(self, memory: Memory, prefix: str, subject: str, unit: str) -> None:
        self._memory = memory
        self._prefix = prefix
        self._subject = subject
        self._unit = unit

    async def next_number(self) -> int:
        """Return the number of a new decision."""
        return int(await self._memory.increment(f"{self._prefix}decisions"))

    async def add(self, decision: Decision) -> None:
        """Log a decision."""
        key = self._key(decision.number)
        await self._memory.store(key, decision.to_entry(), ttl=_LOG_SECONDS, partition=PARTITION)

    async def settle(
        self,
        number: int,
        ran: int,
        failed: int,
        scores: Scores | None,
        found_after: float | None = None,
    ) -> None:
        """Add to a decision what came of it; see Decision.

        Raises:
            InvalidArgumentError: that was done before, or the decision is not in the log.

        """

        def settled(entry: dict[str, Any] | None) -> dict[str, Any]:
            if entry is None:
                raise InvalidArgumentError(
                    f"decision {number}: is not in the log; settle what was decided"
                )
            logged = Decision.from_entry(entry)
            if logged.ran is not None:
                raise InvalidArgumentError(f"decision {number}: was settled before")
            came = replace(logged, ran=ran, failed=failed, scores=scores, found_after=found_after)
            return came.to_entry()

        await self._memory.update(self._key(number), settled)

    async def acting(self) -> Acting:
        """Return who decides now."""
        return (await self._switch())["acting"]

    async def switched_because(self) -> str | None:
        """Return the reason of the last switch; None if there was none."""
        return (await self._switch())["reason"]

    async def decisions(self) -> list[Decision]:
        """Return all logged decisions, oldest first."""
        return [
            Decision.from_entry(entry.value)
            async for entry in self._memory.scan(f"{self._prefix}log/")
        ]

    async def report(self) -> Report:
        """Return learned, heuristic, random and optimal decisions side by side."""
        return summarise(await self.decisions())

    async def review(self, newest: int) -> str | None:
        """Switch who decides if the last decisions call for it; return why, else None."""
        recent = await self._between(newest - _REVIEWED, newest)
        switch = await self._switch()
        # Only decisions since the last switch tell whether to switch again.
        recent = [decision for decision in recent if decision.number > switch["after"]]
        better, reason = who_should_act(switch["acting"], recent, self._subject, self._unit)
        if reason is not None:
            await self._memory.store(
                f"{self._prefix}acting",
                {"schema": 1, "acting": better, "after": newest, "reason": reason},
                ttl=None,
                partition=PARTITION,
            )
        return reason

    async def recent(self, number: int) -> list[Decision]:
        """Return the last decisions, at most so many, oldest first; costs two round trips."""
        newest = int(await self._memory.retrieve(f"{self._prefix}decisions", 0))
        return await self._between(newest - number + 1, newest)

    async def _between(self, first: int, last: int) -> list[Decision]:
        keys = [self._key(number) for number in range(max(1, first), last + 1)]
        found = await self._memory.retrieve_many(keys)
        return [Decision.from_entry(found[key]) for key in keys if key in found]

    async def _switch(self) -> dict[str, Any]:
        return await self._memory.retrieve(f"{self._prefix}acting", _NO_SWITCH)

    def _key(self, number: int) -> str:
        return f"{self._prefix}log/{number:0{_DIGITS}}"
