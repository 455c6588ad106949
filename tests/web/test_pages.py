"""What pages show: all of it escaped and without secrets, page by page, on every backend."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.backends import SHARED, on, url_of
from tests.web.conftest import client_of
from tests.web.seeding import PASSWORD, PLANTED, PROJECT, RUNS, TESTS, seeded
from tests.web.served import served

from lionagi_qe import open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.display import visible
from lionagi_qe.web import app

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from lionagi_qe.persistence import Memory

STATES = ("ready", "delayed", "claimed", "done", "dead", "cancelled", "scheduled", "batches")
HOSTILE_TEST = list(TESTS)[-1]
PAGES = [
    "/",
    "/figures",
    "/queues",
    *(f"/queue?name=reviews&state={state}" for state in STATES),
    f"/queue?name={quote(PLANTED[:60])}",
    "/leases",
    "/memory",
    "/memory?prefix=aqe/notes/",
    "/memory?q=notes",
    "/entry?key=aqe/settings/database",
    "/recall",
    "/recall?index=notes&q=script",
    "/watch",
    "/projects",
    f"/project?name={PROJECT}",
    f"/project?name={PROJECT}&show=failing",
    f"/test?project={PROJECT}&id={quote(HOSTILE_TEST)}",
    "/learning",
    "/login",
]


@pytest.fixture(params=on(*SHARED))
async def anywhere(request: pytest.FixtureRequest) -> AsyncGenerator[Memory]:
    async with open_memory(url_of(request), fleet="console") as memory, seeded(memory):
        yield memory


async def test_every_page_shows_what_is_hostile_as_text_and_no_secrets(anywhere: Memory) -> None:
    shown = 0
    async with client_of(anywhere) as client:
        keys = await anywhere.list_keys("aqe/notes/")
        dead = (await WorkQueue(anywhere, "reviews").dead(1))[0].id
        addresses = [*PAGES, f"/entry?key={quote(keys[0])}", f"/job?name=reviews&id={dead}"]
        for address in addresses:
            answer = await client.get(address)
            assert answer.status_code == 200, (address, answer.text)
            assert "<script>document" not in answer.text, address
            assert "<img" not in answer.text, address
            assert "\u202e" not in answer.text, address
            assert PASSWORD not in answer.text, address
            shown += visible(PLANTED)[:40] in unescape(answer.text)
    assert shown > len(addresses) / 3


async def test_a_list_is_read_page_by_page(client: httpx.AsyncClient) -> None:
    for address, count in (
        ("/memory?prefix=aqe/plans/", 60),
        ("/memory?q=plans", 60),
        ("/queue?name=reviews&state=ready", 60),
    ):
        rows: list[str] = []
        following: str | None = address
        while following is not None:
            page = (await client.get(following)).text
            body = page.split("<tbody>")[-1]
            rows += re.findall(r'<th scope="row">\s*<a[^>]*>([^<]+)', body)
            found = re.search(r'rel="next" href="([^"]+)"', page)
            following = None if found is None else unescape(found[1])
        assert len(rows) == len(set(rows)) == count, address


async def test_a_batch_is_shown_with_what_became_of_its_jobs(client: httpx.AsyncClient) -> None:
    page = (await client.get("/queue?name=batched&state=batches")).text
    figures = re.findall(r'data-label="(Pending|Done|Dead|Cancelled|Of)">(\d+)', page)
    assert figures == [*zip(("Pending", "Done", "Dead", "Cancelled", "Of"), "10012", strict=True)]
    assert "all-succeeded" in page
    callback = re.search(r'href="([^"]*/job\?[^"]+)"', page)
    assert callback is not None
    job = (await client.get(unescape(callback[1]))).text
    assert re.search(r"<dt>Batch</dt><dd[^>]*>\w+", job)
    other = (await client.get("/queue?name=batched")).text
    member = re.search(r'href="([^"]*/job\?[^"]+)"', other)
    assert member is not None
    assert "<dt>Batch</dt>" in (await client.get(unescape(member[1]))).text


async def test_a_search_is_by_pattern_by_beginning_or_by_part(client: httpx.AsyncClient) -> None:
    for wanted, found in (("aqe/plans/v0?", 10), ("aqe/plans/v0", 10), ("lans/v59", 1), ("zz", 0)):
        page = (await client.get("/memory", params={"q": wanted})).text
        assert page.count('<th scope="row">') == found, wanted


async def test_why_a_job_is_dead_and_when_a_test_first_failed_can_be_read(
    client: httpx.AsyncClient,
) -> None:
    queue = (await client.get("/queue?name=reviews")).text
    assert "TimeoutError: no answer after 32 s from https://bot:***@api.test" in queue
    assert 'aria-current="page">Dead <b class="bad">3' in queue
    dead = re.search(r'href="([^"]*/job\?[^"]+)"', queue)
    assert dead is not None
    job = (await client.get(unescape(dead[1]))).text
    told = r"Attempt 1, .*, on .*:\d+</span>, after [0-9.]+ s: TimeoutError: no answer"
    assert re.search(told, job, re.DOTALL)
    assert "Traceback (most recent call last):" in job
    assert "hunter2" not in job
    failing = (await client.get(f"/project?name={PROJECT}&show=failing")).text
    assert "test_discount" in failing
    assert "test_total" not in failing
    test = await client.get("/test", params={"project": PROJECT, "id": list(TESTS)[1]})
    assert re.search(r"First failed</dt><dd>2026-08-04 10:15:00", test.text)
    assert f"3 of {len(RUNS)} kept runs" in test.text
    assert "How it failed last" in test.text
    assert re.search(r"<pre[^>]*>AssertionError: ", test.text)
    assert re.search(r"Failing since</dt><dd>2026-[^<]* \(\d runs?\)<", test.text)


async def test_what_is_not_there_says_so(client: httpx.AsyncClient) -> None:
    for address, status, said in (
        ("/nosuch", 404, "no such page"),
        ("/entry", 400, "lacks &#39;key&#39;"),
        ("/entry?key=aqe/gone", 404, "no such entry"),
        ("/entry?key=elsewhere", 400, "keys start with"),
        ("/queue?name=gone", 404, "gone"),
        ("/queue?name=reviews&state=lost", 400, "ready, delayed"),
        ("/queue?name=reviews&state=ready&after=x", 400, "after"),
        ("/job?name=reviews&id=gone", 404, "no such job"),
        ("/project?name=gone", 404, "No figures"),
        ("/test?project=shop&id=gone", 404, "No run of this project"),
        ("/recall?index=gone&q=x", 404, "not declared"),
        ("/memory?q=[", 400, "never closed"),
        ("/news?pattern=[", 400, "never closed"),
    ):
        answer = await client.get(address)
        assert (answer.status_code, said in answer.text) == (status, True), address


async def test_monitors_get_health_and_figures(client: httpx.AsyncClient) -> None:
    health = await client.get("/healthz")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    metrics = (await client.get("/metrics")).text
    assert 'aqe_jobs{queue="reviews",state="dead"} 3' in metrics
    assert "aqe_members 3" in metrics
    assert all(re.fullmatch(r"#.*|aqe_\w+(\{.*\})? \d+", line) for line in metrics.splitlines())


async def test_where_the_memory_does_not_answer_that_is_told(tmp_path: Path) -> None:
    memory = open_memory(f"sqlite:///{tmp_path}/memory.db")
    await memory.open()
    await memory.close()
    async with client_of(memory) as client:
        assert (await client.get("/healthz")).status_code == 503
        for address in ("/", "/metrics", "/entry?key=aqe/a"):
            answer = await client.get(address)
            assert (answer.status_code, "closed" in answer.text) == (503, True), address


async def test_it_can_be_mounted_below_a_prefix(memory: Memory) -> None:
    outer = Starlette(routes=[Mount("/console", app(memory))])
    transport = httpx.ASGITransport(outer)
    async with httpx.AsyncClient(transport=transport, base_url="http://host.test") as client:
        for address in PAGES:
            answer = await client.get(f"/console{address}")
            assert answer.status_code == 200, address
            own = re.findall(r'(?:href|src|action|data-news)="([^"#]+)"', answer.text)
            assert all(each.startswith("/console/") for each in own), (address, own)
        assert (
            'href="/console/queues" aria-current="page"'
            in (await client.get("/console/queues")).text
        )


@pytest.mark.parametrize("kept", ["", "/aqe"])
async def test_it_works_behind_a_proxy_that_takes_the_prefix_off_and_one_that_leaves_it(
    memory: Memory, kept: str
) -> None:
    async with served(memory, root_path="/aqe") as address, httpx.AsyncClient() as client:
        page = await client.get(f"{address.removesuffix('/aqe/')}{kept}/queues")
        assert page.status_code == 200
        assert 'href="/aqe/queues" aria-current="page"' in page.text
        style = re.search(r'href="(/aqe/static/console.css[^"]*)"', page.text)
        assert style is not None
        styles = await client.get(
            f"{address.removesuffix('/aqe/')}{style[1].removeprefix('/aqe' if not kept else '')}"
        )
        assert styles.status_code == 200


async def test_a_change_is_told_while_the_page_is_open(memory: Memory) -> None:
    async with (
        served(memory) as address,
        httpx.AsyncClient() as client,
        client.stream("GET", f"{address}changes?pattern=aqe/plans/*") as stream,
    ):
        lines = stream.aiter_lines()
        assert await anext(lines) == ": connected"
        await memory.store("aqe/plans/v99", PLANTED)
        told = [await anext(lines) for _ in range(3)]
        assert told[1] == "event: change"
        assert '"key": "aqe/plans/v99"' in told[2]
        assert "\u202e" not in told[2]
