"""A pytest plugin that tries mutants: collects once, then forks a process for each of them.

The variable AQE_MUTANTS names a JSON file: {"out", "until", "tests": [id], "took": [seconds],
"mutants": [{"id", "path", "start", "end", "replacement", "name", "line", "tests": [index]}]}.
In the forked process the code of the function is exchanged, the
tests run until one fails, and the process ends; this process runs no test, so every mutant meets
the same state. A line of JSON for each mutant goes to "out". Before a mutant is tried, so are its
tests, on the unchanged code: what fails there, or when run a second time, judges no mutant. They
are taken some at a time, so that a suite which lasts longer than there is time judges some.

Runs on every Python that pytest 7 runs on, so it keeps to the standard library and to old syntax,
and imports nothing of the fleet. PYTEST_DONT_REWRITE: it is imported before pytest is.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import sys
import time
import warnings
from functools import partial
from importlib import import_module
from itertools import takewhile
from types import CodeType, FunctionType
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pytest

# None of them is 0, with which a mutant may end the process itself.
SURVIVED, KILLED, INVALID, UNREACHED = 97, 98, 99, 100
_NAMES = {
    SURVIVED: "survived",
    KILLED: "killed",
    INVALID: "invalid",
    UNREACHED: "unreached",
    -signal.SIGXCPU: "timed out",
}
_UNCHANGED = 2
# Of the time that tests take on the unchanged code; more is an endless loop.
_MANY_TIMES = 5.0
_SLACK_SECONDS = 2.0
# What else a process may need, as long as that isn't known: each sets up anew what the tests of a
# session share.
_SETUP_SECONDS = 10.0
# Tests for about so much of the time left are judged at once, and no fewer than for a second: each
# two processes more set up what the tests of a session share.
_JUDGED_AT_ONCE = 0.05
_LEAST_JUDGED_SECONDS = 1.0
_known_as: Callable[[str], str] = import_module("aqe_names").known_as
_POLL_SECONDS = 0.002
# A busy machine makes a test wait, which is not the mutant's doing: its limit is of the processor's
# time. What doesn't use any, because it waits for ever, is stopped after so many times that.
_WAITING = 3.0
# A mutant that fills the memory or the disk shall fail, not the machine.
_MORE_MEMORY = 2 * 1024**3
_LARGEST_FILE = 256 * 1024**2
_fork, _killpg = os.fork, os.killpg
if "AQE_GUARD" in os.environ:
    # Before the tests are collected, which runs code of theirs. Only this module may still fork.
    _fork, _killpg = (import_module("aqe_guard").exempt(each) for each in (os.fork, os.killpg))


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Try the mutants in the place of running the tests."""
    with open(os.environ["AQE_MUTANTS"], encoding="utf-8") as file:  # noqa: PTH123
        task = json.load(file)
    items = {_known_as(item.nodeid): item for item in session.items}
    with open(task["out"], "a", encoding="utf-8", buffering=1) as out:  # noqa: PTH123
        _say(out, collected=len(items))
        judges = _Judges(task, [items.get(name) for name in task["tests"]], out)
        functions = _functions({mutant["path"] for mutant in task["mutants"]})
        for number, mutant in enumerate(task["mutants"]):
            if not judges.know(number):
                break
            started = time.monotonic()
            outcome = _outcome(mutant, judges, functions, task["out"] + ".killer")
            _say(out, id=mutant["id"], outcome=outcome, seconds=time.monotonic() - started)
    return True


