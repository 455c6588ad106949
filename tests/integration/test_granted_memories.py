"""A part of the contract as roles that the server binds; make granted tries all that holds."""

from __future__ import annotations

import pytest
from tests.granted_memories import OnCluster, OnPostgres, OnRedis, granted_role, granting_url

from lionagi_qe.testing.conformance.transactions import TransactionConformance

__all__ = ["granted_role", "granting_url"]


@pytest.mark.postgres
class TestPostgresRole(OnPostgres, TransactionConformance):
    pass


@pytest.mark.redis
class TestRedisUser(OnRedis, TransactionConformance):
    pass


@pytest.mark.redis
class TestRedisClusterUser(OnCluster, TransactionConformance):
    pass
