"""Failures of earlier runs: whether one was seen before, and between which runs it was gone.

``aqe/failures/<project>/<run>`` holds the groups of a run in which tests failed, of the last
``KEPT_RUNS`` such runs. What is said of a failure that came back is what is known: in which run its
tests passed, and which commits lie between. Why they passed, nobody measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.failure_groups import Past
from lionagi_qe.agents.execution.session_run import AGENT
from lionagi_qe.agents.project.version_control import commits_between
from lionagi_qe.errors import InvalidValueError
from lionagi_qe.fleet import serialization
from lionagi_qe.fleet.key_segments import project_segment, segment
from lionagi_qe.fleet.run_history import RunHistory
from lionagi_qe.fleet.run_record import KEPT_RUNS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Findings
    from lionagi_qe.agents.history import Records
    from lionagi_qe.persistence import Memory

Group = Mapping[str, Any]

_SCHEMA = 1
# Kept of a run; what is left out can't be recognized later.
_MOST_GROUPS = 500
_MOST_TESTS = 50
_KEPT = ("id", "place", "located", "texts")


@dataclass(frozen=True, slots=True)
class _Run:
    run: str
    commit: str | None
    groups: Past


@dataclass(frozen=True, slots=True)
class _Seen:
    run: str
    commit: str | None
    group: Group


class FailureHistory:
    """The failures of one project's runs.

    Args:
        memory: where they are kept.
        project: the project's name.
        tree: the project's directory, whose git knows the commits.
    """

    def __init__(self, memory: Memory, project: str, tree: Path) -> None:
        self._memory = memory
        self._runs = RunHistory(memory, project)
        self._root = f"aqe/failures/{project_segment(project)}/"
        self._tree = tree

    async def with_past(
        self, run: str, commit: str | None, findings: Mapping[str, Findings]
    ) -> dict[str, Findings]:
        """Return findings whose failure groups tell where they were seen before, and keep these.

        Costs a scan of the last runs that had failures, a read of what became of the tests of
        those that came back, and a write; nothing where no test fails.
        """
        executor = findings.get(AGENT)
        groups = [] if executor is None else executor.details.get("failure_groups", [])
        if executor is None or not groups:
            return dict(findings)
        past = await self._past(run)
        seen = [_seen(group, past) for group in groups]
        told = [
            group | {"before": before}
            for group, before in zip(groups, await self._before(seen), strict=True)
        ]
        await self._keep(run, commit, groups)
        details = {**executor.details, "failure_groups": told}
        return {**findings, AGENT: replace(executor, details=details)}

    async def _past(self, run: str) -> list[_Run]:
        """Return the earlier runs in which tests failed, the oldest first."""
        found: list[_Run] = []
        async for entry in self._memory.scan(self._root):
            value = entry.value
            name: str = value["run"]
            # A run of the same id was killed while it wrote this down.
            if value["schema"] == _SCHEMA and name != run:
                found.append(_Run(name, value["commit"], Past(_unpacked(value["packed"]))))
        return sorted(found, key=lambda each: each.run)

    async def _before(self, seen: Sequence[Sequence[_Seen]]) -> list[dict[str, Any] | None]:
        """Return of each group in which runs it was, and when it was gone after the last."""
        tests = {test for runs in seen if runs for test in runs[-1].group["tests"]}
        histories = await self._runs.records_of(sorted(tests)) if tests else {}
        found: list[dict[str, Any] | None] = []
        known: dict[tuple[str | None, str], dict[str, Any]] = {}
        for runs in seen:
            if not runs:
                found.append(None)
                continue
            last = runs[-1]
            own = {test: histories.get(test, []) for test in last.group["tests"]}
            passed = first_passed(own, last.run)
            if passed is not None and (last.commit, passed) not in known:
                known[last.commit, passed] = await self._gone(last.commit, passed)
            gone = None if passed is None else known[last.commit, passed]
            found.append({"runs": [each.run for each in runs], "commit": last.commit, "gone": gone})
        return found

    async def _gone(self, commit: str | None, run: str) -> dict[str, Any]:
        now = await self._runs.commit_of(run)
        between = commits_between(self._tree, commit, now)
        return {"run": run, "commit": now, "commits": between}

    async def _keep(self, run: str, commit: str | None, groups: Sequence[Group]) -> None:
        kept = [
            {name: group[name] for name in _KEPT} | {"tests": group["tests"][:_MOST_TESTS]}
            for group in groups[:_MOST_GROUPS]
        ]
        value = {"schema": _SCHEMA, "run": run, "commit": commit}
        packed = serialization.packed(kept)
        key = f"{self._root}{segment(run)}"
        await self._memory.store(key, value | {"packed": packed}, ttl=None)
        keys = await self._memory.list_keys(self._root)
        if gone := sorted(keys)[:-KEPT_RUNS]:
            await self._memory.delete_many(gone)


def _seen(group: Group, past: Sequence[_Run]) -> list[_Seen]:
    """Return the runs in which a failure was, the oldest first."""
    found = ((each, each.groups.alike(group)) for each in past)
    return [_Seen(run.run, run.commit, alike) for run, alike in found if alike is not None]


def first_passed(histories: Mapping[str, Records], after: str) -> str | None:
    """Return the first run after another in which tests ran, and all that did passed."""
    outcomes: dict[str, set[str]] = {}
    for records in histories.values():
        for record in records:
            # Ids of runs sort by time.
            if record["run"] > after:
                outcomes.setdefault(record["run"], set()).add(record["outcome"])
    return next((run for run in sorted(outcomes) if outcomes[run] == {"passed"}), None)


def _unpacked(text: str) -> list[dict[str, Any]]:
    try:
        return serialization.unpacked(text)
    except InvalidValueError:
        # Another version's, or damaged: what it held can't be recognized.
        return []
