"""No path gets slower unseen: ratios to the plain driver, measured now, beside floors."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.bench.arenas import arena_at
from lionagi_qe.bench.contender import Kind
from lionagi_qe.bench.floors import check_floors, load_floors, table
from lionagi_qe.bench.measure import Effort, prepared
from lionagi_qe.bench.memory import OurMemory
from lionagi_qe.bench.rows import ROWS, rows_named
from lionagi_qe.bench.workload import Workload
from lionagi_qe.persistence.memory import parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FLOORS = load_floors(Path(__file__).with_name("floors.json"))
EFFORT = Effort(rounds=5, seconds=0.1)
BOTH = frozenset({Kind.OURS, Kind.DRIVER})


async def test_no_path_is_slower_than_its_floor(
    bench_url: str, full: bool, say: Callable[[str], None]
) -> None:
    effort = Effort(rounds=7, seconds=0.5) if full else EFFORT
    load = Workload(10_000)
    async with arena_at(bench_url) as arena, prepared(arena, load, say, BOTH) as contenders:
        floors = FLOORS[arena.backend]
        verdicts = await check_floors(ROWS, floors, contenders, load, effort, say=say)
        shown = f"{arena.backend}: ratios to the plain driver\n{table(verdicts)}"
    print(f"\n{shown}")
    assert len(verdicts) == len(floors)
    assert all(verdict.passed for verdict in verdicts), shown


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("write", "store-64"),
        ("read_payloads", "retrieve-64"),
        ("page_payloads", "search-50"),
    ],
)
async def test_a_path_that_became_slower_is_found(
    path: str, row: str, tmp_path: Path, say: Callable[[str], None]
) -> None:
    load = Workload(1_000)
    floors = {row: FLOORS["sqlite"][row]}
    url = f"sqlite:///{tmp_path}/memory.db"
    async with arena_at(url) as arena, prepared(arena, load, say, BOTH) as contenders:
        slow_down(contenders, path)
        effort = Effort(rounds=2, seconds=0.05)
        (verdict,) = await check_floors(rows_named(row), floors, contenders, load, effort, say=say)
    assert not verdict.passed
    assert len(verdict.ratios) == 2, "it is measured again before it is called slow"
    assert "TOO SLOW" in table([verdict])
    assert row in table([verdict])


def slow_down(contenders: Sequence[object], path: str) -> None:
    """Let each call of the backend's take 200 ms longer."""
    for contender in contenders:
        if isinstance(contender, OurMemory):
            memory: Any = contender.memory
            scheduler = memory._scheduler
            # What is batched goes by channels, which know the backend's calls from the start.
            channels = {"write": scheduler._writes, "read_payloads": scheduler._payloads}
            place: Any = channels.get(path, parts_of(memory).backend)
            name = "execute" if path in channels else path
            quick = getattr(place, name)

            async def slow(*arguments: Any, quick: Any = quick, **options: Any) -> Any:
                await asyncio.sleep(0.2)
                return await quick(*arguments, **options)

            setattr(place, name, slow)
