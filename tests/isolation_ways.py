"""What isolates programs in tests: bubblewrap, or the engines that ``make containers`` names."""

from __future__ import annotations

import os

import pytest

from lionagi_qe.agents.project.isolation import WAY_VARIABLE

ASKED_FOR = "AQE_CONTAINERS"
WAYS = tuple(filter(None, os.environ.get(ASKED_FOR, "").split(","))) or ("bubblewrap",)


@pytest.fixture(autouse=True, params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How programs are isolated in a test."""
    monkeypatch.setenv(WAY_VARIABLE, request.param)
    return request.param
