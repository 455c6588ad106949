"""Where uv and pip keep what they download: shared with all that the user installs, never ours."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lionagi_qe.agents.environment.cache_directory import size_of
from lionagi_qe.agents.environment.installer import OUR_PIP, find_uv

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class WheelCache:
    """The cache of an installer.

    Attributes:
        installer: "uv" or "pip".
        path: the directory.
        size: bytes of all files in it.
        prune: the command that makes room there.
    """

    installer: str
    path: Path
    size: int
    prune: str


def wheel_caches() -> list[WheelCache]:
    """Return those that are there; costs a start of each installer, and a look at every file."""
    uv = find_uv()
    programs = {
        "uv": ([] if uv is None else [uv, "cache", "dir"], "uv cache prune"),
        "pip": (
            [*OUR_PIP, "cache", "dir"] if find_spec("pip") else [],
            "pip cache purge",
        ),
    }
    found: list[WheelCache] = []
    for installer, (command, prune) in programs.items():
        path = _told(command)
        if path is not None and path.is_dir():
            found.append(WheelCache(installer, path, size_of(path), prune))
    return found


def _told(command: list[str]) -> Path | None:
    if not command:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - the installer's own words
            command, check=True, capture_output=True, text=True, timeout=_SECONDS, encoding="utf-8"
        )
    except (OSError, subprocess.SubprocessError):
        # An installer that does not run, or pip with --no-cache-dir, keeps nothing.
        return None
    return Path(done.stdout.strip())
