"""The examples run as they are, find what they kept, and leave nothing else behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import programs

EXAMPLES = Path(__file__).parents[2] / "examples" / "lionagi"
# Whoever needs a network for them is told so.
NO_NETWORK = {"https_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"}

pytestmark = pytest.mark.slow


async def run(name: str, *arguments: str) -> list[str]:
    return (await programs.run(EXAMPLES / name, *arguments, env=NO_NETWORK)).splitlines()


async def test_a_memory_is_shared_by_branches_and_runs(in_empty_directory: Path) -> None:
    reads = "The other branch reads: Dates across time zones deserve the next test."
    assert await run("shared_memory.py") == ["Known from earlier runs: 0", reads]
    assert await run("shared_memory.py") == ["Known from earlier runs: 1", reads]
    left = {path.name for path in in_empty_directory.iterdir()}  # noqa: ASYNC240 - a few names
    assert {name for name in left if not name.startswith("shared-memory.db")} == set()


async def test_a_tools_result_is_told_in_a_later_turn(in_empty_directory: Path) -> None:
    measured, noted, answer, told, kept = await run("tools_and_recall.py")
    text = (EXAMPLES / "tools_and_recall.py").read_text(encoding="utf-8")
    lines = len(text.splitlines())
    assert measured.endswith(f"{{'path': 'tools_and_recall.py', 'lines': {lines}}}")
    assert noted.startswith("memory_store returned {'stored': 'aqe/notes/counter/done'")
    assert answer == "I was told its length, and where that comes from."
    assert told == "It was told before by: fleet-recall"
    assert kept.startswith("aqe/knowledge/examples/tools_and_recall.py/")
    assert kept.endswith(f'{{"path":"tools_and_recall.py","lines":{lines}}}')
    assert not any(in_empty_directory.iterdir())  # noqa: ASYNC240 - it is empty


async def test_a_conversation_goes_on_with_each_run(sqlite_url: str) -> None:
    started, first, held, second, messages = await run("resumed_conversation.py", sqlite_url)
    assert (started, first, second) == ("Started", "Start with the login.", "With the login.")
    assert held.startswith("Nobody else can have it now: conversation 'plan':")
    assert messages == "5 messages"
    again = await run("resumed_conversation.py", sqlite_url)
    assert (again[0], again[-1]) == ("Resumed, with 5 messages", "9 messages")
