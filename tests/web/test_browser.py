"""The console in a real browser: live parts, forms, hostile text, accessibility, small screens.

In one file, so that one worker has the browser.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.async_playwright import Axe
from tests.web.seeding import PLANTED
from tests.web.served import TOKEN, served
from tests.web.test_pages import PAGES

from lionagi_qe.coordination import WorkQueue
from lionagi_qe.display import visible

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from playwright.async_api import Browser, Page

    from lionagi_qe.persistence import Memory

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
SERIOUS = {"serious", "critical"}
# A part of a page, and what looks as another page does.
NOT_OPENED = {
    "/figures",
    "/memory?q=notes",
    "/project?name=shop&show=failing",
    "/queues",
    *(f"/queue?name=reviews&state={state}" for state in ("delayed", "done", "cancelled")),
}


@asynccontextmanager
async def opened(
    browser: Browser, memory: Memory, scheme: Any = "light", **settings: Any
) -> AsyncGenerator[tuple[Page, str, list[str]]]:
    """Yield a page of a served console, its address, and what went wrong in the browser."""
    context = await browser.new_context(color_scheme=scheme, **settings)
    page = await context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    async with served(memory, write=True) as address:
        yield page, address.rstrip("/"), wrong
        await context.close()


async def is_live(page: Page) -> None:
    await page.locator("#live-state.is-live").wait_for()


async def test_a_page_shows_what_changed_by_itself_and_leaves_what_is_chosen(
    browser: Browser, memory: Memory
) -> None:
    async with opened(browser, memory) as (page, address, wrong):
        await page.goto(f"{address}/entry?key=aqe/plans/v00")
        await is_live(page)
        await memory.store("aqe/plans/v00", {"step": PLANTED})
        await page.locator("pre", has_text="planted").wait_for()

        await page.goto(f"{address}/queues")
        await is_live(page)
        await WorkQueue(memory, "new queue").put(1)
        await page.locator("th a", has_text="new queue").wait_for()

        (job,) = await WorkQueue(memory, "new queue").claim()
        await page.goto(f"{address}/job?name=new%20queue&id={job.id}")
        await is_live(page)
        await job.progress({"share": PLANTED})
        await page.locator("pre", has_text="share").wait_for()
        await job.ack()

        await page.goto(f"{address}/memory?prefix=aqe/plans/")
        await is_live(page)
        await page.focus("#q")
        await page.keyboard.type("half a wor")
        await memory.store("aqe/plans/a-new-one", PLANTED)
        await page.locator("th a", has_text="a-new-one").wait_for()
        assert await page.input_value("#q") == "half a wor"
        assert await page.title() == "Memory · aqe"
        assert wrong == []


async def test_changes_stream_in_as_text_and_can_be_paused(
    browser: Browser, memory: Memory
) -> None:
    async with opened(browser, memory) as (page, address, wrong):
        await page.goto(f"{address}/watch?pattern=aqe/plans/*")
        await is_live(page)
        await memory.store("aqe/plans/v00", PLANTED)
        await memory.delete("aqe/plans/v01")
        await page.locator("#changes tbody tr").nth(1).wait_for()
        rows = await page.locator("#changes tbody tr").all_inner_texts()
        assert "deleted" in rows[0]
        assert visible(PLANTED)[:40] in rows[1]
        await page.click("#pause")
        await memory.store("aqe/plans/v02", 2)
        await page.locator("#seen", has_text="1 not shown").wait_for()
        assert await page.locator("#changes tbody tr").count() == 2
        await page.click("#pause")
        await page.locator("#changes tbody tr").nth(2).wait_for()
        assert wrong == []


async def test_a_person_signs_in_edits_meets_a_conflict_and_purges(
    browser: Browser, memory: Memory
) -> None:
    async with opened(browser, memory) as (page, address, wrong):
        await page.goto(f"{address}/")
        await page.click("text=Sign in to change")
        await page.fill("#token", TOKEN)
        await page.keyboard.press("Enter")
        await page.locator("text=Sign out").wait_for()

        await page.goto(f"{address}/entry?key=aqe/plans/v00")
        await page.click("summary")
        await page.fill("#value", '{"step": "mine"}')
        await memory.store("aqe/plans/v00", {"step": "theirs"})
        await page.click("text=Store over revision")
        await page.locator("[role=alert]").wait_for()
        assert await memory.retrieve("aqe/plans/v00") == {"step": "theirs"}
        assert await page.input_value("#value") == '{"step": "mine"}'
        await page.click("text=Store over revision")
        await page.locator("pre", has_text="mine").wait_for()
        assert await memory.retrieve("aqe/plans/v00") == {"step": "mine"}

        await page.goto(f"{address}/queue?name=reviews&state=dead")
        await page.click("text=Purge all 3")
        await page.click("main button.danger")
        await page.locator("text=No job of this queue is dead").wait_for()
        assert (await WorkQueue(memory, "reviews").stats()).dead == 0
        # The browser tells of the conflict's status; of nothing else.
        assert all("409" in each for each in wrong)


# A desktop by day and a phone by night, in which colours are what differs.
SURROUNDINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "light": ({}, {"resultTypes": ["violations"]}),
    "dark": (PHONE, {"resultTypes": ["violations"], "runOnly": ["color-contrast", "target-size"]}),
}


@pytest.mark.parametrize("scheme", SURROUNDINGS)
async def test_every_page_is_accessible_fits_a_phone_and_breaks_no_rule_of_its_policy(
    browser: Browser, memory: Memory, scheme: str
) -> None:
    dead = (await WorkQueue(memory, "reviews").dead(1))[0].id
    pages = [path for path in PAGES if path not in NOT_OPENED]
    settings, options = SURROUNDINGS[scheme]
    async with opened(browser, memory, scheme, **settings) as (page, address, wrong):
        await page.goto(f"{address}/login")
        await page.fill("#token", TOKEN)
        await page.keyboard.press("Enter")
        await page.locator("[data-fetched]").wait_for()
        for path in [*pages, f"/job?name=reviews&id={dead}"]:
            await page.goto(f"{address}{path}", wait_until="domcontentloaded")
            found = await Axe().run(page, options=options)
            bad = [
                (each["id"], each["nodes"][0]["html"])
                for each in found.response["violations"]
                if each["impact"] in SERIOUS
            ]
            assert bad == [], path
            over = "document.documentElement.scrollWidth - window.innerWidth"
            assert await page.evaluate(over) <= 0, path
        assert wrong == []
