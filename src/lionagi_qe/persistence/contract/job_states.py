"""The states of jobs, as the servers number them."""

from __future__ import annotations

from typing import Literal

State = Literal["delayed", "ready", "claimed", "done", "dead", "cancelled", "cancelling", "waiting"]
# "cancelling" is a claimed job whose worker is to be told, "waiting" one that comes after others.
STATES: tuple[State, ...] = (
    "delayed",
    "ready",
    "claimed",
    "done",
    "dead",
    "cancelled",
    "cancelling",
    "waiting",
)
