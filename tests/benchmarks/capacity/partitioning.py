"""Partitions a memory that ``check`` has filled, and compares the calls on it.

    python -m tests.benchmarks.capacity.partitioning FILE URL [--entries N] [--parts N]

Adds to FILE's ``postgresql`` what came of it. The memory stays partitioned.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.capacity.measure import tell
from tests.benchmarks.capacity.meters import PostgresMeter
from tests.benchmarks.capacity.operations import measure
from tests.benchmarks.capacity.ring import Ring
from tests.partitioned.recipe import recipe

from lionagi_qe import open_memory


async def partitioned(url: str, entries: int, parts: int) -> dict[str, Any]:
    """Run the recipe, then each kind of call."""
    async with PostgresMeter(url) as meter:
        before = await meter.server_us()
        async with meter.connection.transaction():
            await meter.connection.execute(recipe(parts), timeout=3_600)
        took = await meter.server_us() - before
        tell(f"partitioned: {took / 1e6:.0f} s of processor time")
        async with open_memory(url, fleet="capacity", timeout=120, cleanup_interval=None) as memory:
            costs = await measure(memory, Ring(entries), meter)
    return {
        "parts": parts,
        "recipe_seconds": round(took / 1e6, 1),
        "calls": {name: asdict(cost) for name, cost in costs.items()},
    }


def main() -> None:
    """Partition, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("url")
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--parts", type=int, default=16)
    asked = parser.parse_args()
    found = json.loads(asked.file.read_bytes())
    found["postgresql"]["partitioned"] = asyncio.run(
        partitioned(asked.url, asked.entries, asked.parts)
    )
    asked.file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
