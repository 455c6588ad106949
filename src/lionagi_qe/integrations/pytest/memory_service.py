"""What pytest's memory process does: read what the session needs, and keep what it tells.

Reads JSON lines on stdin and answers on stdout; ends with stdin, which keeps nothing of a session
that was killed. While the tests run it reads their histories, to be quick at the end.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.base import Findings
from lionagi_qe.agents.execution.phases import BAD
from lionagi_qe.agents.metric import Source
from lionagi_qe.agents.project.diff import tree_diff
from lionagi_qe.agents.project.version_control import commit_of
from lionagi_qe.agents.selection.impact import Selector
from lionagi_qe.errors import AqeError, ProjectError
from lionagi_qe.fleet.coverage_maps import Maps
from lionagi_qe.fleet.flaky_hunts import FlakyHunts
from lionagi_qe.fleet.learned_state import LearnedState
from lionagi_qe.fleet.part_of_tests import order_of_known, part_of_known
from lionagi_qe.fleet.project_memory import default_memory
from lionagi_qe.fleet.run_history import RunHistory
from lionagi_qe.fleet.sources_of_tests import TestSources
from lionagi_qe.integrations.pytest.plan import Plan
from lionagi_qe.learning.errors import LearningStateError
from lionagi_qe.persistence import open_memory
from lionagi_qe.persistence.connect import URL_VARIABLE
from lionagi_qe.persistence.values.url import redact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from lionagi_qe.agents.line_map import TestMap
    from lionagi_qe.agents.project.diff import Diff
    from lionagi_qe.agents.selection.prioritization import TestOrder
    from lionagi_qe.persistence import Entry, Memory

# As the figures are found again, beside those of the agents.
SOURCE = "pytest"
_OUTCOMES = {
    "tests_passed": "passed",
    "tests_failed": "failed",
    "tests_errors": "error",
    "tests_skipped": "skipped",
    "tests_xfailed": "xfailed",
    "tests_xpassed": "xpassed",
    "tests_interrupted": "interrupted",
}
_CAUSE = "randomness"


@dataclass(frozen=True, slots=True)
class Request:
    """What the process is told first.

    Attributes:
        project: the project's directory.
        root: the directory that the tests' names are relative to.
        name: under which its results are kept.
        url: of the memory; None for the one of the environment, else the project's own.
        order: "learned" or "default".
        base: the commit to compare with, if tests are to be selected.
        time: seconds for the likeliest tests to fail, if the others are to be left out.
        confidence: the probability with which those that run are to find a failing run.
        runs: how often new and changed tests run.
        learn: whether the session teaches.
        seconds: most that the opening, a plan or the keeping may take.
    """

    project: str
    root: str
    name: str
    url: str | None
    order: str
    base: str | None
    time: float | None
    confidence: float | None
    runs: int
    learn: bool
    seconds: float

    @property
    def asks_what_was_learned(self) -> bool:
        """Whether what was learned decides which tests run, or when."""
        return self.order == "learned" or self.wants_part

    @property
    def wants_part(self) -> bool:
        """Whether tests are to be left out that are less likely to fail than others."""
        return self.time is not None or self.confidence is not None


class Service:
    """One session's part of the memory; ``async with`` opens and closes it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._project = Path(request.project)
        self._stack = AsyncExitStack()
        self._url = ""
        self._entries: dict[str, Entry] = {}
        self._order: TestOrder | None = None
        self._unlearned: str | None = None

    async def __aenter__(self) -> Self:
        """Open the memory, and read the tests' histories.

        Raises:
            AqeError, OSError, TimeoutError: that can't be done.

        """
        request = self._request
        self._url = (
            request.url
            or os.environ.get(URL_VARIABLE)
            or default_memory(self._project, request.name)
        )
        memory = open_memory(self._url, cleanup_interval=None, timeout=request.seconds)
        async with asyncio.timeout(request.seconds):
            self._memory: Memory = await self._stack.enter_async_context(memory)
            self._history = RunHistory(self._memory, request.name)
            self._hunts = FlakyHunts(self._memory, request.name)
            self._learned = LearnedState(self._memory, request.name)
            self._sources = TestSources(self._memory, request.name)
            self._entries = await self._history.entries()
            if request.learn or request.asks_what_was_learned:
                try:
                    await self._decide()
                except LearningStateError as error:
                    self._unlearned = f"nothing is decided by what was learned, or added: {error}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the memory."""
        await self._stack.aclose()

    async def _decide(self) -> None:
        """Decide on the order, with what changed if it is followed; else only to be compared."""
        self._order = await order_of_known(
            self._memory,
            self._request.name,
            self._project,
            setting=self._request.order,
            entries=self._entries,
            by_change=self._request.asks_what_was_learned,
        )

    async def plan(self) -> Plan:
        """Return what is to be done with the tests of the session."""
        plan = Plan(runs=self._request.runs)
        if self._request.asks_what_was_learned and self._unlearned is not None:
            plan.notes.append(self._unlearned)
        if self._request.order == "learned" and self._order is not None:
            chosen = self._order.proposal.chosen
            plan.places, plan.new = dict(chosen.places), chosen.new
            plan.notes.append(self._about_order(self._order) if self._entries else _NO_HISTORY)
        if self._request.base is not None:
            await self._select(plan, self._request.base)
        if self._request.wants_part and self._order is not None:
            part = await part_of_known(
                self._memory,
                self._request.name,
                self._order,
                seconds=self._request.time,
                confidence=self._request.confidence,
            )
            plan.left_out |= part.left_out
            plan.notes.append(part.told)
        if self._request.runs > 1:
            plan.known = frozenset(self._entries)
            plan.sources = await self._sources.retrieve()
            if not plan.known:
                plan.notes.append("no test is repeated: the memory knows none yet, so all are new")
        return plan

    def _about_order(self, order: TestOrder) -> str:
        if order.ran == "heuristic":
            return f"tests run in order of recent failures: {order.proposal.reason}"
        return "tests run in the learned order, the likeliest to fail first"

    async def _select(self, plan: Plan, base: str) -> None:
        test_map = await Maps(self._memory, self._request.name).retrieve()
        if test_map is None:
            plan.notes.append(
                "all tests run: no run of this project has mapped them to its code yet (aqe select "
                f"{self._project} --measure)"
            )
            return
        try:
            diff = await asyncio.to_thread(tree_diff, self._project, self._project, base)
        except ProjectError as error:
            plan.notes.append(f"all tests run: {str(error).removeprefix('--base ')}")
            return
        needed, unknown = await asyncio.to_thread(self._needed, test_map, diff)
        plan.left_out = test_map.tests - needed
        count = f"{len(needed)} of {len(test_map.tests)} mapped tests"
        plan.notes.append(f"{count} are needed since {base}, and those that the map does not know")
        plan.notes += [f"not known: {file}: {why}" for file, why in sorted(unknown.items())]

    def _needed(self, test_map: TestMap, diff: Diff) -> tuple[frozenset[str], dict[str, str]]:
        selection = Selector(self._project, test_map).select(diff.changes)
        failing = {
            test
            for test, entry in self._entries.items()
            if entry.value["records"][-1]["outcome"] in BAD
        }
        return test_map.tests & (selection.tests.keys() | failing), selection.unknown

    async def keep(self, told: Mapping[str, Any]) -> list[str]:
        """Keep what a session told; return what its reader should know.

        Costs a write for each 1,000 tests, and what is learned from them.
        """
        run: str = told["run"]
        tests: list[dict[str, Any]] = [
            {**test, "id": _speakable(test["id"])} for test in told["tests"]
        ]
        await self._history.add_outcomes(run, tests, self._entries)
        if told["is_whole"]:
            await self._history.add_figures(run, SOURCE, await self._figures(told, tests))
        repeated = {test["id"]: test["attempts"] for test in tests if "attempts" in test}
        if repeated:
            runs = {test: _counts(attempts) for test, attempts in repeated.items()}
            flaky = [test for test, run in runs.items() if 0 < run["failures"] < run["runs"]]
            await self._hunts.add_reruns(run, dict.fromkeys(flaky, _CAUSE), runs)
        if self._request.runs > 1:
            ran = [test["id"] for test in tests]
            await self._sources.add(Path(self._request.root), ran, told["began"])
        if self._order is None:
            return [] if self._unlearned is None else [self._unlearned]
        if not (told["teaches"] and self._request.learn and tests):
            return []
        came = [_speakable(name) for name in told["came"]]
        order = self._order.as_details(came) | {"whole": told["is_whole"]}
        details = {"tests": tests, "order": order}
        return await self._learned.add(
            run, {"test-executor": Findings("test-executor", (), details)}
        )

    async def _figures(self, told: Mapping[str, Any], tests: list[dict[str, Any]]) -> list[Any]:
        commit = await asyncio.to_thread(commit_of, self._project)
        source = Source("pytest", told["pytest"], told["command"], commit)
        ended = [test["outcome"] for test in tests]
        values = {name: ended.count(outcome) for name, outcome in _OUTCOMES.items()}
        return [
            source.measured("tests_collected", len(tests), "tests"),
            *(source.measured(name, value, "tests") for name, value in values.items()),
            source.measured("test_seconds", told["seconds"], "s"),
        ]

    @property
    def shown(self) -> str:
        """The memory's URL, without secrets."""
        return redact(self._url)


