"""What earlier runs of a project left for the agents of this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lionagi_qe.agents.line_map import TestMap

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class History:
    """What the memory holds of a project; empty for one that is new.

    Attributes:
        flaky: test -> what each hunt that saw it found: run, runs, failures, cause.
        failing: tests that failed when they last ran.
        test_map: which tests run which lines, as last measured.
        learned: what was learned, JSON data by name; see ``fleet/learned_state.py``. Empty
            if nothing shall be decided by it.
        durations: test -> what its last runs recorded, the latest last: run, outcome, seconds.
            Empty unless an agent wants them.
        benchmarks: likewise of benchmarks: run and median seconds.
        slowest: seconds of the slowest test of the last run; None where that isn't known.
    """

    flaky: Mapping[str, Records] = field(default_factory=dict[str, Records])
    failing: frozenset[str] = frozenset()
    test_map: TestMap | None = None
    learned: Mapping[str, Any] = field(default_factory=dict[str, Any])
    slowest: float | None = None
    durations: Mapping[str, Records] = field(default_factory=dict[str, Records])
    benchmarks: Mapping[str, Records] = field(default_factory=dict[str, Records])
