"""Where a run's work may be carried out, as ``--executor`` and ``[tool.aqe]`` name it."""

from __future__ import annotations

import re

# Workers of the memory where there are any, else this process; this process alone; workers.
NAMED = ("auto", "local", "queue")
_SCHEMES = ("dask", "tcp", "tls")
_ADDRESS = re.compile(
    rf"(?P<scheme>{'|'.join(_SCHEMES)})://(?P<host>\[[0-9a-fA-F:.%]+\]|[^\s/:@\[\]]+):(?P<port>\d{{1,5}})"
)


def executor(value: object) -> str:
    """Return a kind of executor, or the address of a Dask scheduler; ValueError for else."""
    if value in NAMED:
        return str(value)
    if isinstance(value, str) and _ADDRESS.fullmatch(value):
        return value
    told = "should be one of auto, local, queue, or the address of a Dask scheduler such as "
    if isinstance(value, str) and value.partition(":")[0] == "ray":
        raise ValueError(f"{told}dask://host:8786; there is no executor for Ray")
    raise ValueError(f"{told}dask://host:8786, tcp://host:8786 or tls://host:8786")


def is_address(chosen: str) -> bool:
    """Whether an executor is named by a scheduler's address."""
    return chosen not in NAMED


def scheduler_address(chosen: str) -> str:
    """Return a Dask scheduler's address as Dask writes it."""
    return re.sub(r"^dask://", "tcp://", chosen)