_NO_HISTORY = "tests run as they come: the memory knows none of them yet"


def _counts(attempts: list[str]) -> dict[str, int]:
    return {"runs": len(attempts), "failures": sum(attempt in BAD for attempt in attempts)}


def _speakable(name: str) -> str:
    """Return a name that may hold parts of no Unicode as it is kept."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()


async def _serve() -> None:
    """Answer until stdin ends."""
    lines = _Lines()
    first = await lines.next()
    if first is None:
        return
    request = Request(**first)
    service = Service(request)
    opened: Service | None = None
    try:
        opened = await service.__aenter__()
    except Exception as error:  # noqa: BLE001 - told where it is asked for
        failure = _told(error, service)
    else:
        failure = ""
    try:
        while (message := await lines.next()) is not None:
            if opened is None:
                answer: dict[str, Any] = {"error": failure}
            else:
                answer = await _answer(opened, request, message)
            lines.say(answer)
    finally:
        await service.__aexit__()


async def _answer(service: Service, request: Request, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer; of an error, whichever it is, what it says: no test fails by it."""
    try:
        async with asyncio.timeout(request.seconds):
            if message["ask"] == "plan":
                return {"plan": (await service.plan()).as_text()}
            return {"notes": await service.keep(message), "memory": service.shown}
    except Exception as error:  # noqa: BLE001 - as the docstring says
        return {"error": _told(error, service)}


def _told(error: Exception, service: Service) -> str:
    if isinstance(error, AqeError | OSError) and str(error):
        return str(error)
    where = service.shown or "the memory"
    if isinstance(error, TimeoutError):
        return f"{where} gave no answer in time (aqe_timeout in pytest's settings)"
    return f"{where}: {type(error).__name__}: {error}; a defect of aqe, please report it"


class _Lines:
    """JSON lines of stdin and stdout; what others print goes to stderr."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)

    async def next(self) -> dict[str, Any] | None:
        """Return the next message; None at the end."""
        line = await asyncio.to_thread(sys.stdin.buffer.readline)
        return json.loads(line) if line.endswith(b"\n") else None

    def say(self, answer: Mapping[str, Any]) -> None:
        """Write a message."""
        self._out.write(json.dumps(answer).encode() + b"\n")
        self._out.flush()


if __name__ == "__main__":
    # What is read stays until the end: nothing is gained by looking for what does not.
    gc.disable()
    asyncio.run(_serve())
