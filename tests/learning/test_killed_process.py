"""A process that takes over from a killed one decides as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).with_name("cycle_runner.py")
KILLED_AFTER = (5, 6, 9)
CYCLES = 16


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/order.db"
    return request.getfixturevalue(f"{request.param}_url")


def _start(url: str, fleet: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(RUNNER), url, fleet, "9"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _decisions(url: str, fleet: str, kill_after: int | None = None) -> dict[int, str]:
    """Run cycles, to the end or until the process is killed in one; return what was decided."""
    decided: dict[int, str] = {}
    with _start(url, fleet) as process:
        assert process.stdout is not None
        for line in process.stdout:
            number, _, order = line.strip().partition(" ")
            decided[int(number)] = order
            if int(number) == kill_after:
                # The process may go on for a few cycles until the signal reaches it: read them too.
                process.send_signal(signal.SIGKILL)
    assert process.returncode == (0 if kill_after is None else -signal.SIGKILL)
    return decided


def test_after_kills_the_decisions_are_those_of_an_uninterrupted_run(
    url: str, tmp_path: Path
) -> None:
    name = tmp_path.name[-16:].strip("_-.")
    steady = _decisions(url, f"s-{name}")
    killed: dict[int, str] = {}
    for kill_after in (*KILLED_AFTER, None):
        for number, order in _decisions(url, f"k-{name}", kill_after).items():
            # What was cut off before it was learned from is decided again, and alike.
            assert killed.setdefault(number, order) == order
    assert killed == steady
    assert sorted(steady) == list(range(1, CYCLES + 1))
