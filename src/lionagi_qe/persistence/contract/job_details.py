"""What a server knows of a job beside how it stands: what it waits for, and what it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# As the servers number them.
LinkState = Literal["waiting", "done", "failed"]
LINK_STATES: tuple[LinkState, ...] = ("waiting", "done", "failed")


@dataclass(frozen=True, slots=True)
class JobDetails:
    """What becomes of a job when, and why.

    Attributes:
        due_ms: when its delay or its claim ends; of a done or cancelled job, when it is forgotten;
            None in other states.
        dedupe: the key that it was put with; None for none, and for one that another job took.
        batch_id: the batch that it is of, or whose callback it is; None for none.
        after: of each job that it comes after its id and what became of that, in order of ids; none
            once it is done or cancelled.
    """

    due_ms: int | None
    dedupe: str | None
    batch_id: str | None
    after: tuple[tuple[str, LinkState], ...]
