"""What encryption costs: a memory with keys beside the same one without, measured by turns."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lionagi_qe import KeyRing
from lionagi_qe.bench.contender import Kind
from lionagi_qe.bench.floors import check_floors, load_floors, table
from lionagi_qe.bench.measure import Effort
from lionagi_qe.bench.memory import OurMemory
from lionagi_qe.bench.rows import ROWS
from lionagi_qe.bench.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable

FLOORS = load_floors(Path(__file__).with_name("encryption_floors.json"))
EFFORT = Effort(rounds=3, seconds=0.1)
# All others are measured by make bench alone.
ALWAYS = ("store-64", "retrieve-64")


class Encrypted(OurMemory):
    """Seals what it stores."""

    name = "with keys"


class InClear(OurMemory):
    """Stands where the plain driver does."""

    name = "in clear"
    kind = Kind.DRIVER


async def test_encryption_costs_no_more_than_its_floors_allow(
    bench_url: str, full: bool, say: Callable[[str], None]
) -> None:
    backend = urlsplit(bench_url).scheme
    effort = Effort(rounds=15, seconds=0.5) if full else EFFORT
    load = Workload(10_000 if full else 2_000)
    fleet = f"bench-{uuid.uuid4().hex[:8]}"
    keys = KeyRing.parse(KeyRing.generate("bench"))
    async with AsyncExitStack() as stack:
        contenders = [InClear(bench_url, fleet), Encrypted(bench_url, f"{fleet}-keys", keys)]
        for contender in contenders:
            await contender.open()
            stack.push_async_callback(contender.close)
            stack.push_async_callback(contender.memory.clear_partition, "default")
            await load.fill(contender)
        floors = FLOORS[backend]
        if not full:
            floors = {name: floors[name] for name in ALWAYS}
        verdicts = await check_floors(ROWS, floors, contenders, load, effort, say=say)
    shown = f"{backend}: with keys, as a ratio to the same in clear\n{table(verdicts)}"
    print(f"\n{shown}")
    assert len(verdicts) == len(floors)
    assert all(verdict.passed for verdict in verdicts), shown
