"""Says which tests a change needs, why each of them, and what it can't know."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from lionagi_qe import __version__
from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.project.diff import Diff, diff_of
from lionagi_qe.agents.selection.impact import Selection, Selector
from lionagi_qe.agents.selection.prioritization import order_of
from lionagi_qe.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.line_map import TestMap

_LIMIT = (
    "the map does not tell which tests run code in other processes, import by computed names, or "
    "depend on what other tests leave"
)


class RegressionSelector(Agent):
    """The tests that run changed lines, or import what changed, and those that failed last.

    The map of tests to lines is that of this run, else the last one in the memory; lines are found
    again by their text where others moved them. Without a base, the commit of the map is the base.
    Where the learned order is followed, the tests are listed in it.
    """

    name: ClassVar[str] = "regression-selector"
    after: ClassVar[tuple[str, ...]] = ("test-executor", "coverage-analyzer")
    wants_map: ClassVar[bool] = True
    # It asks the repository, which is not shipped.
    at_home: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, str]] = {
        "tests_selected": "tests",
        "tests_mapped": "tests",
        "selected_share": "%",
        "changed_files": "files",
        "changes_unknown": "files",
    }

    async def examine(self, examination: Examination) -> Findings:
        """Compare, and select."""
        examination.progress(Step(self.name, "selecting tests"))
        commit = examination.workspace.commit
        source = Source("aqe select", __version__, "aqe select .", commit)
        test_map = _map(examination)
        if test_map is None:
            return self.unmeasured(
                source,
                "no test run of this project was mapped yet; run aqe select with --measure, "
                "best at the base",
            )
        diff = await _diff(examination, test_map)
        if isinstance(diff, str):
            return self.unmeasured(source, diff)
        selector = Selector(examination.workspace.pristine, test_map)
        selection = await asyncio.to_thread(selector.select, diff.changes)
        failing = test_map.tests.intersection(examination.history.failing)
        selection.add(frozenset(failing), "it failed when it last ran")
        names = sorted(selection.tests)
        order = order_of(examination)
        if order is None:
            return self._findings(source, test_map, diff, selection, names)
        listed = order.listed(names)
        found = self._findings(source, test_map, diff, selection, listed)
        return replace(found, details={**found.details, "order": order.as_details(names)})

    def _findings(
        self,
        source: Source,
        test_map: TestMap,
        diff: Diff,
        selection: Selection,
        names: Sequence[str],
    ) -> Findings:
        known = len(test_map.tests)
        values = {
            "tests_selected": len(selection.tests),
            "tests_mapped": known,
            "selected_share": round(100 * len(selection.tests) / known, 2) if known else None,
            "changed_files": len(diff.changes),
            "changes_unknown": len(selection.unknown),
        }
        return Findings(
            self.name,
            tuple(
                source.unmeasured(name, unit, "the map holds no test")
                if values[name] is None
                else source.measured(name, values[name], unit)
                for name, unit in self.metrics.items()
            ),
            details={
                "base": diff.base,
                "map_commit": test_map.commit,
                "selected": [{"id": test, "why": selection.tests[test]} for test in names],
                "new_files": selection.new_files,
                "unknown": [
                    {"file": file, "why": why} for file, why in sorted(selection.unknown.items())
                ],
                "unreached": [
                    {"file": file, "lines": lines}
                    for file, lines in sorted(selection.unreached.items())
                ],
                "limits": [_LIMIT],
            },
        )


def _map(examination: Examination) -> TestMap | None:
    coverage = examination.findings.get("coverage-analyzer")
    own: TestMap | None = None if coverage is None else coverage.details.get("test_map")
    return own or examination.history.test_map


async def _diff(examination: Examination, test_map: TestMap) -> Diff | str:
    """Return what changed since the base, else since the map; or why that can't be told."""
    if examination.diff is not None:
        return examination.diff
    commit = test_map.commit
    if commit is None or commit.endswith("-dirty"):
        return "no base to compare with: --base REF (the map was not measured at a clean commit)"
    try:
        return await asyncio.to_thread(diff_of, examination.workspace, commit)
    except ProjectError as error:
        return str(error)
