"""A project's last runs, however many there are."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from lionagi_qe import open_memory
from lionagi_qe.agents.metric import Source
from lionagi_qe.fleet.trends import last_runs

SOURCE = Source("coverage.py", "7.10", None, None)


async def test_the_last_runs_are_found_among_many_and_among_few_old_ones() -> None:
    now = datetime.now(UTC)
    begun = [now - timedelta(minutes=at) for at in range(30)]
    begun += [now - timedelta(days=20 * at) for at in range(1, 30)]
    runs = sorted(f"{each:%Y%m%dT%H%M%S.%fZ}-{at:06x}" for at, each in enumerate(begun))
    async with open_memory("memory://") as memory:
        await memory.store_many(
            {
                f"aqe/runs/{project}/{run}/coverage-analyzer/{name}": asdict(
                    SOURCE.measured(name, at, "%")
                )
                for project, some in (("busy", runs), ("old", runs[:3]), ("busy-too", runs[:1]))
                for at, run in enumerate(some)
                for name in ("line_coverage", "branch_coverage")
            }
        )
        await memory.store("aqe/runs/busy/latest", runs[-1])
        for count in (1, 10, 40, 1_000):
            found = await last_runs(memory, "busy", count)
            assert [run.id for run in found] == runs[-count:]
            assert len(found[0].metrics["coverage-analyzer"]) == 2
        assert [run.id for run in await last_runs(memory, "old", 10)] == runs[:3]
        assert await last_runs(memory, "none", 10) == []
