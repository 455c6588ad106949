"""What was measured, and the ratios that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Self

from lionagi_qe.bench.contender import Kind
from lionagi_qe.bench.rows import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.bench.rows import Row


@dataclass(frozen=True, slots=True)
class Sample:
    """One contender in one round: operations a second, and how long a step took, in ms."""

    rate: float
    p50: float
    p99: float

    @classmethod
    def of(cls, steps: Sequence[float], rate: float) -> Self:
        """Summarise the steps' durations, in seconds."""
        if len(steps) == 1:
            return cls(rate, steps[0] * 1000, steps[0] * 1000)
        cuts = quantiles(steps, n=100, method="inclusive")
        return cls(rate, cuts[49] * 1000, cuts[98] * 1000)


@dataclass(frozen=True, slots=True)
class Course:
    """One contender over all rounds of a row."""

    name: str
    kind: Kind
    samples: list[Sample]

    @property
    def rate(self) -> float:
        """The median of the rounds' rates."""
        return median(sample.rate for sample in self.samples)

    @property
    def p50(self) -> float:
        """The median of the rounds' medians, in ms."""
        return median(sample.p50 for sample in self.samples)

    @property
    def p99(self) -> float:
        """The median of the rounds' 99th percentiles, in ms."""
        return median(sample.p99 for sample in self.samples)


@dataclass(frozen=True, slots=True)
class RowResult:
    """A row with all who took part."""

    row: Row
    courses: list[Course]

    def of(self, kind: Kind) -> Course | None:
        """Return the first of that kind."""
        return next((course for course in self.courses if course.kind is kind), None)

    def ratio(self, of: Course, to: Course) -> float:
        """How many times better ``of`` did than ``to``: the median over the rounds' own ratios."""
        pairs = zip(of.samples, to.samples, strict=True)
        if self.row.figure is Figure.P99:
            return median(theirs.p99 / ours.p99 for ours, theirs in pairs)
        return median(ours.rate / theirs.rate for ours, theirs in pairs)

    def to_driver(self, course: Course) -> float | None:
        """Return the ratio to the plain driver; None if there is none in this row."""
        driver = self.of(Kind.DRIVER)
        return None if driver is None else self.ratio(course, driver)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON data, each round included."""
        ours = self.of(Kind.OURS)
        return {
            "row": self.row.name,
            "title": self.row.title,
            "compared_by": self.row.figure.value,
            "contenders": {
                course.name: {
                    "kind": course.kind.value,
                    "operations_per_second": course.rate,
                    "p50_ms": course.p50,
                    "p99_ms": course.p99,
                    "to_driver": self.to_driver(course),
                    "ours_to_it": None if ours is None else self.ratio(ours, course),
                    "rounds": [
                        {"rate": sample.rate, "p50_ms": sample.p50, "p99_ms": sample.p99}
                        for sample in course.samples
                    ],
                }
                for course in self.courses
            },
        }
