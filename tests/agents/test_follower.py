"""What stands still is ended, and shows where it stood."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from lionagi_qe.agents.execution.follower import Follower

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


def test_a_collection_that_never_ends_is_killed_and_shows_its_stack(tmp_path: Path) -> None:
    record, stacks = tmp_path / "record.jsonl", tmp_path / "stacks.txt"
    command = [sys.executable, "-c", STANDS, str(stacks)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        record.write_text(json.dumps({"event": "listening", "pid": process.pid}) + "\n")
        follower = Follower("tests", record, stacks, lambda _: None, 600, 600, collection=0.0)
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
