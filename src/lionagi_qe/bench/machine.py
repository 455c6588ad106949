"""What the figures depend on: the machine, the versions, the moment."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lionagi_qe.persistence.values.url import redact

_PACKAGES = (
    "aqe-fleet",
    "asyncpg",
    "redis",
    "hiredis",
    "apsw",
    "orjson",
    "langgraph-checkpoint-postgres",
    "psycopg",
    "py-key-value-aio",
    "saq",
)


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory, system, Python, packages, date and load."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *map(_shown, sys.argv[1:])]),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory(),
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "load_average": list(os.getloadavg()),
    }


def _shown(argument: str) -> str:
    """Return an argument of the command line without a password."""
    return redact(argument) if "://" in argument else argument


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        # Not Linux.
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _memory() -> float:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return round(pages / 2**30, 1)
