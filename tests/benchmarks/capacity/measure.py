"""Measures bytes, log and processor time of entries, and writes the figures of the model.

    python -m tests.benchmarks.capacity.measure [--backend NAME ...]

Servers are started for it, with their data under ``$LIONAGI_QE_SERVER_DATA`` or the folder for
temporaries. What isn't asked for is kept as it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.capacity.figures import Bench
from tests.benchmarks.capacity.meters import meter_of

from lionagi_qe.bench import capacity
from lionagi_qe.bench.capacity import Backend, Figures, Measured
from lionagi_qe.testing.servers import PostgresServer, RedisServer

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = Path(capacity.__file__).with_name("capacity_figures.json")
BACKENDS: tuple[Backend, ...] = ("sqlite", "postgresql", "redis")


def server_url(backend: Backend, stack: ExitStack, *, filled: bool = False) -> str:
    """Start a server that ends with ``stack``; return its URL.

    One that is to be filled is vacuumed as it is in life, and a Redis keeps to its memory.
    """
    if backend == "postgresql":
        # Whoever counts bytes wants nothing changed in the background.
        settings = {
            "autovacuum": "on" if filled else "off",
            "max_wal_size": "4GB",
            "shared_buffers": "256MB" if filled else "128MB",
        }
        return stack.enter_context(PostgresServer(settings=settings)).url
    if backend == "redis":
        # A log that is written anew meanwhile gets shorter.
        whole = {"auto-aof-rewrite-percentage": "0"}
        server = RedisServer(appendfsync=None if filled else "everysec", settings=whole)
        return stack.enter_context(server).url
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="capacity-"))
    return f"sqlite:///{folder}/memory.db"


async def figures_of(backend: Backend) -> Figures:
    """Measure one kind of server."""
    with ExitStack() as stack:
        url = server_url(backend, stack)
        async with meter_of(url) as meter:
            return await Bench(url, meter, lambda what: tell(f"{backend}: {what}")).all_figures()


def tell(text: str) -> None:
    """Tell on standard error how far it is."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def main(asked: Sequence[Backend]) -> None:
    """Measure, and write the figures."""
    found: dict[Backend, Figures] = {}
    if FILE.exists():
        found |= Measured.model_validate_json(FILE.read_bytes()).backends
    for backend in asked:
        found[backend] = asyncio.run(figures_of(backend))
        in_order: dict[Backend, Figures] = {each: found[each] for each in BACKENDS if each in found}
        _write(in_order)


def _write(found: dict[Backend, Figures]) -> None:
    measured = Measured(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=f"{os.uname().machine}, {os.cpu_count()} cores, Python {sys.version.split()[0]}",
        backends=found,
    )
    FILE.write_text(json.dumps(measured.model_dump(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    main(parser.parse_args().backend or BACKENDS)
