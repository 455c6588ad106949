"""What stands still is ended, and shows where it stood."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.agents.environment.target import INJECTED
from lionagi_qe.agents.execution.follower import Follower
from lionagi_qe.agents.execution.follower import test_limit as limit_of
from lionagi_qe.agents.execution.phases import outcome_of
from lionagi_qe.agents.execution.pytest_session import leaving_file

if TYPE_CHECKING:
    from pathlib import Path

STANDS = """
import faulthandler, signal, sys, time
signal.signal(signal.SIGRTMIN + 11, lambda *_: None)
faulthandler.register(signal.SIGRTMIN + 12, file=open(sys.argv[1], "w"))
def collects():
    print("ready", flush=True)
    time.sleep(600)
collects()
"""


def _follower(record: Path, stacks: Path, timeout: float = 600.0, **limits: float) -> Follower:
    return Follower("tests", record, stacks, lambda _: None, 600, timeout, math.inf, **limits)


def test_a_collection_that_never_ends_is_killed_and_shows_its_stack(tmp_path: Path) -> None:
    record, stacks = tmp_path / "record.jsonl", tmp_path / "stacks.txt"
    command = [sys.executable, "-c", STANDS, str(stacks)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        record.write_text(json.dumps({"event": "listening", "pid": process.pid}) + "\n")
        follower = _follower(record, stacks, collection=0.0)
        # As on a busy machine, it is given no time while its stacks are waited for.
        process.send_signal(signal.SIGSTOP)
        while not follower.has_killed:
            follower.look()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        follower.look()
        follower.look()
        process.send_signal(signal.SIGCONT)
        while process.poll() is None:
            follower.look()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
    assert process.returncode == -signal.SIGKILL
    assert "in collects" in stacks.read_text()


# As pytest and its tests, one of which started a thread that nobody ends.
LEAVES = """
import sys, threading
open(sys.argv[1], "wb").close()
def serves():
    threading.Event().wait(600)
threading.Thread(target=serves).start()
threading.Thread(target=threading.Event().wait, args=(600,), daemon=True).start()
"""


def test_a_process_that_never_ends_after_its_tests_is_ended_and_tells_what_keeps_it(
    tmp_path: Path,
) -> None:
    record, module = tmp_path / "record.jsonl", tmp_path / "leaves.py"
    module.write_text(LEAVES)
    command = [sys.executable, str(INJECTED / "aqe_launch.py"), str(record), "", "", "", "leaves"]
    with subprocess.Popen([*command, str(record)], env={"PYTHONPATH": str(tmp_path)}) as process:
        stacks = tmp_path / "stacks.txt"
        follower = _follower(record, stacks, leaving=0.0)
        while process.poll() is None:
            if record.exists() and not record.stat().st_size:
                record.write_text(json.dumps({"event": "listening", "pid": process.pid}) + "\n")
            follower.look()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
    assert process.returncode == -signal.SIGKILL
    assert leaving_file(record).exists()
    assert follower.stays is not None
    stays, seconds = follower.stays
    assert seconds >= 0
    assert stays.count("in serves") == 1
    assert not follower.has_killed


@pytest.mark.parametrize(
    ("when", "outcome"),
    [("call", "failed"), ("setup", "error"), ("teardown", "error"), ("???", "failed")],
)
def test_what_fails_outside_of_fixtures_is_a_failure_as_pytest_counts(
    when: str, outcome: str
) -> None:
    """pytest-forked and pytest-xdist say "???" of a test that ended its process."""
    assert outcome_of(when, "failed", xfail=False) == outcome


def test_the_time_of_a_run_counts_from_its_start_and_leaves_some_to_end_in(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    follower = _follower(record, tmp_path / "stacks.txt", timeout=0.0)
    # Python and pytest are still starting.
    assert follower.look() is None

    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command) as process:
        record.write_text(json.dumps({"event": "listening", "pid": process.pid}) + "\n")
        # It is asked to end by a signal, and not stopped at once.
        assert follower.look() is None
        assert process.wait() == -(signal.SIGRTMIN + 13)
    assert follower.look() is None


@pytest.mark.parametrize(
    ("own", "slowest", "timeout", "limit"),
    [
        (1.5, 60.0, 3600.0, 1.5),
        (None, None, 3600.0, 200.0),
        (None, None, 60.0, 20.0),
        (None, 30.0, 3600.0, 300.0),
        (None, 0.01, 3600.0, 30.0),
    ],
    ids=["named", "first run", "little time", "ten times the slowest", "of quick tests"],
)
def test_how_long_a_test_may_take_is_learned_from_the_slowest(
    own: float | None, slowest: float | None, timeout: float, limit: float
) -> None:
    examination: Any = SimpleNamespace(
        settings=SimpleNamespace(test_timeout=own), history=SimpleNamespace(slowest=slowest)
    )
    assert limit_of(examination, timeout) == pytest.approx(limit)


def test_one_that_was_asked_to_end_has_time_for_it_and_then_is_stopped(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    follower = Follower(
        "tests", record, tmp_path / "stacks.txt", lambda _: None, 600, 0.0, math.inf, ending=0.0
    )
    program = "import signal, time; signal.signal(signal.SIGRTMIN + 13, signal.SIG_IGN)\nprint(1)\n"
    command = [sys.executable, "-u", "-c", f"{program}while True: pass"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        record.write_text(json.dumps({"event": "listening", "pid": process.pid}) + "\n")
        told: str | None = None
        while told is None:
            told = follower.look()
            # It has to get the processor now and then, else waiting for it is all it did.
            time.sleep(0.05)
        process.kill()
    assert told == "it ran longer than 0 s"
