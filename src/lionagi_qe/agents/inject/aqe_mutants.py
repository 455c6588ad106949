"""A pytest plugin that tries mutants: collects once, then forks a process for each of them.

The variable AQE_MUTANTS names a JSON file: {"out", "until", "tests": [id], "took": [seconds],
"mutants": [{"id", "path", "start", "end", "replacement", "name", "line", "tests": [index],
"seconds"}]}. In the forked process the code of the function is exchanged, the
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
from types import CodeType, FunctionType
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
# Tests for about so much of the time left are judged at once, and no fewer than for a second: each
# two processes more set up what the tests of a session share.
_JUDGED_AT_ONCE = 0.05
_LEAST_JUDGED_SECONDS = 1.0
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
    items = {item.nodeid: item for item in session.items}
    tests = [items.get(name) for name in task["tests"]]
    # The fleet's clock is ours: that of the machine since it started.
    deadline = task["until"]
    judges: dict[int, bool] = {}
    with open(task["out"], "a", encoding="utf-8", buffering=1) as out:  # noqa: PTH123
        _say(out, collected=len(items))
        functions = _functions({mutant["path"] for mutant in task["mutants"]})
        for number, mutant in enumerate(task["mutants"]):
            new = _next_unjudged(task, number, judges, deadline - time.monotonic())
            passed = _passing({index: tests[index] for index in new}, task["out"], deadline)
            if time.monotonic() > deadline:
                # What was cut short, and did not get to run, is no worse for that.
                break
            if new:
                judges.update({index: index in passed for index in new})
                _say(out, judged={index: judges[index] for index in new})
            chosen = [tests[index] for index in mutant["tests"] if judges[index]]
            started = time.monotonic()
            trial = partial(_try, mutant, chosen, functions)
            limit = mutant["seconds"]
            outcome = _forked(trial, _WAITING * limit, limit) if chosen else "unjudged"
            _say(out, id=mutant["id"], outcome=outcome, seconds=time.monotonic() - started)
    return True


def _next_unjudged(
    task: dict[str, Any], number: int, judges: dict[int, bool], left: float
) -> list[int]:
    """Return tests to judge next: [] if all of the mutant's are, else these and coming ones'."""
    if all(index in judges for index in task["mutants"][number]["tests"]):
        return []
    room = max(left * _JUDGED_AT_ONCE, _LEAST_JUDGED_SECONDS)
    wanted: set[int] = set()
    for mutant in task["mutants"][number:]:
        new = {index for index in mutant["tests"] if index not in judges} - wanted
        room -= sum(task["took"][index] for index in new)
        if room < 0 and wanted:
            break
        wanted |= new
    return sorted(wanted)


def _passing(tests: dict[int, pytest.Item | None], out: str, deadline: float) -> set[int]:
    """Return which of the tests pass on the unchanged code, each time in a new process."""
    passing = set(tests)
    for _ in range(_UNCHANGED if tests else 0):
        path = out + ".unchanged"
        _forked(partial(_run_all, tests, path), max(deadline - time.monotonic(), 0.1))
        passing &= {each["test"] for each in _read(path) if each["passed"]}
    return passing


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
    tests: Sequence[pytest.Item],
    functions: dict[tuple[str, str, int], list[FunctionType]],
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
    return KILLED if _fails(tests) else SURVIVED


def _find(module: CodeType, name: str, line: int) -> CodeType | None:
    waiting = [module]
    while waiting:
        code = waiting.pop()
        if code.co_name == name and code.co_firstlineno == line:
            return code
        waiting += [each for each in code.co_consts if isinstance(each, CodeType)]
    return None


def _fails(tests: Sequence[pytest.Item]) -> bool:
    """Run tests until one fails; whatever ends the process, it is caught."""
    from _pytest.runner import runtestprotocol

    for number, test in enumerate(tests):
        following = tests[number + 1] if number + 1 < len(tests) else None
        reports = runtestprotocol(test, nextitem=following, log=False)
        if any(report.failed for report in reports):
            return True
    return False


def _run_all(tests: dict[int, pytest.Item | None], path: str) -> int:
    """Run all tests on the unchanged code; write to ``path`` which of them passed."""
    from _pytest.runner import runtestprotocol

    present = [(index, test) for index, test in tests.items() if test is not None]
    with open(path, "w", encoding="utf-8", buffering=1) as out:  # noqa: PTH123
        for number, (index, test) in enumerate(present):
            following = present[number + 1][1] if number + 1 < len(present) else None
            reports = runtestprotocol(test, nextitem=following, log=False)
            _say(out, test=index, passed=not any(report.failed for report in reports))
    return SURVIVED


def _forked(work: Callable[[], int], seconds: float, busy: float | None = None) -> str:
    """Run ``work`` in a process of its own; return how it ended.

    It may take ``seconds`` by the clock, and ``busy`` of the processor's time.
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
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _end_group(child)
            return _NAMES.get(os.waitstatus_to_exitcode(status), "killed")
        time.sleep(_POLL_SECONDS)
    _end_group(child)
    os.waitpid(child, 0)
    return "timed out"


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
