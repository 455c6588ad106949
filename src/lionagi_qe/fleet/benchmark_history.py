"""The medians of a project's benchmarks over its last runs.

``aqe/benchmarks/<project>/<benchmark>`` holds a benchmark's id and what each run measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.fleet.key_segments import project_segment, segment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.agents.base import Findings
    from lionagi_qe.agents.history import Records
    from lionagi_qe.persistence import Memory

KEPT_RUNS = 50
_AGENT = "performance-tester"


class BenchmarkHistory:
    """The part of the memory that holds a project's benchmarks.

    Args:
        memory: where everything is kept.
        project: the project's name.
    """

    def __init__(self, memory: Memory, project: str) -> None:
        self._memory = memory
        self._root = f"aqe/benchmarks/{project_segment(project)}"

    async def records(self) -> dict[str, Records]:
        """Return benchmark -> its records (run, seconds), the latest last; costs a scan."""
        return {
            entry.value["id"]: entry.value["records"]
            async for entry in self._memory.scan(f"{self._root}/")
        }

    async def add(self, run: str, findings: Mapping[str, Findings]) -> None:
        """Add what a run measured; costs an update a benchmark."""
        found = findings.get(_AGENT)
        for each in () if found is None else found.details.get("benchmarks", ()):
            record = {"run": run, "seconds": each["seconds"]}

            def extended(
                value: dict[str, Any] | None,
                name: str = each["id"],
                record: dict[str, Any] = record,
            ) -> dict[str, Any]:
                past = [] if value is None else value["records"]
                records = [other for other in past if other["run"] != run]
                return {"id": name, "records": [*records, record][-KEPT_RUNS:]}

            await self._memory.update(f"{self._root}/{segment(each['id'])}", extended)