class _Judges:
    """Which tests may judge mutants: those that pass on the unchanged code, twice.

    A test that ends the process, or takes far too long, judges none; those behind it are tried
    again without it.
    """

    def __init__(
        self, task: dict[str, Any], tests: Sequence[pytest.Item | None], out: IO[str]
    ) -> None:
        self._task = task
        self._out = out
        self._tests = {index: test for index, test in enumerate(tests) if test is not None}
        self._fit: dict[int, bool] = {}
        self._confirmed: set[int] = set()
        self._setup_seconds = 0.0
        self._note({index: False for index in range(len(tests)) if index not in self._tests})

    def know(self, number: int) -> bool:
        """Judge the tests of a mutant, and those of coming ones; False if the time is up."""
        # The fleet's clock is ours: that of the machine since it started.
        deadline = self._task["until"]
        while time.monotonic() < deadline:
            new = self._unjudged(number, deadline - time.monotonic())
            if not new:
                return True
            found = self._judged(new, deadline)
            if time.monotonic() < deadline:
                # Else they were cut short, and what did not get to run is no worse for that.
                self._note(found)
        return False

    def of(self, mutant: dict[str, Any]) -> dict[int, pytest.Item]:
        """Return the tests that judge a mutant, in their order."""
        return {index: self._tests[index] for index in mutant["tests"] if self._fit[index]}

    def seconds(self, tests: Iterable[int]) -> float:
        """Return how long tests may take together: more is an endless loop."""
        took = sum(self._task["took"][index] for index in tests)
        return _SLACK_SECONDS + _MANY_TIMES * (took + self._setup_seconds)

    def confirm(self, chosen: dict[int, pytest.Item], killer: int) -> bool:
        """Whether the test that failed passes on the unchanged code, behind the same tests.

        If not, it minds which run before it, and judges no more.
        """
        if killer not in self._confirmed:
            order = list(chosen)
            before = {index: chosen[index] for index in order[: order.index(killer) + 1]}
            seconds = self.seconds(before)
            path = self._task["out"] + ".again"
            again = partial(_run_until_one_fails, before, path)
            outcome = _forked(again, _WAITING * seconds, seconds)
            _read(path)
            if outcome != "survived":
                self._note({killer: False})
                return False
            self._confirmed.add(killer)
        return True

    def _note(self, found: dict[int, bool]) -> None:
        self._fit.update(found)
        _say(self._out, judged=found)

    def _unjudged(self, number: int, left: float) -> list[int]:
        """Return tests to judge next, the mutant's and those of coming ones; [] if it has none."""
        mutants = self._task["mutants"]
        if all(index in self._fit for index in mutants[number]["tests"]):
            return []
        room = max(left * _JUDGED_AT_ONCE, _LEAST_JUDGED_SECONDS)
        wanted: set[int] = set()
        for mutant in mutants[number:]:
            new = {index for index in mutant["tests"] if index not in self._fit} - wanted
            room -= sum(self._task["took"][index] for index in new)
            if room < 0 and wanted:
                break
            wanted |= new
        return sorted(wanted)

    def _judged(self, tests: Sequence[int], deadline: float) -> dict[int, bool]:
        """Return of each test that got to run whether it passed, each time in a new process."""
        found: dict[int, bool] = {}
        passing = list(tests)
        for _ in range(_UNCHANGED):
            path = self._task["out"] + ".unchanged"
            seconds = self.seconds(passing)
            run = partial(_run_all, {index: self._tests[index] for index in passing}, path)
            started = time.monotonic()
            left = max(deadline - started, 0.1)
            most = min(_SETUP_SECONDS + _WAITING * seconds, left)
            if _forked(run, most, _SETUP_SECONDS + seconds, started + left) == "survived":
                took = sum(self._task["took"][index] for index in passing)
                beside = time.monotonic() - started - took
                self._setup_seconds = max(self._setup_seconds, beside)
            passed = {each["test"]: each["passed"] for each in _read(path)}
            ran = list(takewhile(passed.__contains__, passing))
            found.update((index, passed[index]) for index in ran)
            # The first of which nothing is told ended the process, or did not end.
            found.update((index, False) for index in passing[len(ran) : len(ran) + 1])
            for behind in passing[len(ran) + 1 :]:
                found.pop(behind, None)
            passing = [index for index in ran if passed[index]]
        return found


def _outcome(
    mutant: dict[str, Any],
    judges: _Judges,
    functions: dict[tuple[str, str, int], list[FunctionType]],
    path: str,
) -> str:
    while True:
        chosen = judges.of(mutant)
        if not chosen:
            return "unjudged"
        seconds = judges.seconds(chosen)
        trial = partial(_try, mutant, chosen, functions, path)
        outcome = _forked(trial, _WAITING * seconds, seconds)
        killers = _read(path)
        # What ended the process at once left no word of who noticed.
        if outcome != "killed" or not killers or judges.confirm(chosen, killers[0]["test"]):
            return outcome


def _say(out: IO[str], **fields: Any) -> None:  # noqa: ANN401 - JSON data
    out.write(json.dumps(fields) + "\n")


def _read(path: str) -> list[Any]:
    if not os.path.exists(path):  # noqa: PTH110
        return []
    with open(path, encoding="utf-8") as lines:  # noqa: PTH123
        found = [json.loads(line) for line in lines]
    os.remove(path)  # noqa: PTH107
    return found


