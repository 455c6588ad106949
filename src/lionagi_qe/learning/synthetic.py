"""Made-up CI histories, one failure regime each, to see what an ordering can and can't learn."""

# ruff: noqa: PLR2004 - a regime is its rates, each used once; names would only repeat them

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.learning.history import Candidate, Cycle

if TYPE_CHECKING:
    from collections.abc import Callable

_TESTS = 120
_AREAS = 12


@dataclass(frozen=True, slots=True)
class _Suite:
    """The tests of a made-up project: test i belongs to area i modulo the number of areas."""

    durations: tuple[float, ...]

    def candidate(self, test: int) -> Candidate:
        return Candidate(f"area{test % _AREAS}/test_{test}", self.durations[test])


def _persistent(tests: int, cycles: int, rng: Random) -> list[dict[int, bool]]:
    """Tests break and stay broken until someone mends them some cycles later."""
    broken: set[int] = set()
    history: list[dict[int, bool]] = []
    for _ in range(cycles):
        broken = {test for test in broken if rng.random() > 0.25}
        broken |= {test for test in range(tests) if rng.random() < 0.01}
        history.append({test: test in broken for test in range(tests)})
    return history


def _flaky(tests: int, cycles: int, rng: Random) -> list[dict[int, bool]]:
    """Each test fails at random at a rate of its own, high for a few."""
    rates = [0.6 * rng.random() ** 6 for _ in range(tests)]
    return [{test: rng.random() < rate for test, rate in enumerate(rates)} for _ in range(cycles)]


def _grouped(tests: int, cycles: int, rng: Random) -> list[dict[int, bool]]:
    """A fault hits an area of the code, and most of the tests there, for a few cycles."""
    faulty: set[int] = set()
    history: list[dict[int, bool]] = []
    for _ in range(cycles):
        faulty = {area for area in faulty if rng.random() > 0.5}
        if rng.random() < 0.4:
            faulty.add(rng.randrange(_AREAS))
        history.append(
            {test: test % _AREAS in faulty and rng.random() < 0.8 for test in range(tests)}
        )
    return history


def _branches(tests: int, cycles: int, rng: Random) -> list[dict[int, bool]]:
    """Two branches alternate at random, each with a suite and broken tests of its own."""
    histories = [_persistent(tests, cycles, rng) for _ in range(2)]
    suites = [[test for test in range(tests) if rng.random() < 0.7] for _ in range(2)]
    history: list[dict[int, bool]] = []
    for cycle in range(cycles):
        branch = rng.randrange(2)
        history.append({test: histories[branch][cycle][test] for test in suites[branch]})
    return history


def _growing(tests: int, cycles: int, rng: Random) -> list[dict[int, bool]]:
    """Tests are added all the time; new ones fail often, and less as they mature."""
    born = [max(0, round(cycles * (index / tests - 0.2))) for index in range(tests)]
    return [
        {
            test: rng.random() < 0.4 * 0.8 ** (cycle - born[test]) + 0.01
            for test in range(tests)
            if born[test] <= cycle
        }
        for cycle in range(cycles)
    ]


def _noise(tests: int, cycles: int, rng: Random) -> list[dict[int, bool]]:
    """Failures strike any test alike: there is nothing to learn."""
    return [{test: rng.random() < 0.05 for test in range(tests)} for _ in range(cycles)]


REGIMES: dict[str, Callable[[int, int, Random], list[dict[int, bool]]]] = {
    "persistent": _persistent,
    "flaky": _flaky,
    "grouped": _grouped,
    "branches": _branches,
    "growing": _growing,
    "noise": _noise,
}


def synthetic_history(regime: str, seed: int, *, cycles: int = 100) -> list[Cycle]:
    """Return a made-up history of 120 tests with log-normal durations.

    Args:
        regime: a name in REGIMES; the function there says what it is.
        seed: equal seeds make equal histories.
        cycles: how many; a longer history starts like a shorter one only by chance.

    Raises:
        InvalidArgumentError: an unknown regime.

    """
    if regime not in REGIMES:
        raise InvalidArgumentError(f"regime {regime!r}: not known; choose of {', '.join(REGIMES)}")
    rng = Random(f"{regime}/{seed}")  # noqa: S311 - no cryptography here
    suite = _Suite(tuple(rng.lognormvariate(0, 1) for _ in range(_TESTS)))
    history = REGIMES[regime](_TESTS, cycles, rng)
    return [
        Cycle(
            number,
            tuple(suite.candidate(test) for test in verdicts),
            tuple(verdicts.values()),
        )
        for number, verdicts in enumerate(history, start=1)
    ]
