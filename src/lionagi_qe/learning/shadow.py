"""The log of learned decisions beside the plain heuristic's, and what it says of the two."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from lionagi_qe.learning.errors import LearningStateError
from lionagi_qe.learning.statistics import Interval, bootstrap

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = 1

# A switch needs this many decisions that could be scored, and an interval of this confidence.
SWITCH_AFTER = 20
_SWITCH_CONFIDENCE = 0.99
# Fewer scored decisions than this say nothing.
_FEWEST = 5

Acting = Literal["learned", "heuristic"]
# Which order a cycle's tests were run in; "given" where they ran as they came.
Ran = Literal["learned", "heuristic", "given"]
Verdict = Literal["better", "worse", "no difference", "too few decisions"]


@dataclass(frozen=True, slots=True)
class Scores:
    """What each way to decide was worth: of an order, its NAPFD over the tests that ran.

    The results of tests that did not run are unknown, to all orders alike. ``given`` is the order
    in which the tests came: pytest's own in ``aqe run``.
    """

    learned: float
    heuristic: float
    random: float
    optimal: float
    given: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A logged decision: both orders (their first names), who acted, and what came of it.

    Attributes:
        number: counts the decisions of a project, from 1.
        acting: which order was run.
        tests: how many candidates there were.
        learned, heuristic: the first names of the two orders.
        ran, failed: how many tests ran and failed; None until the cycle is over.
        scores: None until then, and for a cycle without failures.
        found_after: the share of the tests' time in which the learned order had found the first
            failure; None until then, without failures, and where not all tests ran.
    """

    number: int
    acting: Ran
    tests: int
    learned: tuple[str, ...]
    heuristic: tuple[str, ...]
    ran: int | None = None
    failed: int | None = None
    scores: Scores | None = None
    found_after: float | None = None

    def to_entry(self) -> dict[str, Any]:
        """Return it as it is kept in the memory."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_entry(cls, value: dict[str, Any]) -> Decision:
        """Return the decision that ``to_entry`` described; else LearningStateError."""
        if value.get("schema") != SCHEMA:
            raise LearningStateError(
                f"logged decision: has schema {value.get('schema')!r}, this version reads {SCHEMA}"
            )
        try:
            return cls(
                number=_whole(value["number"]),
                acting=_one_of(value["acting"], get_args(Ran)),
                tests=_whole(value["tests"]),
                learned=_names(value["learned"]),
                heuristic=_names(value["heuristic"]),
                ran=None if value.get("ran") is None else _whole(value["ran"]),
                failed=None if value.get("failed") is None else _whole(value["failed"]),
                scores=None if value.get("scores") is None else Scores(**_numbers(value["scores"])),
                **_numbers({"found_after": value.get("found_after")}),
            )
        except (KeyError, TypeError) as error:
            raise LearningStateError(f"logged decision: is damaged: {error}") from error


# By hand, since a library for it takes longer to import than most runs have decisions to read.
def _whole(value: Any) -> int:  # noqa: ANN401 - as stored
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _one_of(value: Any, known: tuple[Any, ...]) -> Any:  # noqa: ANN401 - as stored
    if value not in known:
        raise TypeError(f"{value!r} is none of {', '.join(known)}")
    return value


def _names(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - as stored
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is no list of names")
    names: list[Any] = [*value]
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{name!r} is no name")
    return tuple(names)


def _numbers(value: Any) -> dict[str, Any]:  # noqa: ANN401 - as stored
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no scores")
    scores: dict[str, Any] = {**value}
    for name, score in scores.items():
        if score is not None and not isinstance(score, int | float):
            raise TypeError(f"{name} = {score!r} is no number")
    return scores


@dataclass(frozen=True, slots=True)
class Report:
    """All scored decisions side by side; intervals are 95 % bootstrap intervals.

    Attributes:
        decisions: how many were logged.
        scored: how many of them had a failure to find.
        orders: {order: mean NAPFD with interval}; empty if nothing was scored.
        gain: learned minus heuristic, paired decision by decision.
        verdict: what the interval of the gain says.
    """

    decisions: int
    scored: int
    orders: dict[str, Interval]
    gain: Interval | None
    verdict: Verdict


def summarise(decisions: Sequence[Decision]) -> Report:
    """Return the report of the logged decisions."""
    scores = _scores(decisions)
    if not scores:
        return Report(len(decisions), 0, {}, None, "too few decisions")
    orders = {
        name: bootstrap([getattr(each, name) for each in scores])
        for name in ("learned", "heuristic", "random", "optimal")
    }
    given = [each.given for each in scores if each.given is not None]
    if len(given) == len(scores):
        orders["given"] = bootstrap(given)
    gain = bootstrap([each.learned - each.heuristic for each in scores])
    return Report(len(decisions), len(scores), orders, gain, _verdict(gain, len(scores)))


def _verdict(gain: Interval, scored: int) -> Verdict:
    if scored < _FEWEST:
        return "too few decisions"
    if gain.low > 0:
        return "better"
    return "worse" if gain.high < 0 else "no difference"


def who_should_act(
    acting: Acting, decisions: Sequence[Decision], subject: str = "order", unit: str = "NAPFD"
) -> tuple[Acting, str | None]:
    """Return who decides from now on, and if that is a switch, the reason in words.

    The last 20 scored decisions count. The learned one is switched off when it was worse in
    them, and on again when it was better, beyond what chance explains (99 %); else all stays.

    Args:
        acting: who decides now.
        decisions: since the last switch, oldest first.
        subject: what is decided.
        unit: of the scores.

    """
    scores = _scores(decisions)[-SWITCH_AFTER:]
    if len(scores) < SWITCH_AFTER:
        return acting, None
    gain = bootstrap(
        [each.learned - each.heuristic for each in scores], confidence=_SWITCH_CONFIDENCE
    )
    figures = (
        f"by {abs(gain.mean):.3f} {unit} in the last {len(scores)} decisions"
        f" [{gain.low:.3f}, {gain.high:.3f}]"
    )
    if acting == "learned" and gain.high < 0:
        return "heuristic", f"the learned {subject} was worse than the heuristic {figures}"
    if acting == "heuristic" and gain.low > 0:
        return "learned", f"the learned {subject} was better than the heuristic {figures}"
    return acting, None


def _scores(decisions: Sequence[Decision]) -> list[Scores]:
    return [decision.scores for decision in decisions if decision.scores is not None]