def _functions(paths: set[str]) -> dict[tuple[str, str, int], list[FunctionType]]:
    """Return the functions that live in this process, by file, name and first line."""
    found: dict[tuple[str, str, int], list[FunctionType]] = {}
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename in paths:
            code = each.__code__
            place = (code.co_filename, code.co_name, code.co_firstlineno)
            found.setdefault(place, []).append(each)
    return found


def _try(
    mutant: dict[str, Any],
    tests: dict[int, pytest.Item],
    functions: dict[tuple[str, str, int], list[FunctionType]],
    path: str,
) -> int:
    living = functions.get((mutant["path"], mutant["name"], mutant["line"]))
    if not living:
        return UNREACHED
    with open(mutant["path"], encoding="utf-8", newline="") as file:  # noqa: PTH123
        text = file.read()
    changed = text[: mutant["start"]] + mutant["replacement"] + text[mutant["end"] :]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = compile(changed, mutant["path"], "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return INVALID
    code = _find(module, mutant["name"], mutant["line"])
    if code is None:
        return UNREACHED
    for function in living:
        function.__code__ = code
    return _run_until_one_fails(tests, path)


def _find(module: CodeType, name: str, line: int) -> CodeType | None:
    waiting = [module]
    while waiting:
        code = waiting.pop()
        if code.co_name == name and code.co_firstlineno == line:
            return code
        waiting += [each for each in code.co_consts if isinstance(each, CodeType)]
    return None


def _run_until_one_fails(tests: dict[int, pytest.Item], path: str) -> int:
    """Run tests until one fails, and write to ``path`` which one it was."""
    for index, passed in _run(tests):
        if not passed:
            with open(path, "w", encoding="utf-8") as out:  # noqa: PTH123
                _say(out, test=index)
            return KILLED
    return SURVIVED


def _run_all(tests: dict[int, pytest.Item], path: str) -> int:
    """Run all tests; write to ``path`` which of them passed."""
    with open(path, "w", encoding="utf-8", buffering=1) as out:  # noqa: PTH123
        for index, passed in _run(tests):
            _say(out, test=index, passed=passed)
    return SURVIVED


def _run(tests: dict[int, pytest.Item]) -> Iterator[tuple[int, bool]]:
    from _pytest.runner import runtestprotocol

    following = [*list(tests.values())[1:], None]
    for number, (index, test) in enumerate(tests.items()):
        reports = runtestprotocol(test, nextitem=following[number], log=False)
        yield index, not any(report.failed for report in reports)


def _forked(
    work: Callable[[], int],
    seconds: float,
    busy: float | None = None,
    until: float | None = None,
) -> str:
    """Run ``work`` in a process of its own; return how it ended.

    It may take ``seconds`` by the clock, without those in which it had to wait for a processor, and
    ``busy`` of the processor's time. In any case it is ended at ``until``.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = _fork()
    if child == 0:
        code = KILLED
        try:
            _confine(busy)
            code = work()
        finally:
            # Whatever was raised, nothing of this process goes on above this line.
            os._exit(code)
    deadline = time.monotonic() + seconds
    while (now := time.monotonic()) < deadline or (
        (until is None or now < until) and now - _queued(child) < deadline
    ):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _end_group(child)
            return _NAMES.get(os.waitstatus_to_exitcode(status), "killed")
        time.sleep(_POLL_SECONDS)
    _end_group(child)
    os.waitpid(child, 0)
    return "timed out"


def _queued(child: int) -> float:
    """Return for how many seconds a process could have run, and others did.

    That of its first thread, as Linux counts it (``/proc/PID/schedstat``); 0 where nothing does.
    """
    try:
        with open("/proc/%d/schedstat" % child, encoding="ascii") as file:  # noqa: PTH123, UP031
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _confine(busy: float | None) -> None:
    os.setsid()
    if busy is not None:
        # Whole seconds, of which the last one may be cut short.
        limit = int(busy) + 1
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
    with contextlib.suppress(OSError, ValueError):
        # Linux tells the size of the address space; elsewhere the time limit has to do.
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            pages = int(file.read().split()[0])
        limit = pages * resource.getpagesize() + _MORE_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _end_group(leader: int) -> None:
    # The group is empty when everyone in it has ended: that is what we want.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        _killpg(leader, signal.SIGKILL)
