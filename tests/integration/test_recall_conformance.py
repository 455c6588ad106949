"""Recall on every backend, on real servers, and in front of a cache."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.backends import on_every_backend

from lionagi_qe import open_memory
from lionagi_qe.testing.conformance.recall import RecallConformance

if TYPE_CHECKING:
    from pathlib import Path

    from lionagi_qe.testing.conformance import Connect

pytestmark = pytest.mark.integration

globals().update(on_every_backend(RecallConformance))


@pytest.mark.redis
class TestHybridMemory(RecallConformance):
    @pytest.fixture
    def connect(self, tmp_path: Path, redis_url: str) -> Connect:
        return partial(open_memory, f"sqlite:///{tmp_path}/memory.db", cache=redis_url)
