"""What the fleet keeps in its memory: the figures of every run and the history of every test.

``aqe/runs/<project>/<run>/<agent>/<metric>`` holds a Metric, ``aqe/runs/<project>/latest`` the id
of the last run, ``aqe/tests/<project>/<test>`` a test's id and its last outcomes, and
``aqe/agents/<project>/<agent>`` how long an agent took in the last runs.

``pytest --aqe`` keeps the figures of its runs under ``pytest`` for an agent, and the outcomes of
tests beside those of ``aqe run``; none of its runs is the ``latest``, since it measures less, and
may run a part of the tests. What lies under ``aqe/maps/<project>``, Maps tells, of
``aqe/untested/<project>`` UntestedSince, and of ``aqe/flaky/<project>`` FlakyHunts.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from itertools import takewhile
from statistics import median
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.outcomes import BAD
from lionagi_qe.agents.execution.parallel import POLICY as PARALLEL
from lionagi_qe.agents.history import History
from lionagi_qe.errors import RevisionConflictError
from lionagi_qe.fleet.comparison import Comparison, Since, compare
from lionagi_qe.fleet.coverage_maps import Maps
from lionagi_qe.fleet.flaky_hunts import FlakyHunts
from lionagi_qe.fleet.key_segments import project_segment, segment
from lionagi_qe.fleet.new_gaps import newly_untested
from lionagi_qe.fleet.untested_since import UntestedSince
from lionagi_qe.persistence import Item

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lionagi_qe.agents.base import Findings
    from lionagi_qe.agents.history import Records
    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.persistence import Entry, Memory

KEPT_RECORDS = 50
KEPT_DURATIONS = 10
BATCH = 1000
COMPARED = ("line_coverage", "branch_coverage")
_WHERE_TOLD = ("place", "worker", "attempts")


class RunHistory:
    """The part of the memory that belongs to one project.

    Args:
        memory: where everything is kept.
        project: the project's name.
    """

    def __init__(self, memory: Memory, project: str) -> None:
        self._memory = memory
        self._maps = Maps(memory, project)
        self._untested = UntestedSince(memory, project)
        self._hunts = FlakyHunts(memory, project)
        name = project_segment(project)
        self._runs = f"aqe/runs/{name}"
        self._tests = f"aqe/tests/{name}"
        self._agents = f"aqe/agents/{name}"

    async def expected_seconds(self) -> dict[str, float]:
        """Return agent -> median wall time of its last runs, for those that have run."""
        return {
            entry.value["agent"]: median(entry.value["seconds"])
            async for entry in self._memory.scan(f"{self._agents}/")
        }

    async def history(self, *, wants_map: bool = False) -> History:
        """Return what the agents of the next run want to know of earlier ones.

        Costs a scan of the flaky tests, and for the map also one of it and of all tests.
        """
        flaky = await self._hunts.hunts()
        if not wants_map:
            return History(flaky)
        failing = frozenset(
            {
                entry.value["id"]
                async for entry in self._memory.scan(f"{self._tests}/", BATCH)
                if entry.value["records"][-1]["outcome"] in BAD
            }
        )
        return History(flaky, failing, await self._maps.retrieve())

    async def latest(self) -> str | None:
        """Return the id of the last run in which tests ran; None if there was none."""
        return await self._memory.retrieve(f"{self._runs}/latest")

    async def seconds(self, entries: Mapping[str, Entry] | None = None) -> dict[str, float]:
        """Return test -> seconds when it last ran, in the order of their names.

        Left out are tests that the last run of all of them did not have, if there was such a run.
        Costs a scan, unless ``entries`` are given.
        """
        latest = await self.latest() or ""
        found = await self.entries() if entries is None else entries
        return {
            test: entry.value["records"][-1]["seconds"]
            for test, entry in found.items()
            # Ids of runs sort by time.
            if entry.value["records"][-1]["run"] >= latest
        }

    async def entries(self) -> dict[str, Entry]:
        """Return test -> its history as it is kept; costs a scan."""
        return {
            entry.value["id"]: entry async for entry in self._memory.scan(f"{self._tests}/", BATCH)
        }

    async def seconds_in(self, run: str) -> dict[str, float]:
        """Return test -> seconds of its own in a run, in the order of their names; costs a scan.

        Without those of fixtures that it shared with other files. Of the last runs alone: a test
        has its last ``KEPT_RECORDS``.
        """
        return {
            test: max(record["seconds"] - record.get("shared", 0.0), 0.0)
            for test, entry in (await self.entries()).items()
            for record in entry.value["records"]
            if record["run"] == run
        }

    async def records(self) -> dict[str, Records]:
        """Return test -> its records (run, outcome, seconds), the latest last; costs a scan."""
        return {
            entry.value["id"]: entry.value["records"]
            async for entry in self._memory.scan(f"{self._tests}/", BATCH)
        }

    async def records_of(self, tests: Iterable[str]) -> dict[str, Records]:
        """Return test -> its records, the latest last, of those that have any; costs a read."""
        keys = [self._key({"id": test}) for test in tests]
        found = await self._memory.retrieve_many(keys)
        return {value["id"]: value["records"] for value in found.values()}

    async def commit_of(self, run: str) -> str | None:
        """Return the commit that a run examined, if it is known; costs a read of its figures."""
        figures = self._memory.scan(f"{self._runs}/{run}/")
        commits = [entry.value["commit"] async for entry in figures]
        return next(filter(None, commits), None)

    async def record(
        self, run: str, findings: Mapping[str, Findings], seconds: Mapping[str, float]
    ) -> Comparison | None:
        """Store a run, and return how it differs from the previous one, if there was one.

        Costs one scan of the tests' histories and a write for each 1,000 tests.

        Args:
            run: its id.
            findings: of its agents.
            seconds: agent -> wall time.

        """
        await asyncio.gather(*(self._add_seconds(*each) for each in seconds.items()))
        await self._hunts.add(run, findings)
        coverage = findings.get("coverage-analyzer")
        if coverage is not None and "test_map" in coverage.details:
            await self._maps.store(run, coverage.details["test_map"])
        previous = await self._memory.retrieve(f"{self._runs}/latest")
        # Recorded once already, by a process that then was killed: compared with itself it tells
        # nothing.
        previous = None if previous == run else previous
        await self._store_metrics(run, findings)
        tests, sessions = _tests_of(findings), _sessions_of(findings)
        entries = await self.entries()
        comparison = None
        if previous is not None and tests:
            histories = {test: entry.value["records"] for test, entry in entries.items()}
            figures = await self._figures(previous, findings)
            comparison = compare(previous, tests, histories, figures, sessions)
            skipped = await self._without_tests(previous, run)
            comparison = replace(
                comparison,
                skipped=skipped,
                newly_untested=await self._newly_untested(previous, findings),
                failing_since=await self._failing_since(run, tests, histories),
            )
        gaps = _gaps_of(findings)
        if gaps is not None:
            since = await self._untested.add(run, gaps)
            if comparison is not None:
                comparison = replace(comparison, untested_since=since)
        await self.add_outcomes(run, tests, entries, sessions)
        if tests:
            # Last, so that a run cut short is never compared with.
            await self._memory.store(f"{self._runs}/latest", run, ttl=None)
        return comparison

    async def _add_seconds(self, agent: str, seconds: float) -> None:
        def extended(value: dict[str, Any] | None) -> dict[str, Any]:
            past = [] if value is None else value["seconds"]
            return {"agent": agent, "seconds": [*past, round(seconds, 3)][-KEPT_DURATIONS:]}

        await self._memory.update(f"{self._agents}/{agent}", extended)

    async def _store_metrics(self, run: str, findings: Mapping[str, Findings]) -> None:
        for found in findings.values():
            await self.add_figures(run, found.agent, found.metrics)

    async def add_figures(self, run: str, source: str, figures: Iterable[Metric]) -> None:
        """Keep figures of a run, which is one of the project's from then on.

        Args:
            run: its id.
            source: the agent, or what else measured.
            figures: as it measured them.

        """
        await self._memory.store_many(
            {f"{self._runs}/{run}/{source}/{segment(each.name)}": asdict(each) for each in figures},
            ttl=None,
        )

    async def _without_tests(self, after: str, before: str) -> tuple[str, ...]:
        """Return the runs between two that were to run tests, and in which none could be run."""
        children = await self._memory.list_children(
            f"{self._runs}/", after=f"{self._runs}/{after}/~"
        )
        names = (name.removeprefix(f"{self._runs}/").removesuffix("/") for name in children)
        # Beside runs there is the id of the latest.
        runs = [name for name in names if after < name < before]
        keys = {run: f"{self._runs}/{run}/test-executor/tests_collected" for run in runs}
        found = await self._memory.retrieve_many([*keys.values()]) if keys else {}
        return tuple(
            run for run, key in keys.items() if key in found and not found[key].get("value")
        )

    async def _newly_untested(
        self, previous: str, findings: Mapping[str, Findings]
    ) -> tuple[str, ...]:
        gaps = _gaps_of(findings)
        if gaps is None:
            return ()
        before = await self._memory.retrieve(f"{self._runs}/{previous}/coverage-analyzer/gaps")
        if before is None or not before["measured"]:
            return ()
        return newly_untested(gaps.value, before["value"])

    async def _failing_since(
        self, run: str, tests: Sequence[Mapping[str, Any]], histories: Mapping[str, Records]
    ) -> dict[str, Since]:
        """Return the failing tests that failed before -> since when; costs a read."""
        failing = {test["id"] for test in tests if test["outcome"] in BAD}
        runs = {test: failing_runs(histories.get(test, ()), run) for test in sorted(failing)}
        keys = {
            past[0]: f"{self._runs}/{past[0]}/test-executor/tests_collected"
            for past in runs.values()
            if past
        }
        found = await self._memory.retrieve_many([*keys.values()]) if keys else {}
        commits = {name: found[key].get("commit") for name, key in keys.items() if key in found}
        return {
            test: Since(past[0], commits.get(past[0]), len(past) + 1)
            for test, past in runs.items()
            if past
        }

    async def _figures(
        self, previous: str, findings: Mapping[str, Findings]
    ) -> dict[str, tuple[float, float]]:
        now = {
            f"{self._runs}/{previous}/{found.agent}/{metric.name}": metric
            for found in findings.values()
            for metric in found.metrics
            if metric.name in COMPARED and metric.measured
        }
        before = await self._memory.retrieve_many(list(now))
        return {
            now[key].name: (metric["value"], now[key].value)
            for key, metric in before.items()
            if metric["measured"]
        }

    async def add_outcomes(
        self,
        run: str,
        tests: Sequence[Mapping[str, Any]],
        entries: Mapping[str, Entry],
        sessions: int = 1,
    ) -> None:
        """Add what became of some tests to their histories; costs a write for each 1,000.

        Args:
            run: in which they ran.
            tests: ``id``, ``outcome`` and ``seconds`` of each; ``place``, ``worker`` and
                ``attempts`` are kept where they are told.
            entries: histories as ``entries`` returned them; what others added since is kept.
            sessions: in how many sessions side by side they ran.

        """
        for start in range(0, len(tests), BATCH):
            part = tests[start : start + BATCH]
            try:
                await self._memory.store_many(
                    {
                        self._key(test): Item(
                            _extended(_value(entries.get(test["id"])), test, run, sessions),
                            if_revision=_revision(entries.get(test["id"])),
                        )
                        for test in part
                    },
                    ttl=None,
                )
            except RevisionConflictError:
                # Another run of this project ended meanwhile: add to what it wrote.
                await asyncio.gather(*(self._extend(test, run, sessions) for test in part))

    async def _extend(self, test: Mapping[str, Any], run: str, sessions: int) -> None:
        def extended(value: dict[str, Any] | None) -> dict[str, Any]:
            return _extended(value, test, run, sessions)

        await self._memory.update(self._key(test), extended)

    def _key(self, test: Mapping[str, Any]) -> str:
        return f"{self._tests}/{segment(test['id'])}"


def _tests_of(findings: Mapping[str, Findings]) -> list[dict[str, Any]]:
    """Return the tests of a run in which they were measured, else none."""
    executor = findings.get("test-executor")
    collected = None if executor is None else executor.metric("tests_collected")
    if executor is None or collected is None or not collected.measured:
        return []
    return executor.details["tests"]


def _gaps_of(findings: Mapping[str, Findings]) -> Metric | None:
    """Return the gaps of coverage, if the run measured them."""
    coverage = findings.get("coverage-analyzer")
    gaps = None if coverage is None else coverage.metric("gaps")
    return gaps if gaps is not None and gaps.measured else None


def failing_runs(records: Records, before: str) -> list[str]:
    """Return the runs in which a test failed since it last did not, without one; oldest first."""
    past = (record for record in reversed(records) if record["run"] != before)
    failing = takewhile(lambda record: record["outcome"] in BAD, past)
    return [record["run"] for record in failing][::-1]


def _sessions_of(findings: Mapping[str, Findings]) -> int:
    executor = findings.get("test-executor")
    told = {} if executor is None else executor.details.get(PARALLEL, {})
    return told.get("sessions", 1)


def _value(entry: Entry | None) -> dict[str, Any] | None:
    return None if entry is None else entry.value


def _revision(entry: Entry | None) -> int:
    return 0 if entry is None else entry.revision


def _extended(
    value: dict[str, Any] | None, test: Mapping[str, Any], run: str, sessions: int
) -> dict[str, Any]:
    """Return a test's history with this run's record, the oldest left out."""
    record = {"run": run, "outcome": test["outcome"], "seconds": test["seconds"]}
    if sessions > 1:
        # Beside others a test takes longer; see ``compare``.
        record["sessions"] = sessions
    if test.get("shared"):
        record["shared"] = test["shared"]
    record |= {name: test[name] for name in _WHERE_TOLD if name in test}
    past = [] if value is None else value["records"]
    # Not twice, where a process was killed while it wrote this down.
    records = [each for each in past if each["run"] != run]
    return {"id": test["id"], "records": [*records, record][-KEPT_RECORDS:]}
