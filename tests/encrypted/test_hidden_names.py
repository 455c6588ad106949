"""The whole shipped conformance over memories whose names are hidden, but for what is declared.

That is what needs the order of keys, or a part of a segment, and sizes. What takes its place:
tests/security/test_hidden_names.py.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.backends import on_every_backend

from lionagi_qe import KeyRing, open_memory
from lionagi_qe.testing.conformance import MemoryConformance
from lionagi_qe.testing.conformance.lease import LeaseConformance
from lionagi_qe.testing.conformance.presence import PresenceConformance
from lionagi_qe.testing.conformance.queue import QueueConformance
from lionagi_qe.testing.conformance.scopes import ScopesConformance
from lionagi_qe.testing.conformance.transfer import TransferConformance
from lionagi_qe.testing.conformance.watch import WatchConformance

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from lionagi_qe.persistence import Memory
    from lionagi_qe.testing.conformance import Connect

pytestmark = pytest.mark.integration
KEYS = KeyRing.parse(f"{KeyRing.generate('values')},{KeyRing.generate('names')}")
opening = partial(open_memory, keys=KEYS, hide_names="names")


class HiddenEntries(MemoryConformance):
    """Entries."""

    # Pages in the order of keys.
    test_a_scan_sees_once_what_stays_while_others_come_and_go: Any = None
    test_after_never_leaves_the_prefix: Any = None
    test_children_are_one_level: Any = None
    test_keys_are_sorted_by_code_point: Any = None
    test_keys_come_in_pages_of_any_size: Any = None
    test_partitions_page_like_the_rest: Any = None
    test_ranges_longer_than_a_page_come_whole_and_once: Any = None
    test_search_stops_at_its_limit: Any = None
    # Prefixes that end within a segment.
    test_a_prefix_is_plain_text: Any = None
    test_every_allowed_character_is_literal: Any = None
    test_one_glob_dialect_everywhere: Any = None
    test_random_calls_behave_like_a_dict: Any = None
    # Sizes of values in clear.
    test_stats_count_keys_partitions_and_bytes: Any = None


class HiddenCoordination(LeaseConformance, QueueConformance):
    """Leases and queues."""

    # Pages in the order of names.
    test_held_leases_are_listed_by_name_page_by_page: Any = None
    test_ready_jobs_with_limit_keys_are_listed_behind_those_without: Any = None


class HiddenScopes(ScopesConformance):
    """Scopes."""

    # Pages in the order of keys.
    test_a_search_of_more_finds_what_lies_inside: Any = None
    test_listings_and_scans_of_more_tell_what_lies_inside: Any = None
    test_patterns_with_wildcards_before_their_end: Any = None


class HiddenTransfers(TransferConformance):
    """Copies and archives, between memories with the same keys."""

    @pytest.fixture
    async def private(self, opened: AsyncExitStack) -> Memory:
        """Open an encrypted memory of this process, whose names aren't hidden."""
        return await opened.enter_async_context(open_memory("memory://", keys=KEYS))

    # It damages lines in clear.
    test_a_damaged_file_is_found_out: Any = None


class HiddenWatch(WatchConformance):
    """Watches."""


class HiddenPresence(PresenceConformance):
    """Presence."""


def _named(suite: type, options: str = "") -> dict[str, type]:
    unordered = {"cluster": {"ordered": False}}
    made = on_every_backend(suite, unordered, options=options, opening=opening)
    return {f"{name}{suite.__name__}": each for name, each in made.items()}


globals().update(_named(HiddenEntries))
globals().update(_named(HiddenTransfers))
for _suite in (HiddenCoordination, HiddenWatch, HiddenPresence, HiddenScopes):
    globals().update(_named(_suite, "?colocate=1"))


@pytest.mark.postgres
@pytest.mark.redis
class TestHiddenRedisOverPostgres(HiddenEntries, HiddenWatch):
    """A cache, which gets hidden names as well."""

    @pytest.fixture
    def connect(self, postgres_url: str, redis_url: str) -> Connect:
        """Open PostgreSQL with a cache."""
        return partial(opening, postgres_url, cache=redis_url)
