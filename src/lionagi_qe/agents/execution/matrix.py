"""Tests that the machines of a CI matrix run, a shard each, and what they make together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from lionagi_qe.agents.base import Agent, Findings, Step
from lionagi_qe.agents.coverage import data as coverage_data
from lionagi_qe.agents.execution.agent import TestExecutor
from lionagi_qe.agents.execution.failure_groups import grouped, ungrouped
from lionagi_qe.agents.execution.outcomes import read_event
from lionagi_qe.agents.execution.parallel_run import worst
from lionagi_qe.agents.execution.session_run import AGENT, PLUGIN, collected_path, run_tests
from lionagi_qe.agents.metric import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lionagi_qe.agents.base import Examination
    from lionagi_qe.agents.execution.sharding import MatrixShard
    from lionagi_qe.agents.metric import Metric
    from lionagi_qe.agents.project.workspace import Workspace

# The detail that holds the division: see ``inject/aqe_shard``.
DIVISION = "division"
# The detail that holds where the shard ran.
_ROOT = "root"
_UNMAPPED = (
    "the shards did not measure which test runs which line; name the agents that ask for it there, "
    "too: aqe run --shard 1/5 --agents ..."
)


class ShardExecutor(TestExecutor):
    """Runs one shard of the tests, in one session."""

    at_home: ClassVar[bool] = True

    def __init__(self, shard: MatrixShard) -> None:
        self._shard = shard

    async def examine(self, examination: Examination) -> Findings:
        """Run the shard; its division goes into the details, None if pytest did not come so far."""
        workspace = examination.workspace
        session = await run_tests(examination, "pytest.jsonl", shard=self._shard)
        session = replace(session, command=session.command.replace(f" -p {PLUGIN}", ""))
        found = self.findings_of(examination, session)
        division = _division(workspace)
        metrics = found.metrics
        if division is not None and division["ids"] and not division["own"]:
            source = Source("pytest", session.recording.pytest, session.command, workspace.commit)
            metrics = self.measured(source, found.details, session.completed.seconds, 1)
        more = {DIVISION: division, _ROOT: str(workspace.root)}
        return replace(found, metrics=metrics, details={**found.details, **more})


def _division(workspace: Workspace) -> dict[str, Any] | None:
    try:
        return read_event(collected_path(workspace).read_bytes())
    except (FileNotFoundError, ValueError):
        # pytest did not come so far, or was stopped while it wrote.
        return None


@dataclass(frozen=True, slots=True)
class ShardFindings:
    """What one shard found.

    Attributes:
        name: for people, as 2/5.
        findings: of its ``ShardExecutor``.
    """

    name: str
    findings: Findings


class MergedTests(Agent):
    """Stands in for ``TestExecutor`` where its tests ran in shards elsewhere.

    Args:
        shards: all of them, checked to make up the tests, in their order.
        mapped: each of them measured which test runs which line.
    """

    name: ClassVar[str] = AGENT
    metrics: ClassVar[Mapping[str, str]] = TestExecutor.metrics
    at_home: ClassVar[bool] = True

    def __init__(self, shards: Sequence[ShardFindings], *, mapped: bool) -> None:
        self._shards = shards
        self._mapped = mapped

    async def examine(self, examination: Examination) -> Findings:
        """Return what one session of all tests would have found; runs nothing."""
        examination.progress(Step(self.name, f"merging {len(self._shards)} shards"))
        parts = [_placed_in(examination.workspace, shard.findings) for shard in self._shards]
        executor = TestExecutor()
        details = self._details(parts)
        first = self._figure(parts[0], "tests_collected")
        source = Source(first.tool, first.version, first.command, examination.workspace.commit)
        reason = self._why_not_measured(parts)
        if reason is not None:
            return replace(executor.unmeasured(source, reason), details=details)
        seconds = sum(self._figure(part, "test_seconds").value for part in parts)
        metrics = executor.measured(source, details, seconds, len(parts))
        notes = dict.fromkeys(note for part in parts for note in part.notes)
        return Findings(self.name, metrics, details, tuple(notes))

    def _details(self, parts: Sequence[Findings]) -> dict[str, Any]:
        details = [part.details for part in parts]
        exit_codes = [each["exit_code"] for each in details]
        incomplete = list(self._named(parts, "incomplete"))
        ended = [each["ended"] for each in details if not each["complete"]]
        missing: dict[str, list[str]] = {}
        for each in details:
            for package, places in each["missing"].items():
                known = missing.setdefault(package, [])
                known += [place for place in places if place not in known]
        return {
            "tests": _in_order(details),
            "uncollectable": {k: v for each in details for k, v in each["uncollectable"].items()},
            "skipped_files": {k: v for each in details for k, v in each["skipped_files"].items()},
            "failure_groups": grouped(
                failure for each in details for failure in ungrouped(each["failure_groups"])
            ),
            "missing": missing,
            "complete": all(each["complete"] for each in details),
            "incomplete": "; ".join(dict.fromkeys(incomplete)) or None,
            "ended": next(iter(ended), details[0]["ended"]),
            "exit_code": None if None in exit_codes else worst(exit_codes),
            "plugins": details[0]["plugins"],
            "overhead": _overhead(details),
            "output": "\n".join(each["output"] for each in details),
            "coverage": coverage_data.of_shards([each["coverage"] for each in details]),
            coverage_data.UNMAPPED: None if self._mapped else _UNMAPPED,
        }

    def _named(self, parts: Sequence[Findings], name: str) -> Iterator[str]:
        """Yield a detail of the shards that have it, with what they are called."""
        said = [part.details[name] for part in parts]
        for shard, text in zip(self._shards, said, strict=True):
            if text is not None:
                # Of what is wrong everywhere nobody needs to know where.
                yield text if said.count(text) == len(said) else f"shard {shard.name}: {text}"

    def _why_not_measured(self, parts: Sequence[Findings]) -> str | None:
        for shard, part in zip(self._shards, parts, strict=True):
            figure = self._figure(part, "tests_collected")
            if not figure.measured:
                return f"shard {shard.name}: {figure.reason}"
        return None

    @staticmethod
    def _figure(part: Findings, name: str) -> Metric:
        return next(metric for metric in part.metrics if metric.name == name)


def _placed_in(workspace: Workspace, found: Findings) -> Findings:
    """Return findings that name files as if the tests had run in this workspace."""
    there, here = found.details[_ROOT], str(workspace.root)
    tests = [
        test | {"message": test["message"].replace(there, here)} for test in found.details["tests"]
    ]
    broken, skipped = (
        {name: text.replace(there, here) for name, text in found.details[kind].items()}
        for kind in ("uncollectable", "skipped_files")
    )
    groups = [
        group | {"message": group["message"].replace(there, here)}
        for group in found.details["failure_groups"]
    ]
    placed = {"tests": tests, "uncollectable": broken, "skipped_files": skipped}
    return replace(found, details={**found.details, **placed, "failure_groups": groups})


def _overhead(details: Sequence[Mapping[str, Any]]) -> float | None:
    known = [each for each in details if each.get("overhead") is not None]
    tests = sum(len(each["tests"]) for each in known)
    return sum(len(each["tests"]) * each["overhead"] for each in known) / tests if tests else None


def _in_order(details: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the tests of all shards in the order in which they are collected."""
    tests = {test["id"]: test for each in details for test in each["tests"]}
    division = details[0][DIVISION] or {"ids": []}
    ids = dict.fromkeys([*division["ids"], *tests])
    return [tests[name] for name in ids if name in tests]
