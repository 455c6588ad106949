"""One shard of a run, and the run that all shards make."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lionagi_qe.agents.base import Examination, Step
from lionagi_qe.agents.execution.matrix import DIVISION, MergedTests, ShardExecutor, ShardFindings
from lionagi_qe.agents.execution.sharding import MatrixShard
from lionagi_qe.agents.history import History
from lionagi_qe.agents.project.isolation import isolated
from lionagi_qe.agents.project.workspace import Workspace
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.fleet.commander import run_agents
from lionagi_qe.fleet.plan import Budget
from lionagi_qe.fleet.registry import agents_for
from lionagi_qe.fleet.run import Outcome, environment_of, opened, run
from lionagi_qe.fleet.run_ids import new_run_id
from lionagi_qe.fleet.shards.checks import check_whole
from lionagi_qe.fleet.shards.durations import durations_of, read_durations
from lionagi_qe.fleet.shards.result import ShardResult
from lionagi_qe.fleet.shards.tree import clean_commit_of, tree_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lionagi_qe.agents.base import Findings, Progress
    from lionagi_qe.agents.execution.sharding import Unit
    from lionagi_qe.fleet.request import Request
    from lionagi_qe.fleet.shards.durations import Durations


@dataclass(frozen=True, slots=True)
class ShardRequest:
    """Which shard of a run is asked for.

    Attributes:
        part: from 1.
        of: how many there are.
        by: what may go to different shards.
        durations: a file of them; None for those that the memory knows.
    """

    part: int
    of: int
    by: Unit = "file"
    durations: Path | None = None


async def run_shard(
    request: Request, asked: ShardRequest, progress: Progress
) -> tuple[Outcome, ShardResult | None]:
    """Run one shard of the tests; nothing is judged, nor kept in the memory.

    Args:
        request: of the run that all shards make; its agents are those of ``merge``.
        asked: which shard.
        progress: called with each ``Step``.

    Returns:
        What is to be shown of the shard, and its result for ``merge``: None if it has none.

    Raises:
        InvalidArgumentError: an agent is unknown, or the file holds no durations.
        EnvironmentBuildError: the project's environment could not be prepared.
        BackendUnavailableError: the memory, without a file of durations, can't be reached.
        IsolationError: the project's code is to be isolated, and this machine can't.

    """
    began, at = time.monotonic(), datetime.now(UTC)
    wants_map = any(agent.wants_map for agent in agents_for(request.agents))
    settings = request.settings
    with isolated(wanted=settings.isolate, network=settings.allow_network):
        tree = tree_of(request.path)
        known = await _durations(request, asked, tree)
        shard = MatrixShard(asked.part, asked.of, asked.by, known.seconds)
        progress(Step("fleet", f"copying {request.path}"))
        with Workspace.copy_of(request.path) as workspace:
            environment = await environment_of(request, workspace, progress)
            slowest = max(known.seconds.values(), default=None)
            examination = Examination(
                workspace,
                environment,
                settings,
                {},
                progress,
                History(slowest=slowest),
                wants_map=wants_map,
            )
            budget = Budget.of(request.budget, {}, began)
            examined = await run_agents([ShardExecutor(shard)], examination, budget)
    outcome = Outcome(
        new_run_id(),
        request.project,
        request.path,
        workspace.commit,
        at,
        environment,
        examined.findings,
        None,
        "kept by aqe merge",
        None,
        remarks=(f"shard {shard} of the tests, by {asked.by}, with {known.origin}",),
        shard=str(shard),
    )
    (found,) = examined.findings.values()
    if DIVISION not in found.details:
        return outcome, None
    result = ShardResult(
        "",
        asked.part,
        asked.of,
        asked.by,
        request.project,
        clean_commit_of(request.path),
        tree,
        environment.version,
        known.origin,
        _known_of(found, known),
        wants_map,
        at.isoformat(timespec="seconds"),
        found,
    )
    return outcome, result


async def _durations(request: Request, asked: ShardRequest, tree: str) -> Durations:
    if asked.durations is not None:
        return read_durations(asked.durations)
    async with opened(request) as memory:
        return await durations_of(memory, request.project, tree, asked.of)


def _known_of(found: Findings, known: Durations) -> int:
    division = found.details[DIVISION] or {"ids": []}
    return sum(test in known.seconds for test in division["ids"])


async def merge(request: Request, results: Sequence[ShardResult], progress: Progress) -> Outcome:
    """Make one run of the results of all shards, judge it once and keep it once.

    Costs an environment, in which coverage.py brings the data together; no test runs. Agents that
    run tests by themselves do that here.

    Args:
        request: of the run; its path has the files that the shards examined.
        results: of all shards, in any order.
        progress: called with each ``Step``.

    Raises:
        InvalidArgumentError: the results don't make up one run, or are not of the files at the
            path; see also ``fleet.run.run``.

    """
    ordered = sorted(results, key=lambda result: result.part)
    check_whole(ordered)
    settings = request.settings
    with isolated(wanted=settings.isolate, network=settings.allow_network):
        _check_is_of(request, ordered[0])
    shards = [ShardFindings(result.name, result.findings) for result in ordered]
    mapped = all(result.mapped for result in ordered)
    merged = MergedTests(shards, mapped=mapped)
    return await run(replace(request, stand_in=merged), progress)


def _check_is_of(request: Request, result: ShardResult) -> None:
    if result.project != request.project:
        raise InvalidArgumentError(
            f"{result.file}: is of {result.project!r}, and {request.path} holds "
            f"{request.project!r}; name the shards' project with --project"
        )
    commit = clean_commit_of(request.path)
    if commit != result.commit:
        raise InvalidArgumentError(
            f"{result.file}: is of the commit {result.commit}, and {request.path} is at {commit}; "
            "check that commit out, since coverage is told by its lines"
        )
    if tree_of(request.path) != result.tree:
        raise InvalidArgumentError(
            f"{result.file}: the shards examined other files than there are in {request.path}; "
            "check out what they did, and change nothing that git tracks"
        )
