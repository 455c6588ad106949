"""What pytest itself does with ``--aqe``: plan the session, hear how it goes, have it kept."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.agents.execution.phases import BAD
from lionagi_qe.fleet.run_ids import new_run_id
from lionagi_qe.integrations.pytest.execution import Execution
from lionagi_qe.integrations.pytest.memory_process import MemoryProcess
from lionagi_qe.integrations.pytest.narrowing import narrowed_by
from lionagi_qe.integrations.pytest.outcomes import Outcomes
from lionagi_qe.integrations.pytest.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lionagi_qe.integrations.pytest.options import Options


@dataclass(slots=True)
class _Ending:
    """What is told at the end: where the session was kept, or why it was not."""

    kept: str | None = None
    unkept: str | None = None
    notes: list[str] = field(default_factory=list[str])


class Controller:
    """The plugin in the process that was started by the user, of which there is one.

    Args:
        config: pytest's.
        options: what is asked for.
    """

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self._config = config
        self._options = options
        self._outcomes = Outcomes()
        self._plan = Plan(quarantined=options.quarantined)
        self._execution: Execution | None = None
        self._process: MemoryProcess | None = None
        self._came: list[str] = []
        self._ending = _Ending()
        self._run = new_run_id()
        self._began = time.time()

    @pytest.hookimpl(tryfirst=True)  # before workers are started
    def pytest_sessionstart(self) -> None:
        """Start the memory's process, and ask it what is to be done with the tests."""
        only_lists = self._config.getoption("collectonly")
        if self._options.records and (not only_lists or self._options.wants_plan):
            self._start()
        if not self._has_workers:
            self._execution = Execution(self._plan)
            self._config.pluginmanager.register(self._execution, "aqe-execution")

    @property
    def _has_workers(self) -> bool:
        return self._config.getoption("dist", "no") != "no"

    def _start(self) -> None:
        options = self._options
        self._process = MemoryProcess(
            {
                "project": str(options.project),
                "root": str(self._config.rootpath),
                "name": options.name,
                "url": options.url,
                "order": options.order,
                "base": options.base,
                "runs": options.runs,
                "learn": options.learn,
                "seconds": options.seconds,
            },
            options.seconds,
        )
        if not options.wants_plan:
            return
        answer = self._process.ask({"ask": "plan"})
        if "error" in answer:
            text = f"all tests run, as they come: {answer['error']}"
            self._plan.notes.append(text)
        else:
            self._plan = Plan.of_text(answer["plan"])
            self._plan.quarantined = options.quarantined

    def pytest_report_header(self) -> list[str]:
        """Tell the plan."""
        notes = list(self._plan.notes)
        if self._plan.quarantined:
            notes.append(f"failures of {len(self._plan.quarantined)} tests are quarantined")
        return [f"aqe: {note}" for note in notes]

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - xdist's
        """Tell a worker of pytest-xdist the plan."""
        node.workerinput["aqe"] = self._plan.as_text()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Take the tests that a worker collected; all collect the same."""
        self._came = self._came or list(ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - xdist's
        """Take in which order the tests came, before a worker sorted them."""
        came = getattr(node, "workeroutput", {}).get("aqe")
        if came is not None:
            self._came = json.loads(came)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the report of a phase of a test."""
        self._outcomes.add(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Have the session kept; costs one wait for the memory's process."""
        nothing_ran = session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
        if self._plan.left_out and nothing_ran:
            # None is needed, which is as good as all passing.
            session.exitstatus = pytest.ExitCode.OK
        if self._process is None:
            return
        tests = self._outcomes.ended()
        if not tests:
            return
        answer: dict[str, Any] = {"error": "interrupted"}
        with suppress(KeyboardInterrupt):
            answer = self._process.ask(self._told(session))
        if "error" in answer:
            self._ending.unkept = (
                f"how {len(tests)} tests ended was not kept (nor learned from): {answer['error']}"
            )
        else:
            self._ending.kept = f"how {len(tests)} tests ended is kept in {answer['memory']}"
            self._ending.notes = answer["notes"]

    def pytest_unconfigure(self) -> None:
        """Let the memory's process end."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _told(self, session: pytest.Session) -> dict[str, Any]:
        narrowed = narrowed_by(self._config)
        stopped = session.shouldstop or session.shouldfail
        ended = session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
        came = self._came if self._execution is None else self._execution.came
        return {
            "ask": "keep",
            "run": self._run,
            "began": self._began,
            "seconds": round(time.time() - self._began, 3),
            "pytest": pytest.__version__,
            "command": " ".join(["pytest", *map(str, self._config.invocation_params.args)]),
            "is_whole": ended and not (stopped or narrowed or self._plan.left_out),
            # Of a part that a person chose, again and again while mending it, nobody should learn.
            "teaches": narrowed is None,
            "came": came,
            "tests": [
                {
                    "id": name,
                    "outcome": test.outcome,
                    "seconds": round(test.seconds, 6),
                    "place": test.place,
                    **({} if test.worker is None else {"worker": test.worker}),
                    **({"attempts": test.attempts} if test.attempts else {}),
                }
                for name, test in self._outcomes.ended().items()
            ],
        }

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:  # noqa: ANN401 - pytest's
        """Tell what is flaky, what was excused, and what was kept or was not."""
        tests = self._outcomes.tests
        flaky = [
            f"flaky: {name}: failed {_failures(test.attempts)} of {len(test.attempts)} runs"
            for name, test in tests.items()
            if test.is_flaky
        ]
        excused = [
            f"quarantined: {name}: {test.message.removeprefix('quarantined: ')}"
            for name, test in tests.items()
            if test.message
        ]
        ending = self._ending
        lines = [*flaky, *excused, *ending.notes]
        if ending.kept is not None and terminalreporter.verbosity >= 0:
            lines.append(ending.kept)
        if lines or ending.unkept:
            terminalreporter.write_sep("-", "aqe")
        _write(terminalreporter, lines)
        if ending.unkept is not None:
            terminalreporter.write_line(f"warning: {ending.unkept}", yellow=True)


def _write(terminalreporter: Any, lines: Iterable[str]) -> None:  # noqa: ANN401 - pytest's
    for line in lines:
        terminalreporter.write_line(line)


def _failures(attempts: Iterable[str]) -> int:
    return sum(attempt in BAD for attempt in attempts)
