"""Checks what the model computes on many entries: what lies there, and what calls cost there.

    python -m tests.benchmarks.capacity.check FILE [--entries N] [--backend NAME ...]

Fills servers with entries of mixed sizes by the library's own batches (10 M of them: half an hour
and 15 GB of disk for each of SQLite and PostgreSQL), and writes to FILE what was predicted and what
is there. ``--url`` names a memory that a run which was broken off has begun to fill.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from tests.benchmarks.capacity.filling import fill, store_places
from tests.benchmarks.capacity.measure import BACKENDS, server_url, tell
from tests.benchmarks.capacity.meters import PostgresMeter, meter_of
from tests.benchmarks.capacity.operations import measure
from tests.benchmarks.capacity.ring import GROUP, MIXED, MIXED_KEYS, Ring

from lionagi_qe import open_memory
from lionagi_qe.bench.capacity import Load, Machine, estimate, measured

if TYPE_CHECKING:
    from lionagi_qe import Memory
    from lionagi_qe.bench.capacity import Backend

_SMALL = 10_000
# Sizes that each range of values is taken for.
_STEPS = 100
_CALLS = 2_000
# Of all entries, overwritten at random, to see what that leaves behind.
_CHURNED = 0.1
_DEPTHS = """
SELECT c.relname::text AS name, tree_level + 1 AS levels, avg_leaf_density AS leaf_percent
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    CROSS JOIN LATERAL pgstatindex(i.indexrelid)
WHERE i.indrelid = to_regclass('lionagi_qe.entries')
"""


async def check(backend: Backend, entries: int, url: str | None) -> dict[str, Any]:
    """Fill a server, and return what was predicted and what is there."""
    with ExitStack() as stack:
        large = url or server_url(backend, stack, filled=True)
        small = _beside(backend, large)
        at_small, _ = await _calls(small, Ring(_SMALL))
        ring = Ring(entries)
        async with _open(large) as memory, meter_of(large) as meter:
            before = await meter.sizes()
            await fill(memory, ring, tell=lambda what: tell(f"{backend}: {what}"))
            # What was told of the changes, whose time is over.
            await memory.cleanup_expired()
            if isinstance(meter, PostgresMeter):
                await meter.connection.execute("ANALYZE lionagi_qe.entries")
            version = str((await memory.describe())["server"])
            held = _less(await meter.sizes(), before if url is None else {})
        at_large, vacuum = await _calls(large, ring)
        return {
            "entries": entries,
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "version": version,
            "held": held,
            "calls_at_10k": at_small,
            "calls": at_large,
            **vacuum,
        }


def predicted(backend: Backend, ring: Ring) -> dict[str, float]:
    """Return bytes by part, the mean of what is predicted of entries as they are."""
    found: dict[str, float] = {}
    for share, value in _sizes():
        for part, size in _parts(backend, ring, fmean(MIXED_KEYS), value).items():
            found[part] = found.get(part, 0.0) + share * size
    return {part: round(size) for part, size in found.items()}


def predicted_by_means(backend: Backend, ring: Ring) -> dict[str, float]:
    """Return what the command tells who knows the mean length and the mean size alone."""
    value = sum(share * value for share, value in _sizes())
    parts = _parts(backend, ring, fmean(MIXED_KEYS), value)
    return {part: round(size) for part, size in parts.items()}


def _sizes() -> list[tuple[float, float]]:
    """Return sizes of values as they are mixed, and the share of each."""
    return [
        (share / _STEPS, least + (most - least) * (step + 0.5) / _STEPS)
        for share, least, most in MIXED
        for step in range(_STEPS)
    ]


def _parts(backend: Backend, ring: Ring, key: float, value: float) -> dict[str, float]:
    load = Load(entries=ring.entries, key_bytes=key, value_bytes=value)
    return estimate(backend, measured().backends[backend], load, Machine()).parts


async def _calls(url: str, ring: Ring) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what calls on a ring cost; of PostgreSQL also what vacuums do."""
    async with _open(url, cleanup_interval=None) as memory, meter_of(url) as meter:
        await fill(memory, ring)
        tell(f"calls on {ring.entries:,}")
        costs = {name: asdict(cost) for name, cost in (await measure(memory, ring, meter)).items()}
        further: dict[str, Any] = {}
        if isinstance(meter, PostgresMeter) and ring.entries > _SMALL:
            further = await _vacuumed(memory, ring, meter)
        return costs, further


async def _vacuumed(memory: Memory, ring: Ring, meter: PostgresMeter) -> dict[str, Any]:
    tell("vacuum")
    await meter.connection.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
    settled = await _vacuum_seconds(meter)
    before = await meter.sizes()
    tell("overwriting a tenth at random")
    places = ring.places(round(ring.entries * _CHURNED), seed=11)
    for first in range(0, len(places), 20 * GROUP):
        await store_places(memory, ring, places[first : first + 20 * GROUP], 5)
    churned = await _vacuum_seconds(meter)
    after = await meter.sizes()
    await memory.cleanup_expired()
    return {
        "vacuum_seconds": settled,
        "vacuum_seconds_after_overwriting": churned,
        "overwritten": len(places),
        "growth": {part: size / before[part] for part, size in after.items() if before[part]},
        "indexes": {
            row["name"]: {"levels": row["levels"], "leaf_percent": row["leaf_percent"]}
            for row in await meter.connection.fetch(_DEPTHS)
        },
    }


async def _vacuum_seconds(meter: PostgresMeter) -> float:
    """Return the processor time of a vacuum of the entries, in seconds."""
    before = await meter.server_us()
    await meter.connection.execute("VACUUM (ANALYZE, PARALLEL 0) lionagi_qe.entries")
    return round((await meter.server_us() - before) / 1e6, 1)


def _open(url: str, **settings: Any) -> Memory:
    return open_memory(url, fleet="capacity", timeout=120, **settings)


def _less(sizes: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {part: size - before.get(part, 0) for part, size in sizes.items()}


def _beside(backend: Backend, url: str) -> str:
    """Return the URL of an empty memory on the same server."""
    if backend == "sqlite":
        return f"{url}-small"
    if backend == "redis":
        return url.removesuffix("/0") + "/1"
    from lionagi_qe.testing.servers.statement import execute

    execute(url, "DROP DATABASE IF EXISTS small WITH (FORCE)")
    execute(url, "CREATE DATABASE small TEMPLATE template0 ENCODING 'UTF8'")
    return url.rpartition("/")[0] + "/small"


def main() -> None:
    """Check, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--url")
    asked = parser.parse_args()
    found = json.loads(asked.file.read_bytes()) if asked.file.exists() else {}
    asked.file.parent.mkdir(parents=True, exist_ok=True)
    for backend in asked.backend or BACKENDS:
        found[backend] = asyncio.run(check(backend, asked.entries, asked.url))
        asked.file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
