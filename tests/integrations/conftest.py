"""Memories on every backend, and a clean place to run in."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from lionagi_qe import open_memory
from lionagi_qe.testing.conformance.base import erase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lionagi_qe import Memory

BACKENDS = [
    "sqlite",
    pytest.param("postgres", marks=[pytest.mark.integration, pytest.mark.postgres]),
    pytest.param("redis", marks=[pytest.mark.integration, pytest.mark.redis]),
]


@pytest.fixture(autouse=True)
def in_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of every test here; what a framework leaves behind shows in it."""
    home = tmp_path / "cwd"
    home.mkdir()
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'memory.db'}"


@pytest_asyncio.fixture
async def sqlite_memory(sqlite_url: str) -> AsyncIterator[Memory]:
    async with open_memory(sqlite_url) as memory:
        yield memory


@pytest_asyncio.fixture(params=BACKENDS)
async def memory(request: pytest.FixtureRequest, sqlite_url: str) -> AsyncIterator[Memory]:
    """An empty memory, on each backend in turn."""
    url = sqlite_url
    if request.param != "sqlite":
        url = request.getfixturevalue(f"{request.param}_url")
    async with open_memory(url, fleet=f"test-{uuid.uuid4().hex}") as opened:
        yield opened
        await erase(opened)
