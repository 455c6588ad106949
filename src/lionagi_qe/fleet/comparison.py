"""What changed since the previous run of the same project."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.outcomes import BAD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A test counts as slower when it took longer than ever before by a margin that timers and a busy
# machine don't make: more than half again the median, more than the spread of its own past, and
# more than a human would shrug off.
SLOWER_RATIO = 1.5
SLOWER_SPREADS = 4
SLOWER_SECONDS = 0.1
SLOWER_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Slower:
    """A test that took longer than its own history explains; seconds."""

    id: str
    seconds: float
    usual: float
    runs: int


@dataclass(frozen=True, slots=True)
class Since:
    """Since when something is so.

    Attributes:
        run: the first run that found it.
        commit: what that run examined; None if it isn't known.
        runs: how many have found it since then, this one included.
    """

    run: str
    commit: str | None
    runs: int

    def one_more(self) -> Since:
        """Return the same after a further run that found it."""
        return Since(self.run, self.commit, self.runs + 1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """This run against the previous one.

    Attributes:
        previous: the run compared with.
        added: tests that the previous run did not have.
        lost: tests that only the previous run had.
        newly_failing: tests that did not fail before, and do now.
        fixed: tests that failed before, and pass now.
        slower: see Slower.
        figures: metric -> (before, now), for those measured both times.
        newly_untested: functions with lines that no test runs where the previous run had none, or
            fewer of them.
        skipped: runs between the two in which no test ran, so that there was nothing to compare.
        failing_since: tests that fail and did so when they ran before -> since when, without a
            pass between; of the last 50 runs of a test.
        untested_since: functions with lines that no test runs -> since when it is so many.
    """

    previous: str
    added: tuple[str, ...]
    lost: tuple[str, ...]
    newly_failing: tuple[str, ...]
    fixed: tuple[str, ...]
    slower: tuple[Slower, ...]
    figures: dict[str, tuple[float, float]]
    skipped: tuple[str, ...] = ()
    newly_untested: tuple[str, ...] = ()
    failing_since: dict[str, Since] = field(default_factory=dict[str, Since])
    untested_since: dict[str, Since] = field(default_factory=dict[str, Since])


def compare(
    previous: str,
    tests: Sequence[Mapping[str, Any]],
    histories: Mapping[str, Sequence[Mapping[str, Any]]],
    figures: dict[str, tuple[float, float]],
    sessions: int = 1,
) -> Comparison:
    """Compare a run with the previous one.

    Args:
        previous: the previous run's id.
        tests: of this run: id, outcome, seconds.
        histories: test id -> what earlier runs recorded, the latest last: run, outcome, seconds.
        figures: see Comparison.
        sessions: in how many the tests ran side by side, which makes each take longer: their
            seconds are compared with those of runs alike.

    """
    # Not the last record of each: runs of a part of the tests may have come between.
    before = {
        test: record
        for test, past in histories.items()
        for record in past
        if record["run"] == previous
    }
    now = {test["id"]: test for test in tests}
    both = [test for test in now if test in before]
    slower = (_slower(now[test], histories[test], sessions) for test in now if test in histories)
    return Comparison(
        previous,
        added=tuple(sorted(now.keys() - before.keys())),
        lost=tuple(sorted(before.keys() - now.keys())),
        newly_failing=tuple(
            test
            for test in both
            if now[test]["outcome"] in BAD and before[test]["outcome"] not in BAD
        ),
        fixed=tuple(
            test
            for test in both
            if now[test]["outcome"] == "passed" and before[test]["outcome"] in BAD
        ),
        slower=tuple(sorted(filter(None, slower), key=lambda test: test.usual - test.seconds)),
        figures=figures,
    )


def _slower(
    test: Mapping[str, Any], history: Sequence[Mapping[str, Any]], sessions: int
) -> Slower | None:
    past = [
        record["seconds"]
        for record in history
        if record["outcome"] == "passed" and record.get("sessions", 1) == sessions
    ]
    if test["outcome"] != "passed" or len(past) < SLOWER_SAMPLES:
        return None
    usual = median(past)
    spread = median(abs(seconds - usual) for seconds in past)
    longest = max(past)
    limits = (usual * SLOWER_RATIO, usual + SLOWER_SPREADS * spread, usual + SLOWER_SECONDS)
    if test["seconds"] <= max(longest, *limits):
        return None
    return Slower(test["id"], test["seconds"], usual, len(past))
