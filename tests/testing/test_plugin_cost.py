"""What pytest loads at every start of everyone who has the package installed."""

from __future__ import annotations

from tests.programs import run


async def test_pytest_loads_nothing_of_the_memory() -> None:
    program = (
        "import pytest, sys\nknown = set(sys.modules)\n"
        "from importlib.metadata import entry_points\n"
        "own = [each for each in entry_points(group='pytest11') if 'lionagi_qe' in each.value]\n"
        "known |= set(sys.modules)\n"
        "assert len([each.load() for each in own]) == 2\n"
        "print(*sorted(set(sys.modules) - known))"
    )
    assert (await run("-c", program)).split() == [
        "lionagi_qe",
        "lionagi_qe.errors",
        "lionagi_qe.integrations",
        "lionagi_qe.integrations.pytest",
        "lionagi_qe.testing",
        "lionagi_qe.testing.plugin",
    ]


async def test_the_memory_is_there_once_it_is_asked_for() -> None:
    program = (
        "import lionagi_qe\n"
        "assert 'open_memory' in lionagi_qe.__all__\n"
        "assert lionagi_qe.persistence.Memory is lionagi_qe.Memory\n"
        "from lionagi_qe import *\n"
        "print(type(open_memory('memory://')).__name__, JobLostError.__name__)"
    )
    assert (await run("-W", "error", "-c", program)).split() == ["SqliteMemory", "JobLostError"]
