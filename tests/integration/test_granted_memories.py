"""A part of the contract as roles that the server binds; make granted tries all that holds."""

from __future__ import annotations

import pytest
from tests.granted_memories import OnCluster, OnPostgres, OnRedis, granted_role, granting_url

from lionagi_qe.testing.conformance.expiry import ExpiryConformance
from lionagi_qe.testing.conformance.transactions import TransactionConformance

__all__ = ["granted_role", "granting_url"]


class GrantConformance(ExpiryConformance, TransactionConformance):
    """What changes entries, queues and leases together, and what time does to them."""


@pytest.mark.postgres
class TestPostgresRole(OnPostgres, GrantConformance):
    pass


@pytest.mark.redis
class TestRedisUser(OnRedis, GrantConformance):
    pass


@pytest.mark.redis
class TestRedisClusterUser(OnCluster, GrantConformance):
    pass
