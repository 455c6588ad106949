"""Latencies on disk while they are measured, and exact percentiles of them afterwards.

A client that kept them would grow by what it measures, and a histogram would round: each is 18
bytes of a file, and is counted once all is over.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

OK = "ok"
# What the generator told itself of a call that it could not make.
NOT_BEGUN, UNANSWERED = "not begun", "unanswered"
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
_LINE = struct.Struct("<dffBB")
_TYPE = np.dtype(
    [("due", "<f8"), ("delay", "<f4"), ("latency", "<f4"), ("kind", "u1"), ("outcome", "u1")]
)


class SampleWriter:
    """Writes one process's samples to a file, with the names of kinds and outcomes beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._kinds: dict[str, int] = {}
        self._outcomes: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        names = {"kinds": list(self._kinds), "outcomes": list(self._outcomes)}
        self._path.with_suffix(".names").write_text(json.dumps(names), encoding="utf-8")

    def add(
        self, kind: str, due: float, *, latency: float, delay: float = 0.0, outcome: str = OK
    ) -> None:
        """Note a call: due at a second of the run, begun ``delay`` and ended ``latency`` after."""
        of_kind = self._kinds.setdefault(kind, len(self._kinds))
        of_outcome = self._outcomes.setdefault(outcome, len(self._outcomes))
        self._file.write(_LINE.pack(due, delay, latency, of_kind, of_outcome))


@dataclass(frozen=True)
class Samples:
    """What processes measured: arrays of one length, times in seconds."""

    due: np.ndarray
    delay: np.ndarray
    latency: np.ndarray
    kind: np.ndarray
    outcome: np.ndarray

    @classmethod
    def read(cls, paths: Iterable[Path]) -> Self:
        """Read what ``SampleWriter`` wrote."""
        parts = [_read(path) for path in sorted(paths)]
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    @classmethod
    def of(cls, rows: Sequence[tuple[float, float, float, str, str]]) -> Self:
        """Make them from rows: due, delay, latency, kind, outcome."""
        due, delay, latency, kind, outcome = map(np.array, zip(*rows, strict=True))
        return cls(due, delay, latency, kind, outcome)

    def __len__(self) -> int:
        return len(self.due)

    def where(self, chosen: np.ndarray) -> Samples:
        """Return those that are chosen."""
        return Samples(
            self.due[chosen],
            self.delay[chosen],
            self.latency[chosen],
            self.kind[chosen],
            self.outcome[chosen],
        )

    def between(self, start: float, end: float) -> Samples:
        """Return those that were due in these seconds of the run."""
        return self.where((self.due >= start) & (self.due < end))

    def of_kind(self, kind: str) -> Samples:
        """Return those of a kind."""
        return self.where(self.kind == kind)

    def kinds(self) -> list[str]:
        """Return the kinds of which there are some, the most frequent first."""
        names, counts = np.unique(self.kind, return_counts=True)
        return [str(name) for _, name in sorted(zip(-counts, names, strict=True))]

    def answered(self) -> Samples:
        """Return those that were done."""
        return self.where(self.outcome == OK)

    def errors(self) -> dict[str, dict[str, int]]:
        """Return how many calls of each kind came to what, but for those that were done."""
        failed = self.where(self.outcome != OK)
        return {kind: _counted(failed.of_kind(kind).outcome) for kind in failed.kinds()}

    def waits(self) -> np.ndarray:
        """Return for how long callers waited, from the due time, whatever came of it.

        A call that the generator could not even begin has waited at least until the last one that
        it knows the answer of: infinitely, in the percentiles.
        """
        lost = (self.outcome == NOT_BEGUN) | (self.outcome == UNANSWERED)
        return np.where(lost, np.inf, self.latency)


def _read(path: Path) -> tuple[np.ndarray, ...]:
    names = json.loads(path.with_suffix(".names").read_text(encoding="utf-8"))
    found = np.fromfile(path, dtype=_TYPE)
    kinds, outcomes = (np.array(names[each] or [""]) for each in ("kinds", "outcomes"))
    return (
        found["due"],
        found["delay"].astype("f8"),
        found["latency"].astype("f8"),
        kinds[found["kind"]],
        outcomes[found["outcome"]],
    )


def _counted(names: np.ndarray) -> dict[str, int]:
    found, counts = np.unique(names, return_counts=True)
    return {str(name): int(count) for name, count in zip(found, counts, strict=True)}


def percentile(values: np.ndarray, percent: float) -> float:
    """Return the smallest value that so many percent of all values do not exceed; nan of none."""
    if not len(values):
        return float("nan")
    # 99.9 % of 1,000 are 999, for floating point as well.
    place = max(math.ceil(round(percent * len(values) / 100, 6)) - 1, 0)
    return float(np.partition(values, place)[place])


def percentile_bounds(values: np.ndarray, percent: float) -> tuple[float, float]:
    """Return between which values a percentile lies, had there been any number of such calls.

    The values at the ends of an 83 % interval of how many lie below it, by the normal approximation
    of the binomial. Two such intervals that do not meet differ at the 5 % level (Goldstein and
    Healy, "The Graphical Presentation of a Collection of Means", 1995).
    """
    below = percent / 100
    spread = 1.37 * math.sqrt(below * (1 - below) / max(len(values), 1))
    low, high = (min(max(at, 0.0), 1.0) * 100 for at in (below - spread, below + spread))
    return percentile(values, low), percentile(values, high)


def summary(samples: Samples) -> dict[str, Any]:
    """Return the number and the percentiles of some samples, in milliseconds."""
    waits = np.sort(samples.waits())
    told = {f"p{percent:g}": percentile(waits, percent) * 1000 for percent in PERCENTILES}
    most = float(waits[-1]) * 1000 if len(waits) else float("nan")
    return {"calls": len(samples), **told, "max": most}


def over_time(
    samples: Samples, seconds: float, percents: Sequence[float], width: float = 1.0
) -> dict[str, list[float]]:
    """Return, of each stretch of ``width`` seconds, calls a second and percentiles in ms."""
    order = np.argsort(samples.due, kind="stable")
    due, waits = samples.due[order], samples.waits()[order]
    edges = np.arange(0.0, seconds + width / 2, width)
    places = np.searchsorted(due, edges)
    told: dict[str, list[float]] = {"at": [float(edge) for edge in edges[:-1]]}
    told["rate"] = [float(end - begin) / width for begin, end in pairwise(places)]
    for percent in percents:
        told[f"p{percent:g}"] = [
            percentile(waits[begin:end], percent) * 1000 for begin, end in pairwise(places)
        ]
    return told


def done_over_time(samples: Samples, seconds: float, width: float = 1.0) -> list[float]:
    """Return how many calls a second were done, by when they ended."""
    answered = samples.answered()
    edges = np.arange(0.0, seconds + width / 2, width)
    counts, _ = np.histogram(answered.due + answered.latency, edges)
    return [float(count) / width for count in counts]
