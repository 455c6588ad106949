"""What encrypted memories compute themselves, on real servers; `make encrypted` has all of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.backends import on_every_backend

from lionagi_qe import KeyRing, open_memory
from lionagi_qe.testing.conformance.lease import LeaseConformance
from lionagi_qe.testing.conformance.numbers import NumbersConformance
from lionagi_qe.testing.conformance.transactions import TransactionConformance

if TYPE_CHECKING:
    from lionagi_qe.testing.conformance import Connect

pytestmark = pytest.mark.integration
opening = partial(open_memory, keys=KeyRing.parse(KeyRing.generate("test")))


class EncryptedConformance(NumbersConformance, TransactionConformance, LeaseConformance):
    """The parts in which encryption does more than to seal and to open."""


made = on_every_backend(EncryptedConformance, options="?colocate=1", opening=opening)
# Private memories are SQLite's.
del made["TestPrivateMemory"]
globals().update(made)


@pytest.mark.postgres
@pytest.mark.redis
class TestHybridMemory(NumbersConformance, TransactionConformance):
    @pytest.fixture
    def connect(self, postgres_url: str, redis_url: str) -> Connect:
        return partial(opening, postgres_url, cache=redis_url)
