"""A seeded memory, its console over HTTP without a socket, and a browser for the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from tests.backends import on, url_of
from tests.web.chromium import require
from tests.web.seeding import seeded
from tests.web.served import TOKEN

from lionagi_qe import open_memory
from lionagi_qe.web import app

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from playwright.async_api import Browser

    from lionagi_qe.persistence import Memory

ORIGIN = "http://console.test"


@pytest.fixture(params=on("sqlite"))
async def memory(request: pytest.FixtureRequest) -> AsyncGenerator[Memory]:
    async with open_memory(url_of(request)) as memory, seeded(memory):
        yield memory


def client_of(memory: Memory, **settings: object) -> httpx.AsyncClient:
    """Return a browser without a window: it keeps cookies and says where it comes from."""
    console = app(memory, **settings)  # pyright: ignore[reportArgumentType]
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(console), base_url=ORIGIN, headers={"origin": ORIGIN}
    )


@pytest.fixture
async def client(memory: Memory) -> AsyncGenerator[httpx.AsyncClient]:
    """Whoever looks."""
    async with client_of(memory) as client:
        yield client


@pytest.fixture
async def editor(memory: Memory) -> AsyncGenerator[httpx.AsyncClient]:
    """Whoever has signed in to a console that lets change."""
    async with client_of(memory, token=TOKEN, write=True) as client:
        answer = await client.post("/login", data={"token": TOKEN})
        assert answer.status_code == 303
        yield client


@pytest.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    """One Chromium for all tests of the session."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(require()))
        yield browser
        await browser.close()
