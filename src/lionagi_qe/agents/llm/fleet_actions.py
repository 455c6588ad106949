"""What the fleet measured, read from its memory: every answer names the entries it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from lionagi_qe.agents.llm.action import Action, Arguments, failure
from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.persistence.values.keys import check_key

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory

RUNS: Final = "aqe/runs"
TESTS: Final = "aqe/tests"
FLAKY: Final = "aqe/flaky"
# All that these actions read.
RESULTS: Final = tuple(f"{area}/*" for area in (RUNS, TESTS, FLAKY))
GAPS: Final = "coverage-analyzer/gaps"
SURVIVORS: Final = "mutation-tester/surviving_mutants"
MOST: Final = 200
_LATEST: Final = "latest"
_FAILED: Final = frozenset({"failed", "error"})


class Projects(Arguments):
    """Arguments of fleet_projects: none."""


class OfProject(Arguments):
    """Arguments of what is asked about a project."""

    project: str = Field(description="The project's name, as fleet_projects tells it.")


class Runs(OfProject):
    """Arguments of fleet_runs."""

    limit: int = Field(
        default=10, ge=1, le=MOST, description="How many runs at most, the newest first."
    )


class Metrics(OfProject):
    """Arguments of fleet_metrics."""

    run: str | None = Field(default=None, description="The run's id; the last run if left out.")
    names: list[str] | None = Field(default=None, description="Which metrics; all if left out.")


class Gaps(OfProject):
    """Arguments of fleet_gaps and fleet_survivors."""

    run: str | None = Field(default=None, description="The run's id; the last run if left out.")
    file: str | None = Field(default=None, description="Only in this file.")
    limit: int = Field(default=20, ge=1, le=MOST, description="How many at most, the worst first.")


class History(OfProject):
    """Arguments of fleet_test_history."""

    test: str = Field(default="", description="Only tests whose id contains this text.")
    unsteady: bool = Field(
        default=False, description="Only tests that both passed and failed in the kept runs."
    )
    limit: int = Field(default=20, ge=1, le=MOST, description="How many tests at most.")


class Flaky(OfProject):
    """Arguments of fleet_flaky_history."""

    limit: int = Field(default=20, ge=1, le=MOST, description="How many tests at most.")


def fleet_actions(memory: Memory) -> list[Action[Any]]:
    """Return the actions that read what the fleet's runs measured; they change nothing."""
    results = FleetResults(memory)
    return [
        Action(
            "fleet_projects",
            "List the projects that were examined, each with its last run.",
            Projects,
            results.projects,
        ),
        Action("fleet_runs", "List the runs over a project.", Runs, results.runs),
        Action(
            "fleet_metrics",
            "Return the figures of a run, each with tool, commit and time; measured: false means "
            "that there is no figure, with the reason. Lists are counted unless asked for by name.",
            Metrics,
            results.metrics,
        ),
        Action(
            "fleet_gaps",
            "Return the functions with lines that no test runs, the worst first.",
            Gaps,
            results.gaps,
        ),
        Action(
            "fleet_test_history",
            "Return how tests ended in the last runs.",
            History,
            results.history,
        ),
        Action(
            "fleet_flaky_history",
            "Return the tests that hunts named flaky, with what each hunt since found of them.",
            Flaky,
            results.flaky,
        ),
        Action(
            "fleet_survivors",
            "Return the small changes of the code that no test of a run noticed, as diffs.",
            Gaps,
            results.survivors,
        ),
    ]


