"""The shipped conformance of leases and queues over every backend, on real servers."""

from __future__ import annotations

import pytest
from tests.backends import on_every_backend

from lionagi_qe.testing.conformance.lease import LeaseConformance
from lionagi_qe.testing.conformance.queue import QueueConformance

pytestmark = pytest.mark.integration


class CoordinationConformance(LeaseConformance, QueueConformance):
    """All of it."""


# Keys that begin alike share a shard of a cluster, so that transactions over them are possible.
globals().update(on_every_backend(CoordinationConformance, options="?colocate=1"))
