"""Memories on every backend, and a clean place to run in."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import tiktoken
import tiktoken.registry
from lionagi import Branch, iModel
from tests.backends import on, url_of

from lionagi_qe import open_memory
from lionagi_qe.agents.base import Findings
from lionagi_qe.agents.metric import Source
from lionagi_qe.fleet.run_history import RunHistory
from lionagi_qe.testing.conformance.base import erase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from lionagi_qe import Memory
    from lionagi_qe.testing.openai_server import ChatServer


@pytest.fixture(autouse=True)
def in_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of every test here; what a framework leaves behind shows in it."""
    home = tmp_path / "cwd"
    home.mkdir()
    monkeypatch.chdir(home)
    return home


@pytest.fixture(autouse=True)
def tokens_are_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """LionAGI's encoding, preset so that none is downloaded: each byte is a token."""
    encoding = tiktoken.Encoding(
        "o200k_base",
        pat_str=r"[\s\S]+",
        mergeable_ranks={bytes([value]): value for value in range(256)},
        special_tokens={"<|endoftext|>": 256},
    )
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "o200k_base", encoding)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'memory.db'}"


@pytest_asyncio.fixture
async def sqlite_memory(sqlite_url: str) -> AsyncIterator[Memory]:
    async with open_memory(sqlite_url) as memory:
        yield memory


@pytest_asyncio.fixture(params=on("sqlite", "postgresql", "redis"))
async def memory(request: pytest.FixtureRequest) -> AsyncIterator[Memory]:
    """An empty memory, on each backend in turn."""
    async with open_memory(url_of(request), fleet=f"test-{uuid.uuid4().hex}") as opened:
        yield opened
        await erase(opened)


# What a fleet recorded


@pytest.fixture
def gaps() -> list[dict[str, Any]]:
    """Coverage gaps as the analyzer ranks them."""
    return [
        {
            "file": "shop/cart.py",
            "function": "Cart.total",
            "line": 12,
            "missed_lines": [14, 15, 16],
            "lines": 9,
            "missed_branches": 1,
            "complexity": 4,
        },
        {
            "file": "shop/pay.py",
            "function": "refund",
            "line": 40,
            "missed_lines": [44],
            "lines": 5,
            "missed_branches": 0,
            "complexity": 2,
        },
    ]


@pytest.fixture
def record_run() -> Callable[..., Awaitable[None]]:
    """A function that records a run of two tests by the fleet's own Ledger."""

    async def record(
        memory: Memory,
        run: str,
        *,
        project: str = "shop",
        login: str = "passed",
        gaps: list[dict[str, Any]] | None = None,
        coverage: float = 81.5,
    ) -> None:
        pytest_ = Source("pytest", "8.4", "python -m pytest", "c0ffee")
        coverage_py = Source("coverage.py", "7.10", "python -m coverage run", "c0ffee")
        tests = [
            {"id": "tests/test_login.py::test_login", "outcome": login, "seconds": 0.5},
            {"id": "tests/test_cart.py::test_total", "outcome": "passed", "seconds": 0.1},
        ]
        executor = Findings(
            "test-executor",
            (pytest_.measured("tests_collected", 2, "tests"),),
            details={"tests": tests},
        )
        analyzer = Findings(
            "coverage-analyzer",
            (
                coverage_py.measured("line_coverage", coverage, "%"),
                coverage_py.unmeasured("gaps", "functions", "coverage.py is too old")
                if gaps is None
                else coverage_py.measured("gaps", gaps, "functions"),
            ),
        )
        findings = {found.agent: found for found in (executor, analyzer)}
        await RunHistory(memory, project).record(run, findings, {})

    return record


# Models on the loopback server


@pytest.fixture
def branch_of() -> Callable[..., Branch]:
    """A function that makes a Branch whose model is a ChatServer; it leaves no logs behind."""

    def make(server: ChatServer, **settings: Any) -> Branch:
        model = iModel(
            provider="openai",
            model="scripted",
            base_url=server.url,
            api_key="dummy-key-for-loopback",
            allow_local_network=True,
            requires_tokens=False,
            **settings.pop("model", {}),
        )
        return Branch(chat_model=model, log_config={"auto_save_on_exit": False}, **settings)

    return make
