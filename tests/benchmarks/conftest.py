"""Fixtures of the benchmarks: each server in turn, and how much is measured."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.backends import on, url_of

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether to measure at full size, as ``make bench`` does (``AQE_BENCH_FULL=1``)."""
    return os.environ.get("AQE_BENCH_FULL", "0") not in {"", "0"}


@pytest.fixture(scope="session", params=on("sqlite", "postgresql", "redis"))
def bench_url(request: pytest.FixtureRequest) -> str:
    """The URL of each server in turn."""
    return url_of(request)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """What is told of progress; nobody listens."""
    return lambda _: None
