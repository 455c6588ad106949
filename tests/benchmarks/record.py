"""Measures all rows on servers of its own, and adds the ratios to a history.

    python -m tests.benchmarks.record FILE [--rounds N]

Takes some minutes. FILE is for ``aqe bench --history``.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.publish import say, servers

from lionagi_qe.bench.contender import Kind
from lionagi_qe.bench.history import append, run_of
from lionagi_qe.bench.measure import Effort
from lionagi_qe.bench.rows import ROWS
from lionagi_qe.bench.run import run_rows
from lionagi_qe.bench.workload import Workload


def main() -> None:
    """Measure and add."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each contender in a round")
    options = parser.parse_args()
    effort = Effort(options.rounds, options.seconds)
    with ExitStack() as stack:
        for _, url in servers(stack):
            # Nobody but the plain driver, which is the other half of each ratio.
            rows = run_rows(url, ROWS, Workload(), effort, say=say, kinds=(Kind.OURS, Kind.DRIVER))
            append(options.file, run_of(asyncio.run(rows), Path.cwd()))


if __name__ == "__main__":
    main()
