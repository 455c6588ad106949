"""Work done in shares is all done, whatever becomes of the forks that do some of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests import programs

import lionagi_qe.agents.inject as injected

INJECTED = Path(injected.__path__[0])
# Eight names in four shares on four cores; tells how often each was worked on, and by how many.
PROGRAM = """
import json, os, sys, threading, time
import aqe_shares

cores = {cores}
os.sched_getaffinity = lambda _: range(cores)
aqe_shares._PATIENCE = 0.2
own = os.getpid()

def work(names):
    if os.getpid() != own:
        pass
        {in_fork}
    return [os.getpid(), {{name: len(name) for name in names}}]

{before}
names = [n * letter for n, letter in enumerate("abcdefgh", start=1)]
results = aqe_shares.done_in_shares(work, dict.fromkeys(names, 1.0), {least})
print(json.dumps(dict(
    shares=len(results),
    processes=len({{pid for pid, _ in results}}),
    names=sum((list(found.items()) for _, found in results), []),
)))
"""
EVERYTHING = sorted([n * letter, n] for n, letter in enumerate("abcdefgh", start=1))


def done(
    *, cores: int = 4, least: float = 2.0, in_fork: str = "", before: str = ""
) -> dict[str, Any]:
    """Return what came of the program; fail unless all was done, and once."""
    text = PROGRAM.format(cores=cores, least=least, in_fork=in_fork, before=before)
    ran = programs.call("-c", text, env={"PYTHONPATH": str(INJECTED)})
    assert ran.code == 0, ran.complaints
    found = json.loads(ran.output)
    assert sorted(found.pop("names")) == EVERYTHING
    return found


@pytest.mark.parametrize(
    ("cores", "least", "shares"), [(4, 2.0, 4), (3, 2.0, 3), (16, 1.0, 4), (4, 4.0, 2), (4, 9.0, 1)]
)
def test_each_share_is_worked_on_by_a_process_of_its_own(
    cores: int, least: float, shares: int
) -> None:
    assert done(cores=cores, least=least) == {"shares": shares, "processes": shares}


@pytest.mark.parametrize(
    "trouble",
    ["os.kill(os.getpid(), 9)", "raise ValueError", "time.sleep(3600)", "return object()"],
    ids=["killed", "failed", "stands", "unreadable"],
)
def test_what_a_fork_does_not_bring_to_its_end_is_done_again(trouble: str) -> None:
    assert done(in_fork=trouble) == {"shares": 4, "processes": 1}


def test_beside_another_thread_all_is_done_by_one_process() -> None:
    stands = "threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()"
    assert done(before=stands) == {"shares": 1, "processes": 1}


def test_where_there_can_be_no_more_processes_all_is_done_by_one() -> None:
    refused = "import posix; posix.fork = lambda: os.open('/nowhere', 0)"
    assert done(before=refused) == {"shares": 4, "processes": 1}


@pytest.mark.parametrize(
    "left",
    [
        "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "os.fork = os._exit = None",
    ],
    ids=["reaps by itself", "without functions of os"],
)
def test_a_process_whose_tests_left_it_odd_does_it_all_the_same(left: str) -> None:
    assert done(before=left) == {"shares": 4, "processes": 4}
