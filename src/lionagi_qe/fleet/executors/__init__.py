"""Where parts of a run are carried out: here, at workers of the memory, on Dask."""

from __future__ import annotations

from lionagi_qe.fleet.executors.executor import Executor, WorkersGoneError
from lionagi_qe.fleet.executors.opening import open_executor

__all__ = ["Executor", "WorkersGoneError", "open_executor"]
