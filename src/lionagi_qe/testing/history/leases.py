"""Judges leases: tokens grow, one holder at a time, and only the holder's changes are applied."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

from lionagi_qe.testing.history.violation import Kind, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lionagi_qe.testing.history.operations import History, Operation
    from lionagi_qe.testing.history.violation import Promises


def judge_leases(history: History, promises: Promises) -> Iterator[Violation]:
    """Yield what is wrong with the leases of a history, and with changes that were fenced."""
    terms: dict[str, list[Operation]] = defaultdict(list)
    for acquired in history.of("acquire"):
        if acquired.outcome == "ok" and acquired.result is not None:
            terms[acquired.arguments["lease"]].append(acquired)
    releases: dict[tuple[str, int], list[Operation]] = defaultdict(list)
    for released in history.of("release"):
        if released.outcome != "fail":
            arguments = released.arguments
            releases[arguments["lease"], arguments["token"]].append(released)
    fenced: dict[str, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        if fence := operation.arguments.get("fence"):
            fenced[fence["lease"]].append(operation)
    for name in terms.keys() | fenced.keys():
        lease = _Lease(name, terms[name], releases, fenced[name], promises)
        yield from lease.tokens()
        yield from lease.holders()
        yield from lease.changes()


class _Lease:
    def __init__(
        self,
        name: str,
        terms: Sequence[Operation],
        releases: dict[tuple[str, int], list[Operation]],
        fenced: Sequence[Operation],
        promises: Promises,
    ) -> None:
        self._name = name
        self._terms = terms
        self._releases = releases
        self._fenced = fenced
        self._promises = promises

    def _violation(self, kind: Kind, message: str, *operations: Operation) -> Violation:
        return Violation(kind, f"lease {self._name!r}: {message}", operations)

    def tokens(self) -> Iterator[Violation]:
        given: dict[int, Operation] = {}
        for term in self._terms:
            if term.result in given:
                message = f"token {term.result} was given twice"
                yield self._violation(Kind.TOKEN_DOUBLED, message, given[term.result], term)
            given[term.result] = term
        for first, second in itertools.permutations(self._terms, 2):
            if first.ended < second.invoked and first.result > second.result:
                message = f"token {second.result} was given after {first.result}"
                yield self._violation(Kind.TOKEN_WENT_BACK, message, first, second)

    def holders(self) -> Iterator[Violation]:
        for first, second in itertools.permutations(self._terms, 2):
            if first.result >= second.result:
                continue
            least = first.invoked + first.arguments["ttl"] - self._promises.early
            if second.ended < least and not self._released_before(first.result, second.ended):
                message = (
                    f"token {second.result} was given {least - second.ended:.3f} s before that of "
                    f"{first.result} can have ended"
                )
                yield self._violation(Kind.LEASE_HELD_TWICE, message, first, second)

    def _released_before(self, token: int, moment: float) -> bool:
        return any(each.invoked <= moment for each in self._releases[self._name, token])

    def changes(self) -> Iterator[Violation]:
        for change in self._fenced:
            token = change.arguments["fence"]["token"]
            if change.outcome == "ok":
                yield from self._accepted(change, token)
            elif change.error == "StaleFenceError":
                yield from self._refused(change, token)
        yield from self._by_revision()

    def _accepted(self, change: Operation, token: int) -> Iterator[Violation]:
        for term in self._terms:
            if term.result > token and term.ended < change.invoked:
                message = f"a change with token {token} was applied after {term.result} was given"
                yield self._violation(Kind.STALE_HOLDER_WROTE, message, term, change)
                return
        for release in self._releases[self._name, token]:
            if release.outcome == "ok" and release.result and release.ended < change.invoked:
                message = f"a change with token {token} was applied after that was released"
                yield self._violation(Kind.STALE_HOLDER_WROTE, message, release, change)
                return

    def _refused(self, change: Operation, token: int) -> Iterator[Violation]:
        for term in self._terms:
            if term.result > token and term.invoked <= change.answered:
                return
        for term in self._terms:
            least = term.invoked + term.arguments["ttl"] - self._promises.early
            if term.result == token and change.answered < least:
                if not self._released_before(token, change.answered):
                    message = f"token {token} was refused while it was the current one"
                    yield self._violation(Kind.HOLDER_REFUSED, message, term, change)
                return

    def _by_revision(self) -> Iterator[Violation]:
        """In the order in which the server applied changes of a key, tokens don't fall."""
        written: dict[str, list[tuple[int, int, Operation]]] = defaultdict(list)
        for change in self._fenced:
            if change.function == "store" and change.outcome == "ok":
                token = change.arguments["fence"]["token"]
                written[change.arguments["key"]].append((change.result, token, change))
        for key, changes in written.items():
            for (_, before, first), (_, after, second) in itertools.pairwise(
                sorted(changes, key=lambda each: each[0])
            ):
                if after < before:
                    message = f"{key!r}: token {after} was applied behind {before}"
                    yield self._violation(Kind.STALE_HOLDER_WROTE, message, first, second)
