"""Judges watches: nothing missed, told twice, out of order or invented."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from lionagi_qe.testing.history.steps import canonical
from lionagi_qe.testing.history.violation import Kind, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lionagi_qe.testing.history.operations import History, Operation
    from lionagi_qe.testing.history.steps import EntryStep, KeyHistory


def judge_watches(history: History, keys: Iterable[KeyHistory]) -> Iterator[Violation]:
    """Yield what is wrong with what the watches of a history told.

    A watch is all that goes by one name, over however many processes that resumed it.
    """
    by_key = {key.key: key for key in keys}
    events: dict[str, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        if operation.function in {"watch", "change", "watch_gap", "watch_end"}:
            events[operation.arguments["watch"]].append(operation)
    for name, told in events.items():
        watch = _Watch(name, told, by_key)
        yield from watch.order()
        yield from watch.contents()
        yield from watch.gaps()


class _Watch:
    def __init__(
        self, name: str, events: Sequence[Operation], by_key: Mapping[str, KeyHistory]
    ) -> None:
        self._name = name
        self._events = events
        self._by_key = by_key
        self._told: dict[str, list[Operation]] = defaultdict(list)
        for event in events:
            if event.function == "change":
                self._told[event.arguments["key"]].append(event)

    def _violation(self, kind: Kind, message: str, *operations: Operation) -> Violation:
        return Violation(kind, f"watch {self._name!r}: {message}", operations)

    def order(self) -> Iterator[Violation]:
        latest: dict[str, Operation] = {}
        for event in self._events:
            if event.function == "watch_gap":
                # It may begin anew, and tell what it told before.
                latest.clear()
            if event.function != "change":
                continue
            key, revision = event.arguments["key"], event.arguments["revision"]
            before = latest.get(key)
            if before is not None and revision <= before.arguments["revision"]:
                same = revision == before.arguments["revision"]
                kind = Kind.WATCH_REPEATED if same else Kind.WATCH_OUT_OF_ORDER
                message = f"{key!r}: revision {revision} behind {before.arguments['revision']}"
                yield self._violation(kind, message, before, event)
            latest[key] = event

    def contents(self) -> Iterator[Violation]:
        for key, events in self._told.items():
            history = self._by_key.get(key)
            # Else it is changed by what isn't recorded, as members of a group are.
            if history is not None and history.has_changes:
                for event in events:
                    yield from self._content(event, history)

    def _content(self, event: Operation, history: KeyHistory) -> Iterator[Violation]:
        began = [step for step in history.steps if step.invoked <= event.invoked]
        match event.arguments["kind"]:
            case "stored":
                if not any(step.what == "add" for step in history.steps):
                    yield from self._stored(event, history, began)
                return
            case "deleted":
                possible = any(step.what == "delete" and step.is_change for step in began)
            case _:
                possible = any(step.what == "expire" for step in began)
        if not possible:
            message = f"{history.key!r} was told to be {event.arguments['kind']}; nothing did that"
            yield self._violation(Kind.WATCH_INVENTED, message, event)

    def _stored(
        self, event: Operation, history: KeyHistory, began: Sequence[EntryStep]
    ) -> Iterator[Violation]:
        value, revision = canonical(event.arguments["value"]), event.arguments["revision"]
        writers = [step for step in began if step.what == "put" and step.value == value]
        if not any(step.revision in {0, revision} for step in writers):
            refused = [step for step in history.refused if step.value == value]
            kind = Kind.REFUSED_APPLIED if refused else Kind.WATCH_INVENTED
            others = [step.operation for step in (refused or writers)]
            message = f"{history.key!r} was told to be {value} at revision {revision}"
            yield self._violation(kind, message, event, *others)

    def gaps(self) -> Iterator[Violation]:
        opened: Operation | None = None
        ended: Operation | None = None
        for event in self._events:
            if event.function == "watch_gap":
                opened = None
            elif event.function == "watch" and event.outcome == "ok" and opened is None:
                opened = event
            elif event.function == "watch_end":
                ended = event
        if opened is None or ended is None:
            # It isn't known from when or until when it had to tell.
            return
        for key, history in self._by_key.items():
            if key.startswith(opened.arguments["prefix"]):
                yield from self._missing(history, opened.ended, ended)

    def _missing(self, history: KeyHistory, opened: float, ended: Operation) -> Iterator[Violation]:
        told = self._told.get(history.key, [])
        newest = max((event.arguments["revision"] for event in told), default=0)
        last = max((event.invoked for event in told), default=0.0)
        for step in history.steps:
            if not step.required or step.invoked <= opened or step.ended >= ended.invoked:
                continue
            if step.what == "put" and step.revision:
                missed = step.revision > newest
            else:
                missed = step.is_change and step.what != "touch" and last < step.invoked
            if missed:
                message = f"{history.key!r}: neither this change nor a later one was told"
                yield self._violation(Kind.WATCH_GAP, message, step.operation, *told[-1:])
                return
