"""What hunts found of tests that were once named flaky.

``aqe/flaky/<project>/<test>`` has the test's id and, of each of the last hunts, the run, the cause
if it was named again, and how often the test ran and failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.fleet.key_segments import project_segment, segment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.agents.base import Findings
    from lionagi_qe.persistence import Memory

_KEPT = 50


class FlakyHunts:
    """The hunts of one project.

    Args:
        memory: where they are kept.
        project: the project's name.
    """

    def __init__(self, memory: Memory, project: str) -> None:
        self._memory = memory
        self._prefix = f"aqe/flaky/{project_segment(project)}/"

    async def hunts(self) -> dict[str, list[dict[str, Any]]]:
        """Return test -> its hunts, the latest last; costs a scan of the flaky tests."""
        return {
            entry.value["id"]: entry.value["hunts"]
            async for entry in self._memory.scan(self._prefix)
        }

    async def add(self, run: str, findings: Mapping[str, Findings]) -> None:
        """Add what a run's hunt found of tests that it named, or that an earlier one did."""
        hunter = findings.get("flaky-test-hunter")
        if hunter is None or not hunter.details:
            return
        causes = {test["id"]: test["cause"] for test in hunter.details["flaky"]}
        await self.add_reruns(run, causes, hunter.details["runs"])

    async def add_reruns(
        self, run: str, causes: Mapping[str, str], runs: Mapping[str, Mapping[str, int]]
    ) -> None:
        """Add how often tests ran and failed to what is kept of flaky ones; costs a scan of those.

        Args:
            run: in which they were repeated.
            causes: of the tests that turned out to be flaky; others are added to if they once did.
            runs: test -> ``runs`` and ``failures``.

        """
        known = await self.hunts()
        for test, counts in runs.items():
            if test not in causes and test not in known:
                continue
            hunt = {"run": run, "cause": causes.get(test), **counts}

            def extended(
                value: dict[str, Any] | None,
                test: str = test,
                hunt: dict[str, Any] = hunt,
            ) -> dict[str, Any]:
                past = [] if value is None else value["hunts"]
                hunts = [each for each in past if each["run"] != run]
                return {"id": test, "hunts": [*hunts, hunt][-_KEPT:]}

            await self._memory.update(f"{self._prefix}{segment(test)}", extended)
