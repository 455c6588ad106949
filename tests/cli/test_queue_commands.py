"""``aqe queue`` as a user calls it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from lionagi_qe import open_memory
from lionagi_qe.cli.main import main
from lionagi_qe.coordination import NewJob, WorkQueue

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    monkeypatch.setenv("LIONAGI_QE_MEMORY", url)
    return url


@pytest.fixture
def dead(url: str) -> list[str]:
    """Three dead jobs in "reviews", and others in each state."""

    async def fill() -> list[str]:
        async with open_memory(url, cleanup_interval=None) as memory:
            reviews = WorkQueue(memory, "reviews", max_attempts=1)
            ids = await reviews.put_many([{"file": f"{at}.py"} for at in range(3)])
            for job in await reviews.claim(3):
                await job.fail("no such file")
            await reviews.put_many(["ready", "done", "claimed", NewJob("later", delay=60)])
            (job,) = await reviews.claim()
            await job.ack()
            await reviews.claim()
            await WorkQueue(memory, "empty").put_many([])
            await WorkQueue(memory, "builds").put(1)
            return sorted(ids)

    return asyncio.run(fill())


def aqe(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["queue", *arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_queues_are_listed_and_counted(dead: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert dead
    wanted = {"ready": 1, "delayed": 1, "claimed": 1, "done": 1, "dead": 3, "exact": True}
    assert json.loads(aqe(capsys, "stats", "reviews", "--json")[1]) == wanted
    code, shown, _ = aqe(capsys, "stats", "reviews")
    assert code == 0
    assert "dead     3\n" in shown
    listed = json.loads(aqe(capsys, "ls", "--json")[1])
    assert list(listed) == ["builds", "reviews"]
    assert listed["reviews"] == wanted
    assert aqe(capsys, "ls")[1].splitlines()[1].endswith("  reviews")


def test_dead_jobs_are_shown_retried_and_purged(
    dead: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown, _ = aqe(capsys, "dead", "reviews")
    assert code == 0
    assert '\t1\tno such file\t{"file": "' in shown
    assert [line.split("\t")[0] for line in shown.splitlines()] == dead
    (second,) = json.loads(
        aqe(capsys, "dead", "reviews", "--limit", "1", "--after", dead[0], "--json")[1]
    )
    assert (second["id"], second["error"], second["attempts"]) == (dead[1], "no such file", 1)
    assert aqe(capsys, "retry", "reviews", dead[0])[:2] == (0, "ready again: 1 of 1\n")
    assert aqe(capsys, "retry", "reviews", dead[0], dead[1])[:2] == (1, "ready again: 1 of 2\n")
    assert aqe(capsys, "purge", "reviews", "--all")[:2] == (0, "removed: 1\n")
    assert aqe(capsys, "dead", "reviews")[:2] == (0, "")


@pytest.mark.parametrize("arguments", [["reviews"], ["reviews", "some-id", "--all"]])
def test_which_jobs_are_meant_must_be_said(
    url: str, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, _, complaint = aqe(capsys, "purge", *arguments)
    assert code == 2
    assert complaint.startswith("aqe: ")
    assert "--all" in complaint
