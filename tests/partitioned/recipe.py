"""Runs docker/partition_entries.sql as an administrator would, without psql."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from lionagi_qe import open_memory

RECIPE = Path(__file__).parents[2] / "docker" / "partition_entries.sql"
PARTS = 4


def recipe(parts: int = PARTS) -> str:
    """Return the recipe as psql would send it."""
    text = RECIPE.read_text(encoding="utf-8")
    return text.replace(':"schema"', '"lionagi_qe"').replace(":parts", str(parts))


async def partition(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(recipe())
    finally:
        await connection.close()


async def make_partitioned(url: str) -> None:
    """Make a memory, store ``aqe/before/0`` to ``99``, and partition it."""
    async with open_memory(url) as memory:
        await memory.store_many({f"aqe/before/{at}": at for at in range(100)})
    await partition(url)
