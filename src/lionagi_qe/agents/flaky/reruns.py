"""Trials of tests under controlled conditions, and what their outcomes say of each test.

Each kind of trial changes one thing against the kind "same", so that a test whose outcome changes
with it depends on it; a change that comes again under the same conditions is no chance.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from lionagi_qe.agents.execution.outcomes import BAD
from lionagi_qe.agents.flaky.clock_samples import shown_moment
from lionagi_qe.agents.proportion import Share, clustered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Kind = Literal["same", "again", "order", "clock", "seeds", "repeated"]
Cause = Literal["randomness", "leak", "order", "time"]

_COUNTED = BAD | {"passed", "xfailed", "xpassed"}
_LEAST_SESSIONS = 2
# In how many cases repeating may fail to show what it is for.
_MISSED = 0.05
_MOST_TIMES = 200
# Of the causes that are shown to hold, the first one is named first.
# Cause: kinds of sessions that tell its rate, and what of the conditions they vary.
_VARIED: dict[Cause, tuple[frozenset[Kind], str]] = {
    "leak": (frozenset({"again"}), "seed"),
    "time": (frozenset({"clock"}), "moment"),
    "order": (frozenset({"order"}), "order"),
    "randomness": (frozenset({"same", "seeds", "repeated"}), "seed"),
}
_DRAWS: dict[Cause, str] = {
    "leak": "second sessions",
    "time": "times",
    "order": "orders",
    "randomness": "random seeds",
}
_CAUSES: dict[Kind, Cause] = {
    "again": "leak",
    "clock": "time",
    "order": "order",
    "seeds": "randomness",
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which conditions a session runs; see the plugin ``aqe_conditions``.

    Attributes:
        kind: what it changes.
        order: "file", "reversed" or a number to shuffle by.
        seed: of random numbers.
        vary: each further attempt gets the next seed.
        attempts: of each test, in one process.
        clock: when it seems to begin, seconds since 1970; None for the real time.
        moment: the same for people.
    """

    kind: Kind
    order: str | int = "file"
    seed: int = 0
    vary: bool = False
    attempts: int = 1
    clock: float | None = None
    moment: str = ""

    def variables(self, test: str | None = None) -> dict[str, str]:
        """Return the environment that brings the conditions about, for one test if named."""
        wanted = {name: getattr(self, name) for name in ("order", "seed", "vary", "attempts")}
        # Only an order is of several tests.
        only = None if test is None else {"test": test, "alone": self.kind != "order"}
        return {
            "AQE_CONDITIONS": json.dumps(wanted | {"clock": self.clock, "only": only}),
            # Sets of strings are ordered by it.
            "PYTHONHASHSEED": str(self.seed % 2**32),
        }

    def following(self, number: int) -> Conditions:
        """Return those of the ``number``-th session after this one: with the next seeds, if any."""
        return replace(self, seed=self.seed + number) if self.kind == "seeds" else self

    def options(self) -> list[str]:
        """Return the options of ``aqe repeat`` that stand for them."""
        match self.kind:
            case "again":
                return ["--again"]
            case "order":
                return ["--order", str(self.order)]
            case "clock" if self.clock is not None:
                return ["--at", shown_moment(self.clock)]
            case "seeds":
                return ["--seed", str(self.seed)]
            case _:
                return []

    def __str__(self) -> str:
        match self.kind:
            case "same":
                return "same conditions"
            case "again":
                return "a second session in the same directory"
            case "order":
                return "reversed order" if self.order == "reversed" else f"order {self.order}"
            case "clock":
                return f"clock at {self.moment}"
            case "seeds":
                last = self.seed + self.attempts - 1
                several = f"random seeds {self.seed} to {last}"
                return several if self.attempts > 1 else f"random seed {self.seed}"
            case _:
                return f"{self.attempts} attempts in one process"


