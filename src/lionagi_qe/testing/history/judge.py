"""The judgement of a whole history."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lionagi_qe.testing.history.answers import judge_answers
from lionagi_qe.testing.history.batches import judge_batches
from lionagi_qe.testing.history.entries import judge_entries
from lionagi_qe.testing.history.jobs import judge_jobs
from lionagi_qe.testing.history.leases import judge_leases
from lionagi_qe.testing.history.presence import judge_presence
from lionagi_qe.testing.history.steps import by_key
from lionagi_qe.testing.history.violation import Promises, Violation
from lionagi_qe.testing.history.watches import judge_watches

if TYPE_CHECKING:
    from lionagi_qe.testing.history.operations import History


@dataclass(slots=True)
class Judgement:
    """What a history came to.

    Attributes:
        violations: promises that were broken, each by its kind.
        outcomes: how many calls were "ok", "fail" and "info".
        keys: how many entries were judged.
        undecided: keys whose search was given up at the limit: neither right nor wrong.
        searched: steps of the search for orders.
    """

    violations: list[Violation] = field(default_factory=list[Violation])
    outcomes: Counter[str] = field(default_factory=Counter[str])
    keys: int = 0
    undecided: int = 0
    searched: int = 0

    @property
    def kinds(self) -> set[str]:
        """The kinds of what was violated."""
        return {violation.kind for violation in self.violations}


def judge(history: History, promises: Promises | None = None) -> Judgement:
    """Judge a history by what a memory promises; how it was produced plays no part.

    Costs seconds for tens of thousands of calls; see ``linearizability`` for what can make it more.
    """
    promises = promises or Promises()
    found = Judgement()
    found.outcomes.update(each.outcome for each in history.operations if each.timeout is not None)
    keys = by_key(history, promises)
    found.keys = len(keys)
    for violations, order in judge_entries(keys, promises):
        found.violations += violations
        found.undecided += not order.decided
        found.searched += order.searched
        if order.violation is not None:
            found.violations.append(order.violation)
    found.violations += judge_batches(history, keys, promises)
    found.violations += judge_jobs(history, keys, promises)
    found.violations += judge_leases(history, promises)
    found.violations += judge_watches(history, keys)
    found.violations += judge_presence(history, promises)
    found.violations += judge_answers(history, promises)
    return found
