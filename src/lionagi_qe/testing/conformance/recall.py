"""Recall: entries are found by what they say, as they are now, and nothing beside them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import AccessDeniedError, IndexNotFoundError, InvalidArgumentError
from lionagi_qe.testing.conformance.base import Connect, expire
from lionagi_qe.testing.conformance.recall_meaning import (
    NOTES,
    Meaning,
    RecallByMeaning,
    declared,
    keys_of,
)

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from lionagi_qe.persistence import Memory

FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"file": "auth.py"}, ["login", "token"]),
    ({"file": {"$eq": "auth.py"}, "runs": {"$gt": 3}}, ["login"]),
    ({"at": {"$gte": "2024-05-20"}}, ["sums", "token"]),
    ({"at": {"$lt": "2024-05-20"}}, ["login", "unicode"]),
    ({"runs": {"$gt": 3, "$lte": 12}}, ["login", "sums"]),
    ({"runs": {"$in": [1, 3.0]}}, ["token", "unicode"]),
    ({"runs": {"$nin": [1, 3]}}, ["login", "sums"]),
    ({"file": {"$ne": "auth.py"}}, ["sums", "unicode"]),
    ({"at": {"$gt": 2024}}, []),
    ({"runs": {"$gt": "3"}}, []),
    ({"none": "auth.py"}, []),
    ({"$.file": "names.py"}, ["unicode"]),
]


def ran_once(value: Any) -> bool:
    """Accept one of the notes."""
    return value["runs"] == 1


class RecallConformance(RecallByMeaning):
    """``Memory.index`` and ``Memory.recall``."""

    # By words

    async def test_entries_are_found_by_their_words_best_first_and_it_is_told_why(
        self, memory: Memory
    ) -> None:
        await declared(memory)
        found = await memory.recall("flaky login after token refresh", index="notes")
        assert [each.key for each in found] == ["aqe/notes/login", "aqe/notes/token"]
        best = found[0]
        assert best.value == NOTES["aqe/notes/login"]
        assert best.entry.revision > 0
        assert set(best.words) == {"flaky", "login", "after", "token", "refresh"}
        assert best.text is not None
        assert (best.text.rank, best.vector, best.stale) == (1, None, False)
        assert best.text.score > 0
        assert best.score == 1 / 61
        assert "flaky" in best.why
        assert "rank 1" in best.why

    async def test_words_are_found_in_any_case_and_script_and_a_query_has_no_syntax(
        self, memory: Memory
    ) -> None:
        await declared(memory)
        expected = {
            "SUMS": ["sums"],
            "refreshtoken": ["token"],
            "grosse zurich": ["unicode"],
            "検索": ["unicode"],
            "umlauten, \x00 (naive)": ["unicode"],
            "nothing alike": [],
            "": [],
            "' OR 1=1; --": [],
            "*": [],
        }
        assert {query: await keys_of(memory, query) for query in expected} == expected

    async def test_rare_words_count_more_and_long_texts_less(self, memory: Memory) -> None:
        texts = {f"aqe/t/{at}": "common words everywhere" for at in range(20)}
        texts |= {"aqe/t/rare": "common pineapple", "aqe/t/long": "pineapple " + "filler " * 300}
        await memory.store_many(texts)
        await memory.index("t", "aqe/t/*")
        found = await memory.recall("common pineapple", index="t", limit=3)
        assert [each.key for each in found][:2] == ["aqe/t/rare", "aqe/t/long"]
        scores = [each.text.score for each in found if each.text]
        assert scores == sorted(scores, reverse=True)
        assert len(await memory.recall("common", index="t", limit=50)) == 21

    async def test_what_has_little_of_the_query_is_left_out_where_that_is_asked_for(
        self, memory: Memory
    ) -> None:
        await declared(memory)
        query = "flaky login after token refresh"
        best, part = await memory.recall(query, index="notes")
        assert best.relevance == 1
        assert 0 < part.relevance < 1
        for least, keys in ((part.relevance, [best.key, part.key]), (0.9, [best.key])):
            found = await memory.recall(query, index="notes", min_relevance=least)
            assert [each.key for each in found] == keys
        # It compares between searches: who has all words of a longer query has as much of it.
        (whole,) = await memory.recall("digits floats", index="notes", min_relevance=1)
        assert whole.relevance == 1
        assert await memory.recall("digits unheard", index="notes", min_relevance=1) == []

    async def test_only_what_the_index_covers_is_found(self, memory: Memory) -> None:
        await declared(memory)
        await memory.store("aqe/other/login", {"title": "login", "body": ""})
        await memory.store("aqe/notes/hidden", {"secret": "login"})
        await memory.store("aqe/notes/number", 7)
        assert await keys_of(memory, "login") == ["login"]

    # As it is now

    async def test_what_was_stored_before_is_found_and_what_is_gone_is_not(
        self, memory: Memory, other: Memory
    ) -> None:
        await declared(memory)
        assert await keys_of(other, "sums") == ["sums"]
        await memory.store("aqe/notes/new", {"title": "sums sums"})
        assert await keys_of(other, "sums") == ["new", "sums"]
        await other.store("aqe/notes/new", {"title": "changed"})
        assert await keys_of(memory, "sums") == ["sums"]
        assert await keys_of(memory, "changed") == ["new"]
        await memory.delete("aqe/notes/new")
        assert await keys_of(other, "changed") == []
        async with memory.transaction() as step:
            step.delete("aqe/notes/sums")
        assert await keys_of(other, "sums") == []

    async def test_without_a_refresh_nothing_gone_is_shown_and_what_changed_is_said_to_be_stale(
        self, memory: Memory
    ) -> None:
        await declared(memory)
        await memory.refresh_index("notes")
        await memory.store("aqe/notes/sums", {"title": "something else", "body": ""})
        await memory.delete("aqe/notes/login")
        await memory.store("aqe/notes/new", {"title": "sums"})
        (found,) = await memory.recall("sums", index="notes", refresh=False)
        assert found.stale
        assert found.value == {"title": "something else", "body": ""}
        assert "changed since" in found.why
        assert await keys_of(memory, "login", refresh=False) == []
        assert await keys_of(memory, "sums") == ["new"]

    async def test_what_has_expired_is_not_found(self, memory: Memory) -> None:
        await declared(memory)
        await memory.store("aqe/notes/brief", {"title": "login"}, ttl=30)
        assert sorted(await keys_of(memory, "login")) == ["brief", "login"]
        await memory.touch("aqe/notes/brief", 0.02)
        await expire(memory, "aqe/notes/brief")
        assert await keys_of(memory, "login") == ["login"]
        assert await keys_of(memory, "login", refresh=False) == ["login"]

    async def test_many_may_recall_and_store_at_once(self, memory: Memory, other: Memory) -> None:
        await declared(memory)

        async def add(at: int) -> None:
            handle = (memory, other)[at % 2]
            await handle.store(f"aqe/notes/{at}", {"title": f"word{at} shared"})
            assert f"{at}" in await keys_of(handle, f"word{at}")

        await asyncio.gather(*map(add, range(24)))
        assert len(await keys_of(memory, "shared", limit=100)) == 24
        assert len(await keys_of(other, "shared", limit=100, refresh=False)) == 24

    # Conditions

    async def test_filters_have_the_order_of_each_type(self, memory: Memory) -> None:
        await declared(memory)
        query = "flaky token sums umlauten"
        for wanted, expected in FILTERS:
            assert (wanted, sorted(await keys_of(memory, query, filter=wanted))) == (
                wanted,
                expected,
            )
        assert await keys_of(memory, query, filter=ran_once) == ["unicode"]
        # What would silently find nothing.
        for wanted in ({"$or": [{"runs": 1}]}, {"$gt": 3}, {"runs": {"$or": [1, 3]}}):
            with pytest.raises(InvalidArgumentError, match=r"\$"):
                await keys_of(memory, query, filter=wanted)

    async def test_a_prefix_and_a_field_of_the_index_find_what_is_rare(
        self, memory: Memory
    ) -> None:
        await memory.store_many(
            {f"aqe/n/many/{at}": {"text": "alike", "kind": "many"} for at in range(700)}
            | {"aqe/n/few/1": {"text": "alike", "kind": "few"}}
        )
        await memory.index("n", "aqe/n/*", "text", fields=["kind"])
        await memory.refresh_index("n")
        for found in (
            await memory.recall("alike", index="n", prefix="aqe/n/few/"),
            await memory.recall("alike", index="n", filter={"kind": "few"}),
        ):
            assert [each.key for each in found] == ["aqe/n/few/1"]
        found = await memory.recall("alike", index="n", prefix="aqe/n/many/69", limit=20)
        assert {each.key for each in found} <= {f"aqe/n/many/69{at}" for at in range(10)} | {
            "aqe/n/many/69"
        }
        assert await memory.recall("alike", index="n", prefix="aqe/n/none/") == []
        assert len(await memory.recall("alike", index="n", limit=1_000)) == 701
        assert len(await memory.recall("alike", index="n", limit=3)) == 3

    # Declarations

    async def test_a_declaration_is_kept_and_another_one_is_refused_unless_meant(
        self, memory: Memory, other: Memory
    ) -> None:
        first = await (await declared(memory)).index(
            "notes", "aqe/notes/*", ["$.title", "$.body"], fields=["file"]
        )
        assert await keys_of(other, "rounding floats") == ["sums"]
        with pytest.raises(InvalidArgumentError, match="replace_declared"):
            await other.index("notes", "aqe/notes/*", "$.title")
        second = await other.index("notes", "aqe/notes/*", "$.title", replace_declared=True)
        assert second.version == first.version + 1
        assert await keys_of(memory, "floats") == []
        assert await keys_of(memory, "rounding") == ["sums"]
        assert [each.name for each in await other.indexes()] == ["notes"]

    async def test_an_index_can_be_made_anew_and_removed(
        self, memory: Memory, other: Memory
    ) -> None:
        await declared(memory)
        assert await keys_of(memory, "sums") == ["sums"]
        await other.reindex("notes")
        assert await keys_of(memory, "sums") == ["sums"]
        assert await other.drop_index("notes")
        assert not await memory.drop_index("notes")
        with pytest.raises(IndexNotFoundError, match=r"memory\.index"):
            await memory.recall("sums", index="notes")
        assert await memory.indexes() == []
        assert await memory.list_keys() == sorted(NOTES)

    # Nobody else's

    async def test_another_fleet_has_its_own(
        self, connect: Connect, memory: Memory, fleet: str, opened: AsyncExitStack
    ) -> None:
        await declared(memory)
        stranger = await opened.enter_async_context(
            connect(fleet=f"{fleet}-2", cleanup_interval=None)
        )
        with pytest.raises(IndexNotFoundError):
            await stranger.recall("login", index="notes")
        await stranger.store("aqe/notes/theirs", {"title": "login"})
        await stranger.index("notes", "aqe/notes/*", ["$.title", "$.body"], fields=["file"])
        assert await keys_of(stranger, "login") == ["theirs"]
        assert await keys_of(memory, "login") == ["login"]
        await stranger.drop_index("notes")
        await stranger.delete("aqe/notes/theirs")

    async def test_a_scope_recalls_where_it_may_read_all_that_is_indexed(
        self, memory: Memory
    ) -> None:
        await declared(memory, embed=Meaning(), dims=3, model="kinds")
        await memory.index("all", "aqe/*")
        reader = memory.scoped("reader", read=["aqe/notes/*", "aqe/indexes/*"])
        assert await keys_of(reader, "signin") == ["login"]
        assert await keys_of(reader.scoped("inner", read=["aqe/*"]), "sums") == ["sums"]
        assert [each.name for each in await reader.indexes()] == ["all", "notes"]
        part = memory.scoped("part", read=["aqe/notes/l*", "aqe/indexes/*"])
        unnamed = memory.scoped("unnamed", read=["aqe/notes/*"])
        for scope, index in ((reader, "all"), (part, "notes"), (unnamed, "notes")):
            with pytest.raises(AccessDeniedError):
                await scope.recall("login", index=index)
        for call in (
            reader.index("mine", "aqe/notes/*"),
            reader.reindex("notes"),
            reader.drop_index("notes"),
        ):
            with pytest.raises(AccessDeniedError):
                await call
        assert await keys_of(memory, "sums") == ["sums"]
