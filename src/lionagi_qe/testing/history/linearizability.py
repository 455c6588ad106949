"""Whether calls that overlap can be put into an order in which each answer is right.

The search is that of Wing and Gong ("Testing and Verifying Concurrent Objects", Journal of
Parallel and Distributed Computing 17, 1993) with the cache of visited configurations that Lowe
added ("Testing for Linearizability", Concurrency and Computation: Practice and Experience 29,
2017), for each key by itself (Horn and Kroening, "Faster Linearizability Checking via
P-Compositionality", FORTE 2015), as in Porcupine. What is added here: a call that changes nothing
and fits is placed at once, as no order is better; calls of unknown outcome are tried last, and of
equal ones the oldest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

S = TypeVar("S")


class Step(Protocol):
    """A call as the search sees it."""

    @property
    def invoked(self) -> float:
        """When it began: it takes effect no sooner."""
        ...

    @property
    def ended(self) -> float:
        """When it was answered: it takes effect no later."""
        ...

    @property
    def required(self) -> bool:
        """Whether it took effect; else it may have, at any time since it began."""
        ...

    @property
    def effect(self) -> Hashable:
        """Equal for steps that come to the same in every state; only asked if not required."""
        ...


T = TypeVar("T", bound=Step)
T_contra = TypeVar("T_contra", bound=Step, contravariant=True)


class Model(Protocol[S, T_contra]):
    """A sequential specification: states can be hashed."""

    def initial(self) -> S:
        """Return the state before all steps."""
        ...

    def apply(self, state: S, step: T_contra, /) -> S | None:
        """Return the state after the step; None if it can't be answered so in this state."""
        ...


@dataclass(frozen=True, slots=True)
class Order(Generic[S, T]):
    """What the search came to.

    Attributes:
        found: whether there is an order; None if the limit was reached before it was known.
        placed: that order, or the longest beginning of one.
        state: the state after it.
        stuck: the steps of which one had to come next.
        searched: how many steps were tried.
    """

    found: bool | None
    placed: list[T]
    state: S
    stuck: list[T]
    searched: int


@dataclass(slots=True)
class _Frame(Generic[S]):
    """A point of the search: what is left to try, and how to undo what was placed there."""

    choices: Iterator[int]
    state: S
    placed: int = -1


def find_order(model: Model[S, T], steps: Sequence[T], limit: int) -> Order[S, T]:
    """Search for an order of ``steps`` that respects time and the model.

    Costs about one trial a step for most histories; at worst exponentially many in the number of
    steps that overlap, where ``limit`` ends it.
    """
    return _Search(model, steps, limit).run()


class _Search(Generic[S, T]):
    def __init__(self, model: Model[S, T], steps: Sequence[T], limit: int) -> None:
        self._model = model
        self._limit = limit
        ordered = sorted(steps, key=lambda step: step.invoked)
        required = [step for step in ordered if step.required]
        self._steps: list[T] = [*required, *(step for step in ordered if not step.required)]
        self._count = len(required)
        # A linked list of the required steps that are not placed yet; its end is self._count.
        self._next = [*range(1, self._count + 1), 0]
        self._before = [self._count, *range(self._count)]
        self._next[self._count] = 0 if self._count else self._count
        self._placed = 0
        self._twins = self._older_twins()
        self._searched = 0
        self._longest: list[int] = []
        self._longest_state = model.initial()

    def _older_twins(self) -> dict[int, int]:
        """Return for each optional step the one before it that has the same effect."""
        twins: dict[int, int] = {}
        latest: dict[Hashable, int] = {}
        for at in range(self._count, len(self._steps)):
            effect = self._steps[at].effect
            if effect in latest:
                twins[at] = latest[effect]
            latest[effect] = at
        return twins

    def run(self) -> Order[S, T]:
        state = self._model.initial()
        visited: set[tuple[int, S]] = set()
        frames = [_Frame(iter(self._candidates(state)), state)]
        left = self._count
        while left:
            frame = frames[-1]
            following = self._advance(frame, visited)
            if following is None:
                frames.pop()
                if not frames:
                    return self._result(found=False)
                left += self._take_back(frames[-1])
                continue
            if self._searched > self._limit:
                return self._result(found=None)
            left -= frame.placed < self._count
            frames.append(_Frame(iter(self._candidates(following)), following))
            if len(frames) - 1 > len(self._longest):
                self._longest = [each.placed for each in frames[:-1]]
                self._longest_state = following
        return self._result(found=True)

    def _advance(self, frame: _Frame[S], visited: set[tuple[int, S]]) -> S | None:
        """Place the next choice that leads anywhere new; return the state after it."""
        for at in frame.choices:
            self._searched += 1
            following = self._model.apply(frame.state, self._steps[at])
            if following is None:
                continue
            configuration = (self._placed | 1 << at, following)
            if configuration in visited:
                continue
            visited.add(configuration)
            self._placed |= 1 << at
            if at < self._count:
                before, after = self._before[at], self._next[at]
                self._next[before], self._before[after] = after, before
            frame.placed = at
            return following
        return None

    def _take_back(self, frame: _Frame[S]) -> int:
        """Undo what was placed last; return how many required steps that were."""
        at = frame.placed
        self._placed &= ~(1 << at)
        if at >= self._count:
            return 0
        self._next[self._before[at]] = at
        self._before[self._next[at]] = at
        return 1

    def _candidates(self, state: S) -> list[int]:
        """Return which steps may come next, the likeliest first."""
        required, first_end = self._open()
        for at in required:
            self._searched += 1
            if self._model.apply(state, self._steps[at]) == state:
                return [at]
        optional = [
            at
            for at in range(self._count, len(self._steps))
            if not self._placed >> at & 1
            and self._steps[at].invoked <= first_end
            and (at not in self._twins or self._placed >> self._twins[at] & 1)
        ]
        return [*sorted(required, key=lambda at: self._steps[at].ended), *optional]

    def _open(self) -> tuple[list[int], float]:
        """Return the required steps that may come next, and when the first has ended."""
        first_end = float("inf")
        found: list[int] = []
        at = self._next[self._count]
        while at != self._count and self._steps[at].invoked <= first_end:
            found.append(at)
            first_end = min(first_end, self._steps[at].ended)
            at = self._next[at]
        return found, first_end

    def _result(self, *, found: bool | None) -> Order[S, T]:
        longest = set(self._longest)
        rest = [at for at in range(self._count) if at not in longest]
        first_end = min((self._steps[at].ended for at in rest), default=float("inf"))
        stuck = [self._steps[at] for at in rest if self._steps[at].invoked <= first_end]
        return Order(
            found,
            [self._steps[at] for at in self._longest],
            self._longest_state,
            stuck,
            self._searched,
        )
