"""What earlier runs of a project left for the agents of this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Past:
    """What the memory holds of a project; empty for one that is new.

    Attributes:
        flaky: test -> what each hunt that saw it found: run, runs, failures, cause.
    """

    flaky: Mapping[str, Records] = field(default_factory=dict[str, Records])