class FleetResults:
    """The figures and histories of all projects of a fleet.

    Args:
        memory: what ``aqe run`` recorded to.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory.scoped("fleet tools", read=RESULTS)

    async def projects(self, _: Projects) -> dict[str, Any]:
        """List projects and their last runs; costs a look at the keys of all runs."""
        latest = await self._memory.search(f"{RUNS}/*/{_LATEST}")
        return {
            "projects": [
                {"project": key.split("/")[2], "latest_run": run, "source": key}
                for key, run in latest.items()
                # Four segments: a metric may be called so, too.
                if key.count("/") == RUNS.count("/") + 2
            ]
        }

    async def runs(self, asked: Runs) -> dict[str, Any]:
        """List a project's runs, the newest first; costs a look at the keys of all of them."""
        prefix = _under(RUNS, asked.project)
        keys = await self._memory.list_keys(prefix)
        runs = sorted({key.removeprefix(prefix).split("/")[0] for key in keys} - {_LATEST})
        return {"runs": runs[::-1][: asked.limit], "of": len(runs), "source": f"{prefix}*"}

    async def metrics(self, asked: Metrics) -> dict[str, Any]:
        """Return the metrics of a run."""
        run = await self._run(asked.project, asked.run)
        if run is None:
            return _no_run(asked.project, asked.run)
        prefix = f"{_under(RUNS, asked.project)}{run}/"
        found: list[dict[str, Any]] = []
        async for entry in self._memory.scan(prefix):
            metric: dict[str, Any] = entry.value
            if asked.names is None:
                metric = {**metric, "value": _counted(metric["value"])}
            if asked.names is None or metric["name"] in asked.names:
                found.append({"source": entry.key, **metric})
        return {"project": asked.project, "run": run, "metrics": found}

    async def gaps(self, asked: Gaps) -> dict[str, Any]:
        """Return coverage gaps of a run, by the analyzer's own rank."""
        return await self._listed(asked, GAPS, "gaps")

    async def survivors(self, asked: Gaps) -> dict[str, Any]:
        """Return the surviving mutants of a run, in the order in which they were tried."""
        return await self._listed(asked, SURVIVORS, "survivors")

    async def _listed(self, asked: Gaps, place: str, name: str) -> dict[str, Any]:
        run = await self._run(asked.project, asked.run)
        if run is None:
            return _no_run(asked.project, asked.run)
        source = f"{_under(RUNS, asked.project)}{run}/{place}"
        metric = await self._memory.retrieve(source)
        if metric is None or not metric["measured"]:
            reason = "not part of this run" if metric is None else metric["reason"]
            return {"run": run, "measured": False, "reason": reason, "source": source}
        found = [each for each in metric["value"] if asked.file in {None, each["file"]}]
        return {
            "run": run,
            "measured": True,
            name: found[: asked.limit],
            "of": len(found),
            "commit": metric["commit"],
            "at": metric["at"],
            "source": source,
        }

    async def flaky(self, asked: Flaky) -> dict[str, Any]:
        """Return tests once named flaky; costs a scan of them."""
        found: list[dict[str, Any]] = []
        more = False
        async for entry in self._memory.scan(_under(FLAKY, asked.project)):
            if len(found) == asked.limit:
                more = True
                break
            found.append({"source": entry.key, **entry.value})
        return {"project": asked.project, "tests": found, "more": more}

    async def history(self, asked: History) -> dict[str, Any]:
        """Return tests' outcomes, the oldest kept run first; costs a scan of the project's tests.

        ``unsteady`` says that a test both passed and failed in the kept runs, whatever changed
        between them: a hint where to look, not a proof of flakiness.
        """
        found: list[dict[str, Any]] = []
        more = False
        async for entry in self._memory.scan(_under(TESTS, asked.project)):
            test, records = entry.value["id"], entry.value["records"]
            outcomes = [record["outcome"] for record in records]
            unsteady = "passed" in outcomes and not _FAILED.isdisjoint(outcomes)
            if asked.test not in test or (asked.unsteady and not unsteady):
                continue
            if len(found) == asked.limit:
                more = True
                break
            found.append(
                {
                    "test": test,
                    "outcomes": outcomes,
                    "seconds": [record["seconds"] for record in records],
                    "unsteady": unsteady,
                    "source": entry.key,
                }
            )
        return {"project": asked.project, "tests": found, "more": more}

    async def _run(self, project: str, run: str | None) -> str | None:
        """Return the run that is meant, or None if the project has no such run."""
        if run is None:
            return await self._memory.retrieve(f"{_under(RUNS, project)}{_LATEST}")
        prefix = f"{_under(RUNS, project)}{_segment('run', run)}/"
        async for _ in self._memory.scan(prefix, page_size=1):
            return run
        return None


def _under(root: str, project: str) -> str:
    return f"{root}/{_segment('project', project)}/"


def _segment(kind: str, name: str) -> str:
    if "/" in name:
        raise InvalidArgumentError(f"{kind} {name!r}: is one name, without '/'")
    check_key(f"aqe/{name}")
    return name


def _no_run(project: str, run: str | None) -> dict[str, Any]:
    which = "has no finished run" if run is None else f"has no run {run!r}"
    return failure("NoSuchRun", f"project {project!r} {which}; see fleet_projects and fleet_runs")


def _counted(value: Any) -> Any:  # noqa: ANN401 - JSON data
    return {"items": len(value)} if isinstance(value, list | dict) else value  # pyright: ignore[reportUnknownArgumentType]
