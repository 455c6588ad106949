"""A graph written for LangGraph's own store and checkpointer moves over by two lines."""

from __future__ import annotations

import asyncio
import difflib
import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import programs

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).parents[2] / "examples" / "langgraph"
BEFORE, AFTER = EXAMPLES / "written_for_langgraph.py", EXAMPLES / "moved_over.py"
ANSWERS = [
    "asks: how do you want a flaky test?",
    "as told: mend it with pytest",
    "as noted: mend it with pytest",
    "3 checkpoints of the first thread",
]

pytestmark = pytest.mark.slow


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """Runs an example in this process."""

    def run(path: Path, *arguments: str) -> list[str]:
        monkeypatch.setattr("sys.argv", [str(path), *arguments])
        made = runpy.run_path(str(path), run_name="__main__")
        for name in ("saver", "store"):
            getattr(made[name], "close", lambda: None)()
        return capsys.readouterr().out.splitlines()

    return run


def test_its_imports_and_two_constructor_calls_differ() -> None:
    before, after = (path.read_text(encoding="utf-8").splitlines() for path in (BEFORE, AFTER))
    changed = [
        line
        for line in difflib.unified_diff(before[1:], after[1:], n=0, lineterm="")
        if line[1:] and not line.startswith(("---", "+++", "@@"))
    ]
    others = [line for line in changed if not line[1:].startswith("from ")]
    assert [line[: line.index("(")] for line in others] == [
        "-saver = InMemorySaver",
        "-store = InMemoryStore",
        "+saver = FleetSaver",
        "+store = FleetStore",
    ]


async def test_it_does_the_same_and_remembers_it_in_the_next_process(
    run: Callable[..., list[str]], sqlite_url: str
) -> None:
    assert await asyncio.to_thread(run, BEFORE) == ANSWERS
    assert await asyncio.to_thread(run, AFTER, sqlite_url) == ANSWERS
    # Nobody is asked any more, and the thread goes on: three checkpoints for each invocation.
    noted = "as noted: mend it with pytest"
    later = await programs.run(AFTER, sqlite_url)
    assert later.splitlines() == [noted, noted, "6 checkpoints of the first thread"]
