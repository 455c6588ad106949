"""A process that takes over from a killed one decides as if nothing had happened."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests import prefork

RUNNER = Path(__file__).with_name("cycle_runner.py")
KILLED_AFTER = (5, 6, 9)
CYCLES = 16


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/order.db"
    return request.getfixturevalue(f"{request.param}_url")


async def _decisions(url: str, fleet: str, kill_after: int | None = None) -> dict[int, str]:
    """Run cycles, to the end or until the process is killed in one; return what was decided."""
    decided: dict[int, str] = {}
    process = await prefork.start("script", RUNNER, url, fleet, "9", stderr=None)
    assert process.stdout is not None
    async for line in process.stdout:
        number, _, order = line.decode().strip().partition(" ")
        decided[int(number)] = order
        if int(number) == kill_after:
            # The process may go on for a few cycles until the signal reaches it: read them too.
            process.send_signal(signal.SIGKILL)
    assert await process.wait() == (0 if kill_after is None else -signal.SIGKILL)
    return decided


async def test_after_kills_the_decisions_are_those_of_an_uninterrupted_run(
    url: str, tmp_path: Path
) -> None:
    name = tmp_path.name[-16:].strip("_-.")
    steady = await _decisions(url, f"s-{name}")
    killed: dict[int, str] = {}
    for kill_after in (*KILLED_AFTER, None):
        for number, order in (await _decisions(url, f"k-{name}", kill_after)).items():
            # What was cut off before it was learned from is decided again, and alike.
            assert killed.setdefault(number, order) == order
    assert killed == steady
    assert sorted(steady) == list(range(1, CYCLES + 1))
