"""Judges presence: who beats is shown, and who has gone isn't."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from lionagi_qe.testing.history.violation import Kind, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lionagi_qe.testing.history.operations import History, Operation
    from lionagi_qe.testing.history.violation import Promises


def judge_presence(history: History, promises: Promises) -> Iterator[Violation]:
    """Yield live members that a look did not show, and those shown after their time."""
    members: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for each in history.of("join", "beat", "leave", "gone"):
        members[each.arguments["group"], each.arguments["agent"]].append(each)
    faults = history.of("fault")
    for look in history.of("alive"):
        if look.outcome != "ok":
            continue
        for (group, agent), events in members.items():
            if group != look.arguments["group"]:
                continue
            if agent not in look.result:
                yield from _missing(agent, look, events, promises)
            else:
                yield from _stayed(agent, look, events, faults, promises)


def _missing(
    agent: str, look: Operation, events: list[Operation], promises: Promises
) -> Iterator[Violation]:
    for beat in events:
        if beat.function not in {"join", "beat"} or beat.outcome != "ok" or beat.result is False:
            continue
        lives_until = beat.invoked + beat.arguments["ttl"] - promises.early
        left = any(
            each.function == "leave" and beat.invoked <= each.ended and each.invoked <= look.ended
            for each in events
        )
        if beat.ended < look.invoked and look.ended < lives_until and not left:
            message = f"{agent!r} lived for {lives_until - look.ended:.3f} s more"
            yield Violation(Kind.MEMBER_MISSING, message, (beat, look))
            return


def _stayed(
    agent: str,
    look: Operation,
    events: list[Operation],
    faults: list[Operation],
    promises: Promises,
) -> Iterator[Violation]:
    joins = [each for each in events if each.function == "join" and each.invoked <= look.ended]
    if not joins:
        return
    latest = max(joins, key=lambda each: each.ended)
    for end in events:
        if end.function not in {"leave", "gone"} or end.invoked < latest.ended:
            continue
        if end.outcome != "ok" or end.ended >= look.invoked:
            continue
        until = end.ended
        if end.function == "gone":
            # Its last beat may have been held up by a fault.
            until = max([until, *(each.answered for each in faults if each.answered >= until)])
            until += latest.arguments["ttl"] + promises.late
        if look.invoked > until:
            message = f"{agent!r} had gone at least {look.invoked - until:.3f} s before"
            yield Violation(Kind.MEMBER_STAYED, message, (latest, end, look))
            return
