"""What is learned, and the history of runs, last on a memory whose entries end by default."""

from __future__ import annotations

from lionagi_qe import open_memory
from lionagi_qe.agents.base import Findings
from lionagi_qe.agents.metric import Source
from lionagi_qe.fleet.run_history import RunHistory
from lionagi_qe.learning.qtable import QTable


async def test_learned_values_and_the_history_of_runs_last() -> None:
    async with open_memory("memory://?default_ttl=60") as memory:
        table = QTable(memory, "hunter")
        await table.update("state", "action", 1.0)
        await table.restore(await table.export())
        source = Source("pytest", "8.4", "python -m pytest", "c0ffee")
        tests = [{"id": "tests/test_a.py::test_a", "outcome": "passed", "seconds": 0.5}]
        metrics = (source.measured("tests_collected", 1, "tests"),)
        found = Findings("test-executor", metrics, details={"tests": tests})
        for run in ("2026-11-28-a", "2026-11-29-b"):
            await RunHistory(memory, "shop").record(run, {found.agent: found}, {})
        entries = [entry async for entry in memory.scan("aqe/")]
        assert len(entries) > 4
        assert [entry.key for entry in entries if entry.expires_at is not None] == []
        await memory.store("aqe/cache/a", 1)
        cached = await memory.entry("aqe/cache/a")
        assert cached is not None
        assert cached.expires_at is not None