@dataclass(slots=True)
class Trials:
    """The sessions in which one test ran: conditions, and whether each attempt was bad."""

    sessions: list[tuple[Conditions, tuple[bool, ...]]] = field(
        default_factory=list[tuple[Conditions, tuple[bool, ...]]]
    )

    def add(self, conditions: Conditions, outcomes: Iterable[str]) -> None:
        """Add a session; attempts that say nothing (skipped, not run) are left out."""
        counted = tuple(outcome in BAD for outcome in outcomes if outcome in _COUNTED)
        if counted:
            self.sessions.append((conditions, counted))

    @property
    def usually_bad(self) -> bool:
        """Whether the test fails more often than not when nothing is changed."""
        counts = Counter(bad for _, attempts in self._of("same") for bad in attempts)
        return counts[True] > counts[False]

    @property
    def is_not_idempotent(self) -> bool:
        """Whether each repetition in one process goes well first and then badly, at one point."""
        firsts = {_first_bad(attempts) for _, attempts in self._of("repeated")}
        return len(firsts) == 1 and None not in firsts and self._stable("same")

    def counted(self) -> Iterator[tuple[Conditions, tuple[bool, ...]]]:
        """Yield the sessions that speak of flakiness; repetition of those it spoils left out."""
        spoilt = self.is_not_idempotent
        for conditions, attempts in self.sessions:
            if conditions.kind != "repeated":
                yield conditions, attempts[:1] if spoilt else attempts

    def unsettled(self) -> Iterator[Conditions]:
        """Yield conditions that changed the outcome once, and are worth repeating."""
        if not self._stable("same"):
            return
        usual = self.usually_bad
        seen = Counter(conditions for conditions, _ in self.sessions)
        changed = {
            conditions
            for conditions, attempts in self.sessions
            if conditions.kind != "same" and any(bad != usual for bad in attempts)
        }
        settled = {each.kind for each in changed if seen[each] >= _LEAST_SESSIONS}
        yield from (each for each in changed if each.kind not in settled)

    def verdict(self) -> Verdict | None:
        """Return what is wrong with the test; None if its outcome never changed."""
        counted = [bad for _, attempts in self.counted() for bad in attempts]
        if sum(counted) in {0, len(counted)}:
            return None
        causes, confirmed, evidence, shown = self._causes()
        clusters = self.clusters(causes[0])
        return Verdict(
            sum(trials for _, trials in clusters),
            sum(bad for bad, _ in clusters),
            clustered(clusters),
            len(clusters),
            causes,
            confirmed,
            evidence,
            shown,
            "pass" if self.usually_bad and causes[0] != "randomness" else "fail",
        )

    def clusters(self, cause: Cause) -> list[tuple[int, int]]:
        """Return the runs that tell how often a cause makes the test fail, alike ones together.

        Failures and runs, for each setting of what the cause varies: runs with one seed, in one
        order or at one time may all be one and the same draw.
        """
        kinds, varied = _VARIED[cause]
        found: dict[Any, list[bool]] = {}
        for conditions, attempts in self.counted():
            if conditions.kind not in kinds:
                continue
            for number, bad in enumerate(attempts):
                seed = conditions.seed + (number if conditions.vary else 0)
                setting = seed if varied == "seed" else getattr(conditions, varied)
                found.setdefault(setting, []).append(bad)
        return [(sum(each), len(each)) for each in found.values()]

    def failing_seed(self) -> Conditions | None:
        """Return the conditions with one random seed with which the test failed, if it did so."""
        return next(
            (
                Conditions("seeds", seed=conditions.seed + number)
                for conditions, attempts in self._of("seeds")
                for number, bad in enumerate(attempts)
                if bad
            ),
            None,
        )

    def _of(self, kind: Kind) -> list[tuple[Conditions, tuple[bool, ...]]]:
        return [each for each in self.sessions if each[0].kind == kind]

    def _stable(self, kind: Kind) -> bool:
        return len({bad for _, attempts in self._of(kind) for bad in attempts}) <= 1

    def _causes(self) -> tuple[list[Cause], bool, str, Conditions]:
        """Return causes, the likeliest first, whether they were seen twice, and the evidence.

        Last the conditions that are likely to show it again.
        """
        same = Conditions("same")
        if not self._stable("same"):
            evidence = f"its outcome varies while nothing is changed{self._seeded()}"
            return ["randomness"], True, evidence, self.failing_seed() or same
        usual = self.usually_bad
        counted = list(self.counted())
        changed = {
            conditions: [attempts for seen, attempts in counted if seen == conditions]
            for conditions, attempts in counted
            if any(bad != usual for bad in attempts)
        }
        settled = {
            conditions
            for conditions, sessions in changed.items()
            if len(sessions) >= _LEAST_SESSIONS and len(set(sessions)) == 1
        }
        refuted = {conditions for conditions, sessions in changed.items() if len(set(sessions)) > 1}
        if refuted and not settled:
            first = min(refuted, key=str)
            evidence = f"its outcome varies under the same conditions ({first})"
            return ["randomness"], True, evidence, self.failing_seed() or same
        relevant = settled or set(changed)
        kinds = {conditions.kind for conditions in relevant}
        causes: list[Cause] = [cause for kind, cause in _CAUSES.items() if kind in kinds]
        how = "passes" if usual else "fails"
        shown = sorted((each for each in relevant if _CAUSES.get(each.kind) == causes[0]), key=str)
        more = f" and {len(shown) - 1} others" if len(shown) > 1 else ""
        if causes[0] == "randomness":
            # Which outcome is the usual one is chance as well.
            how = f"its outcome changes with the random seed{self._seeded()}"
            return causes, bool(settled), how, self.failing_seed() or same
        return causes, bool(settled), f"{how} with {shown[0]}{more}", shown[0]

    def _seeded(self) -> str:
        failing = self.failing_seed()
        return "" if failing is None else f"; failed with random seed {failing.seed}"


