"""Clocks of client processes that are off, and jump, by libfaketime; monotonic ones are right.

On Linux only: elsewhere all clocks are right.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def set_clock(path: Path, offset: int) -> None:
    """Have the clocks of processes that follow this file be off by so many seconds."""
    written = path.with_suffix(".new")
    written.write_text(f"{offset:+d}s\n")
    written.replace(path)


def clock_of(path: Path | None) -> Mapping[str, str]:
    """Return the environment of a process whose clock follows a file, if any."""
    if path is None or sys.platform != "linux":
        return {}
    import libfaketime

    library = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(path),
        # Read anew each second; read for each look at a clock, clients come to next to nothing.
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def remove_clock(process: int) -> None:
    """Remove what the clock of a process that was killed leaves in memory."""
    for name in (f"faketime_shm_{process}", f"sem.faketime_sem_{process}"):
        Path("/dev/shm", name).unlink(missing_ok=True)  # noqa: S108 - where libfaketime has it
