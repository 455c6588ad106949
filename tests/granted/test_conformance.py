"""The contract as roles and users that the server itself binds to a fleet: ``make granted``."""

from __future__ import annotations

from tests.granted_memories import OnCluster, OnPostgres, OnRedis, granted_role, granting_url

from lionagi_qe.testing.conformance import (
    BatchesConformance,
    ConcurrencyConformance,
    EntriesConformance,
    NumbersConformance,
    PagingConformance,
    RangesConformance,
    ValuesConformance,
)
from lionagi_qe.testing.conformance.queue_cancel import QueueCancelConformance
from lionagi_qe.testing.conformance.queue_duplicates import QueueDuplicatesConformance
from lionagi_qe.testing.conformance.queue_ending import QueueEndingConformance
from lionagi_qe.testing.conformance.queue_listing import QueueListingConformance
from lionagi_qe.testing.conformance.queue_schedules import QueueSchedulesConformance
from lionagi_qe.testing.conformance.watch import WatchConformance

__all__ = ["granted_role", "granting_url"]


class GrantConformance(
    BatchesConformance,
    ConcurrencyConformance,
    EntriesConformance,
    NumbersConformance,
    PagingConformance,
    QueueCancelConformance,
    QueueDuplicatesConformance,
    QueueEndingConformance,
    QueueListingConformance,
    QueueSchedulesConformance,
    RangesConformance,
    ValuesConformance,
):
    """All that a role may do which was granted all of a fleet, and needs no other."""


class TestPostgresRole(OnPostgres, GrantConformance):
    pass


class TestRedisUser(OnRedis, GrantConformance, WatchConformance):
    pass


class TestRedisClusterUser(OnCluster, GrantConformance, WatchConformance):
    pass