def packed(trials: Mapping[str, Trials]) -> dict[str, Any]:
    """Return the trials of tests as JSON data: each condition once, an attempt a character."""
    numbers: dict[Conditions, int] = {}
    tests = {
        name: [
            [numbers.setdefault(conditions, len(numbers)), "".join(map(str, map(int, attempts)))]
            for conditions, attempts in each.sessions
        ]
        for name, each in trials.items()
    }
    return {"conditions": [asdict(conditions) for conditions in numbers], "tests": tests}


def add_packed(trials: dict[str, Trials], data: Mapping[str, Any]) -> None:
    """Add to ``trials`` what ``packed`` returned of others."""
    known = [Conditions(**conditions) for conditions in data["conditions"]]
    for name, sessions in data["tests"].items():
        each = trials.setdefault(name, Trials())
        each.sessions += [
            (known[number], tuple(attempt == "1" for attempt in attempts))
            for number, attempts in sessions
        ]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A flaky test.

    Attributes:
        runs: that tell how often the first cause makes it fail.
        failures: of these.
        rate: the share of failures, estimated by design: alike runs count as what they are worth.
        draws: how many settings were tried of what the first cause varies.
        causes: suspected, the likeliest first.
        confirmed: the same conditions were seen to bring it about, or not to, more than once.
        evidence: a phrase.
        shown_by: conditions that are likely to make it do what it does not usually do.
        shown: what that is.
    """

    runs: int
    failures: int
    rate: Share
    draws: int
    causes: Sequence[Cause]
    confirmed: bool
    evidence: str
    shown_by: Conditions
    shown: Literal["pass", "fail"]

    def repeat(self) -> list[str]:
        """Return the options of ``aqe repeat`` that are likely to show it again.

        Where nothing is known that brings it about, as many runs as show it in 19 of 20 cases.
        """
        options = self.shown_by.options()
        if options or not 0 < self.rate.share < 1:
            return options
        times = math.ceil(math.log(_MISSED) / math.log(1 - self.rate.share))
        return ["--times", str(min(times, _MOST_TIMES))]

    def as_details(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "runs": self.runs,
            "failures": self.failures,
            "rate": round(self.rate.share, 4),
            "low": round(self.rate.low, 4),
            "high": round(self.rate.high, 4),
            "draws": self.draws,
            "varied": _DRAWS[self.causes[0]],
            "cause": self.causes[0],
            "causes": list(self.causes),
            "confirmed": self.confirmed,
            "evidence": self.evidence,
            "repeat": self.repeat(),
            "repeat_shows": self.shown,
        }


def _first_bad(attempts: Sequence[bool]) -> int | None:
    """Return from which attempt on all are bad; None unless some good ones go before."""
    first = next((number for number, bad in enumerate(attempts) if bad), 0)
    return first if first > 0 and all(attempts[first:]) else None
