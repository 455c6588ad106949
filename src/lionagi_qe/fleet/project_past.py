"""What the memory holds of a project's earlier runs, as the pages of a report show it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lionagi_qe.fleet.run_history import KEPT_RECORDS, RunHistory
from lionagi_qe.fleet.trends import PastRun, runs_of

if TYPE_CHECKING:
    from lionagi_qe.agents.history import Records
    from lionagi_qe.persistence import Memory


@dataclass(frozen=True, slots=True)
class ProjectPast:
    """The past of a project, up to a run and with it; empty where there is no memory of it.

    Attributes:
        runs: the last ones, the oldest first.
        tests: test -> its records (run, outcome, seconds), the latest last.
        hunts: test -> what each hunt for flaky tests that saw it found.
    """

    runs: list[PastRun] = field(default_factory=list[PastRun])
    tests: dict[str, Records] = field(default_factory=dict[str, "Records"])
    hunts: dict[str, Records] = field(default_factory=dict[str, "Records"])

    def commits(self) -> dict[str, str | None]:
        """Return run -> the commit that it examined."""
        return {
            run.id: next(
                (metric.commit for metrics in run.metrics.values() for metric in metrics), None
            )
            for run in self.runs
        }


async def past_until(memory: Memory, project: str, run: str) -> ProjectPast:
    """Return the past of a project up to a run; costs a scan of all runs and of all tests."""
    history = RunHistory(memory, project)
    runs = [past for past in await runs_of(memory, project) if past.id <= run]
    found = await history.history()
    past = ProjectPast(runs[-KEPT_RECORDS:], await history.records(), dict(found.flaky))
    return replace(past, tests=_until(past.tests, run), hunts=_until(past.hunts, run))


def _until(records: dict[str, Records], run: str) -> dict[str, Records]:
    known = {
        name: [each for each in found if each["run"] <= run] for name, found in records.items()
    }
    return {name: found for name, found in known.items() if found}
