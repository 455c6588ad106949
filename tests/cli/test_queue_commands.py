"""``aqe queue`` as a user calls it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from tests.json_documents import check

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
    words = ["queue", *arguments]
    code = main(words)
    output = capsys.readouterr()
    check(words, output.out.encode())
    return code, output.out, output.err


def test_queues_are_listed_and_counted(dead: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert dead
    wanted = {"ready": 1, "delayed": 1, "claimed": 1, "done": 1, "dead": 3, "cancelled": 0}
    wanted |= {"waiting": 0, "exact": True}
    assert json.loads(aqe(capsys, "stats", "reviews", "--json")[1]) == wanted
    code, shown, _ = aqe(capsys, "stats", "reviews")
    assert code == 0
    assert "dead      3\n" in shown
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


def test_jobs_are_shown_and_cancelled(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def fill() -> tuple[str, str]:
        async with open_memory(url, cleanup_interval=None) as memory:
            builds = WorkQueue(memory, "builds")
            running = await builds.put({"number": 7}, priority=-1)
            waiting = await builds.put({"number": 8})
            (job,) = await builds.claim()
            await job.progress({"percent": 40})
            return running, waiting

    running, waiting = asyncio.run(fill())
    code, shown, _ = aqe(capsys, "show", "builds", running)
    assert code == 0
    assert 'progress      {"percent": 40}\n' in shown
    assert "due_at " in shown
    assert "batch_id" not in shown
    code, shown, _ = aqe(capsys, "cancel", "builds", running, waiting)
    assert (code, shown) == (0, f"{running}\tcancelling\n{waiting}\tcancelled\n")
    status = json.loads(aqe(capsys, "show", "builds", running, "--json")[1])
    assert (status["state"], status["payload"]) == ("cancelling", {"number": 7})
    assert aqe(capsys, "cancel", "builds", waiting, "x")[:2] == (
        1,
        f"{waiting}\tcancelled\nx\tunknown\n",
    )
    code, _, complaint = aqe(capsys, "show", "builds", "x")
    assert (code, complaint) == (1, "aqe: queue 'builds' has no job 'x', or not any more\n")


def test_dead_jobs_are_counted_by_reason(
    dead: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert aqe(capsys, "dead", "reviews", "--group")[:2] == (
        0,
        f"       3  no such file  (first: {dead[0]})\n",
    )
    (group,) = json.loads(aqe(capsys, "dead", "reviews", "--group", "--json", "--limit", "2")[1])
    assert (group["reason"], group["count"], group["last"]["id"]) == ("no such file", 2, dead[1])


def test_limits_are_set_listed_and_taken_away(
    dead: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert dead
    assert aqe(capsys, "limits", "mails") == (0, "", "")
    made = ["limit", "mails", "--concurrency", "4", "--rate", "100", "--period", "60"]
    assert aqe(capsys, *made)[1] == "queue\t4 at once; 100 each 60 s, 1 of them at once\n"
    assert aqe(capsys, "limit", "mails", "--per", "key", "--concurrency", "1")[0] == 0
    assert aqe(capsys, "limits", "mails")[1].splitlines()[1] == "key\t1 at once"
    assert aqe(capsys, "limit", "mails", "--off")[1] == "queue\tno limit\n"
    (left,) = json.loads(aqe(capsys, "limits", "mails", "--json")[1])
    assert (left["per"], left["concurrency"], left["rate"]) == ("key", 1, None)


@pytest.mark.parametrize(
    "options", [[], ["--off", "--rate", "5"], ["--rate", "5", "--burst", "6"], ["--per", "x"]]
)
def test_a_limit_that_cannot_be_is_refused(
    dead: list[str], options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert dead
    code, _, complaint = aqe(capsys, "limit", "mails", *options)
    assert code > 1
    assert complaint
    assert aqe(capsys, "limits", "mails") == (0, "", "")


def test_batches_are_listed_shown_and_cancelled(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def put() -> str:
        async with open_memory(url, cleanup_interval=None) as memory:
            queue = WorkQueue(memory, "builds")
            batch = await queue.batch([1, 2, 3], then="call", when="all-done")
            (job,) = await queue.claim()
            await job.ack()
            return batch.id

    batch_id = asyncio.run(put())
    (found,) = json.loads(aqe(capsys, "batches", "builds", "--json")[1])
    assert found == json.loads(aqe(capsys, "batch", "builds", batch_id, "--json")[1])
    assert (found["id"], found["total"], found["pending"], found["done"]) == (batch_id, 3, 2, 1)
    assert aqe(capsys, "batches", "builds")[1] == (
        f"{batch_id}\twaiting\t1 of 3: 1 done, 0 dead, 0 cancelled\n"
    )
    assert "pending      2\n" in aqe(capsys, "batch", "builds", batch_id)[1]
    assert aqe(capsys, "cancel-batch", "builds", batch_id) == (
        0,
        f"{batch_id}\tcancelled\t3 of 3: 1 done, 0 dead, 2 cancelled\n",
        "",
    )
    for command in ("batch", "cancel-batch"):
        code, _, complaint = aqe(capsys, command, "builds", "nosuch")
        assert (code, "batch nosuch: queue 'builds' doesn't know it" in complaint) == (1, True)


def test_schedules_are_made_listed_and_removed(
    dead: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert dead
    made = ["schedule", "builds", "nightly", "--cron", "0 3 * * *", "--timezone", "Europe/Oslo"]
    code, shown, _ = aqe(capsys, *made, "--payload", '{"of": "shop"}', "--missed", "skip")
    assert (code, shown[:22]) == (0, "nightly: due next at 2")
    (found,) = json.loads(aqe(capsys, "schedules", "builds", "--json")[1])
    assert (found["payload"], found["missed"]) == ({"of": "shop"}, "skip")
    assert "\t0 3 * * * Europe/Oslo\t" in aqe(capsys, "schedules", "builds")[1]
    assert aqe(capsys, "unschedule", "builds", "nightly")[0] == 0
    code, _, complaint = aqe(capsys, "unschedule", "builds", "nightly")
    assert (code, "no schedule 'nightly'" in complaint) == (1, True)
    assert aqe(capsys, "schedules", "builds") == (0, "", "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cron", "61 * * * *"], "minute"),
        (["--cron", "0 3 * * *", "--timezone", "Mars/Olympus"], "IANA"),
        (["--cron", "0 3 * * *", "--payload", "{of: shop}"], "--payload"),
    ],
)
def test_a_schedule_that_cannot_be_read_is_refused(
    dead: list[str], options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dead
    code, _, complaint = aqe(capsys, "schedule", "builds", "nightly", *options)
    assert (code, words in complaint) == (2, True), complaint


def test_what_waits_for_others_is_counted_and_shown(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fill() -> list[str]:
        async with open_memory(url, cleanup_interval=None) as memory:
            return await WorkQueue(memory, "reviews").chain(["first", "second"])

    first, second = asyncio.run(fill())
    assert "1 waiting" in aqe(capsys, "ls")[1]
    found = json.loads(aqe(capsys, "show", "reviews", second, "--json")[1])
    assert (found["after"], found["batch_id"]) == ({first: "waiting"}, None)
    assert "waiting" in aqe(capsys, "show", "reviews", second)[1]
    assert aqe(capsys, "cancel", "reviews", first)[0] == 0
    code, shown, _ = aqe(capsys, "show", "reviews", second)
    assert code == 0
    assert f"comes after job {first}, which is cancelled" in shown
