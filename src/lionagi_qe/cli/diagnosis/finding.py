"""One thing that was found out about a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# "unfit": the memory can't be used, or not be trusted. "problem": something is or soon will be
# lost, refused or slow. "advice": as it is set, and maybe meant.
Level = Literal["unfit", "problem", "advice"]
KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
# Of connections, memory or a disk that are used up: what is left is soon gone.
NEARLY_FULL = 0.8


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, what it means, and what to do.

    Attributes:
        check: what was looked at; the same word for the same check, for machines.
        level: how bad it is.
        found: what was seen.
        means: what comes of it.
        do: what to do.
    """

    check: str
    level: Level
    found: str
    means: str
    do: str

    def __str__(self) -> str:
        return f"{self.found}: {self.means}. {self.do}."


def size(number: float) -> str:
    """Return a number of bytes for people."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number:.0f} bytes"
