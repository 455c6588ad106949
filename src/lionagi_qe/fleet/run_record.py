"""What a run found, as it is kept: enough to be shown again when the run is long over.

``aqe/details/<project>/<run>/<part>`` holds the record of a run, compressed and cut into parts; the
last ``KEPT_RUNS`` runs of a project have one. The source that was examined is not in it, only the
name that git gives each file's content: see ``examined_source``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from lionagi_qe.agents.base import Findings
from lionagi_qe.errors import InvalidValueError
from lionagi_qe.fleet import serialization
from lionagi_qe.fleet.key_segments import project_segment, segment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.fleet.comparison import Comparison
    from lionagi_qe.persistence import Memory

KEPT_RUNS = 20
# Characters of an entry; well below the largest value that memories take.
_PART = 512 * 1024
_SCHEMA = 1
# What reports show of our agents' details; the rest is for other agents, and larger than all of it.
_KEPT = frozenset(
    {
        "changed_lines",
        "findings",
        "failure_groups",
        "files",
        "flaky",
        "gaps",
        "judged_nothing",
        "limits",
        "measured_lines",
        "new_files",
        "not_idempotent",
        "possible_bugs",
        "rejected",
        "rulings",
        "scored",
        "selected",
        "skipped_files",
        "survivors",
        "survivors_run_by",
        "tests",
        "tools",
        "uncollectable",
        "uncovered_on_import",
        "unknown",
        "unreached",
    }
)


class HasFindings:
    """Whatever has findings by agent."""

    __slots__ = ()
    findings: Mapping[str, Findings]

    def metric(self, name: str) -> Metric | None:
        """Return the figure of that name, whichever agent states it."""
        found = (findings.metric(name) for findings in self.findings.values())
        return next(filter(None, found), None)

    def detail(self, agent: str, name: str) -> Any:  # noqa: ANN401 - JSON data
        """Return a detail of an agent's findings; [] if it has none."""
        findings = self.findings.get(agent)
        return [] if findings is None else findings.details.get(name, [])


@dataclass(frozen=True, slots=True)
class RunRecord(HasFindings):
    """A run that is over.

    Attributes:
        run: its id.
        project: the name under which it is kept.
        path: the user's tree, on the machine of the run.
        commit: that was examined, if under git.
        at: when it began, ISO 8601 in UTC.
        python: the version that the tests ran in.
        origin: where that environment was from.
        scope: the product's code, and how it was found: ``scope_origin``.
        scope_origin: see ``scope``.
        findings: by agent, with the details that reports show.
        comparison: with the previous run, if there was one.
        left_out: agents that were not asked for.
        notes: what a reader of the figures should know.
        sources: file -> the name that git gives its content, for those that the findings are about.
    """

    run: str
    project: str
    path: str
    commit: str | None
    at: str
    python: str
    origin: str
    scope: Sequence[str]
    scope_origin: str
    findings: Mapping[str, Findings]
    comparison: Comparison | None
    left_out: Sequence[str]
    notes: Sequence[str]
    sources: Mapping[str, str]


def shown_findings(findings: Mapping[str, Findings]) -> dict[str, Findings]:
    """Return findings without the details that no report shows."""
    return {
        name: Findings(
            found.agent,
            found.metrics,
            {key: value for key, value in found.details.items() if key in _KEPT},
            found.notes,
        )
        for name, found in findings.items()
    }


class RunRecords:
    """The records of one project.

    Args:
        memory: where they are kept.
        project: the project's name.
    """

    def __init__(self, memory: Memory, project: str) -> None:
        self._memory = memory
        self._root = f"aqe/details/{project_segment(project)}"

    @classmethod
    def in_folder(cls, memory: Memory, folder: str) -> Self:
        """Return the records of a project that is known by the segment of its keys."""
        records = cls(memory, folder)
        records._root = f"aqe/details/{folder}"
        return records

    async def keep(self, record: RunRecord) -> None:
        """Store a record, and forget those that are older than the last ``KEPT_RUNS``.

        Costs a write, and a look at the names of those that are there.
        """
        text = serialization.packed(
            {each.name: getattr(record, each.name) for each in fields(record)}
        )
        parts = range(0, len(text), _PART)
        await self._memory.store_many(
            {
                self._key(record.run, number): {
                    "schema": _SCHEMA,
                    "parts": len(parts),
                    "packed": text[start : start + _PART],
                }
                for number, start in enumerate(parts)
            },
            ttl=None,
        )
        keys = await self._memory.list_keys(f"{self._root}/")
        runs = sorted({self._run_of(key) for key in keys})
        gone = frozenset(runs[:-KEPT_RUNS])
        if gone:
            await self._memory.delete_many([key for key in keys if self._run_of(key) in gone])

    async def runs(self) -> list[str]:
        """Return the ids of the runs that have a record, the oldest first."""
        keys = await self._memory.list_keys(f"{self._root}/")
        return sorted({self._run_of(key) for key in keys})

    async def retrieve(self, run: str) -> RunRecord | None:
        """Return the record of a run; None if none is kept.

        Raises:
            InvalidValueError: it was written by another version of aqe, or is damaged.

        """
        first = await self._memory.retrieve(self._key(run, 0))
        if first is None:
            return None
        if first["schema"] != _SCHEMA:
            raise InvalidValueError(
                f"run {run}: its details were kept by another version of aqe; use that one"
            )
        keys = [self._key(run, number) for number in range(first["parts"])]
        found = await self._memory.retrieve_many(keys)
        text = "".join(found[key]["packed"] for key in keys if key in found)
        return RunRecord(**serialization.unpacked(text))

    def _key(self, run: str, number: int) -> str:
        return f"{self._root}/{segment(run)}/{number:04}"

    def _run_of(self, key: str) -> str:
        return key.removeprefix(f"{self._root}/").partition("/")[0]
