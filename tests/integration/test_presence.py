"""Presence and sessions over every backend, on real servers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.backends import on_every_backend

from lionagi_qe import open_memory
from lionagi_qe.testing.conformance.presence import PresenceConformance

if TYPE_CHECKING:
    from lionagi_qe.testing.conformance import Connect

pytestmark = pytest.mark.integration


globals().update(on_every_backend(PresenceConformance))


@pytest.mark.postgres
@pytest.mark.redis
class TestHybridMemory(PresenceConformance):
    @pytest.fixture
    def connect(self, postgres_url: str, redis_url: str) -> Connect:
        return partial(open_memory, postgres_url, cache=redis_url)
