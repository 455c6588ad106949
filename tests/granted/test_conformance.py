"""The contract as roles and users that the server itself binds to a fleet: ``make granted``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.granted_memories import OnCluster, OnPostgres, OnRedis, granted_role, granting_url

from lionagi_qe import errors
from lionagi_qe.testing.conformance import (
    BatchesConformance,
    ConcurrencyConformance,
    EntriesConformance,
    NumbersConformance,
    PagingConformance,
    RangesConformance,
    ValuesConformance,
)
from lionagi_qe.testing.conformance.expiry import ExpiryConformance
from lionagi_qe.testing.conformance.queue_cancel import QueueCancelConformance
from lionagi_qe.testing.conformance.queue_duplicates import QueueDuplicatesConformance
from lionagi_qe.testing.conformance.queue_ending import QueueEndingConformance
from lionagi_qe.testing.conformance.queue_listing import QueueListingConformance
from lionagi_qe.testing.conformance.queue_schedules import QueueSchedulesConformance
from lionagi_qe.testing.conformance.watch import WatchConformance

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from lionagi_qe.persistence import Memory
    from lionagi_qe.testing.conformance import Connect

__all__ = ["granted_role", "granting_url"]


class GrantConformance(
    BatchesConformance,
    ConcurrencyConformance,
    EntriesConformance,
    ExpiryConformance,
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


class GrantedWatchConformance(WatchConformance):
    """Watches, of the one fleet that is there for a user."""

    async def test_fleets_do_not_see_each_others_changes(
        self, connect: Connect, fleet: str, memory: Memory, opened: AsyncExitStack
    ) -> None:
        del memory, opened
        stranger = connect(fleet=f"{fleet}-other")
        with pytest.raises(errors.AccessDeniedError):
            await stranger.open()
        await stranger.close()


class TestRedisUser(OnRedis, GrantConformance, GrantedWatchConformance):
    pass


class TestRedisClusterUser(OnCluster, GrantConformance, GrantedWatchConformance):
    pass
