"""Pictures of the console's pages: ``python -m tests.web.screenshots FOLDER``.

Runs the fleet on the example project a few times, adds jobs, leases and agents, serves that memory
and takes each page on a desktop and on a phone, light and dark.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from PIL import Image
from playwright.async_api import async_playwright
from tests.web.chromium import require
from tests.web.example import example
from tests.web.served import TOKEN, served

from lionagi_qe import open_memory

if TYPE_CHECKING:
    from playwright.async_api import Browser

SIZES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
SCHEMES = ("light", "dark")
MOST_BYTES = 150_000


def pages(dead: str, test: str) -> dict[str, str]:
    """Return what is taken: name -> address."""
    return {
        "fleet": "/",
        "queues": "/queues",
        "queue-dead": "/queue?name=reviews",
        "queue-ready": "/queue?name=reviews&state=ready",
        "queue-claimed": "/queue?name=reviews&state=claimed",
        "queue-scheduled": "/queue?name=reviews&state=scheduled",
        "job": f"/job?name=reviews&id={dead}",
        "leases": "/leases",
        "memory": "/memory?prefix=aqe/",
        "memory-search": "/memory?q=release",
        "entry": "/entry?key=aqe/plans/release-7",
        "watch": "/watch",
        "projects": "/projects",
        "project": "/project?name=storefront",
        "test": f"/test?project=storefront&id={quote(test)}",
        "learning": "/learning?project=storefront",
        "sign-in": "/login",
    }


async def take(folder: Path) -> None:
    """Take all pictures into a folder."""
    with tempfile.TemporaryDirectory() as scratch:
        url = f"sqlite:///{scratch}/fleet.db"
        async with (
            open_memory(url) as memory,
            example(memory) as shown,
            served(memory, write=True, shown_url="sqlite:///fleet.db") as address,
            async_playwright() as playwright,
        ):
            browser = await playwright.chromium.launch(executable_path=str(require()))
            for size, settings in SIZES.items():
                for scheme in SCHEMES:
                    await _take_all(
                        browser,
                        address,
                        pages(shown.dead_job, shown.test),
                        {**settings, "color_scheme": scheme},
                        folder,
                        f"{size}-{scheme}",
                        memory,
                    )
            await browser.close()


async def _take_all(  # noqa: PLR0917 - of one call
    browser: Browser,
    address: str,
    wanted: dict[str, str],
    settings: dict[str, Any],
    folder: Path,
    suffix: str,
    memory: Any,
) -> None:
    context = await browser.new_context(**settings)
    page = await context.new_page()
    for name, path in wanted.items():
        if name == "queue-dead":
            await page.goto(f"{address}login")
            await page.fill("#token", TOKEN)
            await page.click("main button")
        if name == "sign-in":
            await context.clear_cookies()
        await page.goto(f"{address.rstrip('/')}{path}")
        if await page.locator("[data-news], [data-stream]").count():
            await page.locator("#live-state.is-live").wait_for()
        if name == "watch":
            for at in range(6):
                await memory.store(f"aqe/plans/release-{at}", {"step": at, "state": "deployed"})
            await page.locator("#changes tbody tr").nth(5).wait_for()
        if name == "fleet":
            await page.locator("[data-fetched]").wait_for()
        file = folder / f"{name}-{suffix}.png"
        await page.screenshot(path=str(file))
        _shrink(file)
    await context.close()


def _shrink(file: Path) -> None:
    """Save a picture of few colours as one of 128."""
    with Image.open(file) as image:
        small = image.convert("RGB").quantize(128)
    small.save(file, optimize=True)
    if file.stat().st_size > MOST_BYTES:
        sys.exit(f"{file} has {file.stat().st_size:,} bytes, which is too many for the repository")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(target))
