"""Recall with one defect each, under the test that must notice it; see broken_coordination.py."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.integration.broken_coordination import around, broken, pages

from lionagi_qe.persistence.recall import analysis, ranking, searching
from lionagi_qe.persistence.scopes.scope import Patterns
from lionagi_qe.persistence.sqlite.indexes import SqliteIndexes
from lionagi_qe.testing.conformance.recall import RecallConformance

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def _one_fleet(patch: pytest.MonkeyPatch) -> None:
    """All fleets share their indexes."""
    patch.setattr(
        SqliteIndexes,
        "_find",
        lambda _, connection, index: (
            connection.execute(
                "SELECT id, documents, position FROM indexes WHERE name = ?", (index,)
            ).get
        ),
    )


def _no_conditions(patch: pytest.MonkeyPatch) -> None:
    """Filters hold for all."""
    patch.setattr(searching, "meets", lambda *_: True)


def _no_rarity(patch: pytest.MonkeyPatch) -> None:
    """Each word counts as if one document had it."""

    async def count(plain: Any, self: Any, index: str, terms: Any) -> tuple[int, list[int]]:
        total, _ = await plain(self, index, terms)
        return total, [1] * len(terms)

    around(patch, SqliteIndexes, "frequencies", count)


def _no_vectors(patch: pytest.MonkeyPatch) -> None:
    """Vectors are not kept."""

    async def write(plain: Any, self: Any, *arguments: Any) -> bool:
        index, expected, position, documents, gone = arguments
        bare = [each._replace(vector=b"") for each in documents]
        return await plain(self, index, expected, position, bare, gone)

    around(patch, SqliteIndexes, "write", write)


def _always_fresh(patch: pytest.MonkeyPatch) -> None:
    """What changed since passes for what was indexed."""
    patch.setattr(
        ranking.Ranked,
        "recalled",
        lambda self, entry, plain=ranking.Ranked.recalled: replace(plain(self, entry), stale=False),
    )


def _embedded_again(patch: pytest.MonkeyPatch) -> None:
    """Vectors are made again whoever made them before."""
    patch.setattr(analysis, "known", lambda *_: ())


def _open_scopes(patch: pytest.MonkeyPatch) -> None:
    """A scope may recall what it may not read."""
    patch.setattr(Patterns, "cover", lambda *_: True)


DEFECTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], type, str]] = {
    "OneFleet": (_one_fleet, RecallConformance, "test_another_fleet_has_its_own"),
    "NoConditions": (
        _no_conditions,
        RecallConformance,
        "test_filters_have_the_order_of_each_type",
    ),
    "NoRarity": (
        _no_rarity,
        RecallConformance,
        "test_rare_words_count_more_and_long_texts_less",
    ),
    "NoVectors": (
        _no_vectors,
        RecallConformance,
        "test_entries_are_found_by_meaning_and_both_rankings_are_fused",
    ),
    "AlwaysFresh": (
        _always_fresh,
        RecallConformance,
        "test_without_a_refresh_nothing_gone_is_shown_and_what_changed_is_said_to_be_stale",
    ),
    "EmbeddedAgain": (
        _embedded_again,
        RecallConformance,
        "test_a_text_is_embedded_once_in_batches_whoever_asks",
    ),
    "OpenScopes": (
        _open_scopes,
        RecallConformance,
        "test_a_scope_recalls_where_it_may_read_all_that_is_indexed",
    ),
    "NotFollowed": (
        pages(lambda page: type(page)([], page.position, page.more)),
        RecallConformance,
        "test_what_was_stored_before_is_found_and_what_is_gone_is_not",
    ),
}
globals().update(broken(DEFECTS))
