"""A project's last runs, however many there are."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import TYPE_CHECKING

from tests.web.seeding import PROJECT, RUNS

from lionagi_qe import open_memory
from lionagi_qe.agents.metric import Source
from lionagi_qe.fleet.trends import last_runs

if TYPE_CHECKING:
    import httpx

    from lionagi_qe.persistence import Memory

SOURCE = Source("coverage.py", "7.10", None, None)


async def test_the_last_runs_are_found_among_many_and_among_few_old_ones() -> None:
    now = datetime.now(UTC)
    begun = [now - timedelta(minutes=at) for at in range(30)]
    begun += [now - timedelta(days=20 * at) for at in range(1, 30)]
    runs = sorted(f"{each:%Y%m%dT%H%M%S.%fZ}-{at:06x}" for at, each in enumerate(begun))
    async with open_memory("memory://") as memory:
        await memory.store_many(
            {
                f"aqe/runs/{project}/{run}/coverage-analyzer/{name}": asdict(
                    SOURCE.measured(name, at, "%")
                )
                for project, some in (("busy", runs), ("old", runs[:3]), ("busy-too", runs[:1]))
                for at, run in enumerate(some)
                for name in ("line_coverage", "branch_coverage")
            }
        )
        await memory.store("aqe/runs/busy/latest", runs[-1])
        for count in (1, 10, 40, 1_000):
            found = await last_runs(memory, "busy", count)
            assert [run.id for run in found] == runs[-count:]
            assert len(found[0].metrics["coverage-analyzer"]) == 2
        assert [run.id for run in await last_runs(memory, "old", 10)] == runs[:3]
        assert await last_runs(memory, "none", 10) == []


def failures(page: str) -> str:
    """Return the part of a project's page that tells of failures, as people read it."""
    return unescape(page.partition('id="failures"')[2].partition("</section>")[0])


async def test_failures_of_the_last_run_are_shown_as_one_where_they_are_and_where_they_were_before(
    client: httpx.AsyncClient,
) -> None:
    shown = failures((await client.get(f"/project?name={PROJECT}")).text)
    assert "commit 0123abc" in shown
    assert "1 test: AssertionError: " in shown
    assert "id=tests%2Ftest_cart.py%3A%3Atest_discount" in shown
    assert (
        f"seen before: run {RUNS[4]} at 0123abc, and 1 more since 2026-08-04 10:15:00 UTC "
        f"(run {RUNS[3]}); gone in run "
        f"{RUNS[4]}, with one commit between: 4567def."
    ) in shown
    assert "30 tests that fail alike: TimeoutError: no answer" in shown
    assert "and 10 more" in shown
    assert "Not seen in the runs before that are kept." in shown


async def test_what_a_run_found_may_be_gone_or_of_another_version_or_nothing(
    memory: Memory, client: httpx.AsyncClient
) -> None:
    address = f"/project?name={PROJECT}"
    (key,) = await memory.list_keys(f"aqe/details/{PROJECT}/")
    await memory.store(key, {"schema": 99})
    assert "by another version of aqe" in failures((await client.get(address)).text)
    await memory.store(key, {"schema": 1, "parts": 1, "packed": "junk"})
    assert "by another version of aqe" in failures((await client.get(address)).text)
    await memory.delete(key)
    assert "not kept any more" in failures((await client.get(address)).text)
    figure = asdict(SOURCE.measured("failure_groups", 0, "failures"))
    await memory.store(f"aqe/runs/{PROJECT}/{RUNS[-1]}/test-executor/failure_groups", figure)
    assert "No test failed in it." in failures((await client.get(address)).text)


def gap(function: str, *missed: int) -> dict[str, object]:
    return {
        "file": "src/cart.py",
        "function": function,
        "line": 7,
        "missed_lines": list(missed),
        "lines": 9,
        "missed_branches": 1,
    }


async def test_what_the_last_run_left_untested_is_shown_with_what_of_it_is_new(
    memory: Memory, client: httpx.AsyncClient
) -> None:
    address = f"/project?name={PROJECT}"
    for run, gaps in (
        (RUNS[-4], [gap("refund", 8, 9)]),
        (RUNS[-3], [gap("total", 8)]),
        (RUNS[-2], [gap("total", 8), gap("refund", 8, 9)]),
        (RUNS[-1], [gap("total", 8), gap("refund", 8, 9, 10), gap("discount", 8), 7, {"file": 1}]),
    ):
        figure = asdict(SOURCE.measured("gaps", gaps, "functions"))
        await memory.store(f"aqe/runs/{PROJECT}/{run}/coverage-analyzer/gaps", figure)
    page = (await client.get(address)).text.partition('id="untested"')[2].partition("</section>")[0]
    rows = re.findall(r"<code>(\w+)</code></th>.*?>(new|2026[^<]*)<", page)
    assert rows == [
        ("refund", "new"),
        ("discount", "new"),
        ("total", "2026-08-04 10:15:00 (3 runs)"),
    ]
    assert "src/cart.py:7" in page
    assert "3 of 9 lines, 1 branch" in page
