"""Recall where something is in the way: keys, other backends, too little time, losses, length."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import redis.asyncio as driver
from tests.backends import on, url_of
from tests.integration.behind_postgres import Behind

from lionagi_qe import KeyRing, Memory, errors, open_memory
from lionagi_qe.persistence.caching.backend import HybridBackend
from lionagi_qe.persistence.recall.terms import document_number
from lionagi_qe.persistence.sqlite.backend import SqliteBackend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]


@pytest_asyncio.fixture(params=on("sqlite", "postgresql", "redis", "cluster"))
async def memory(request: pytest.FixtureRequest) -> AsyncIterator[Memory]:
    async with open_memory(
        url_of(request), fleet=f"recall-{uuid.uuid4().hex}", cleanup_interval=None
    ) as opened:
        yield opened


async def found(memory: Memory, query: str, **options: Any) -> list[str]:
    return [each.key for each in await memory.recall(query, index="t", **options)]


async def test_an_encrypted_memory_refuses_since_an_index_would_tell_its_words() -> None:
    async with open_memory("memory://", keys=KeyRing.parse(KeyRing.generate("k"))) as memory:
        await memory.store("aqe/t/a", "secret")
        for call in (memory.index("t", "aqe/t/*"), memory.scoped("s", write=["*"]).index("t", "*")):
            with pytest.raises(errors.ConfigurationError, match="words of its values in clear"):
                await call
        assert await memory.list_keys() == ["aqe/t/a"]
        with pytest.raises(errors.IndexNotFoundError):
            await memory.recall("secret", index="t")


async def test_a_backend_without_indexes_says_so() -> None:
    backend = SqliteBackend(":memory:")
    del backend.indexes
    async with Memory(backend) as memory:
        with pytest.raises(errors.ConfigurationError, match="has no indexes"):
            await memory.index("t", "aqe/t/*")


async def test_a_hybrid_of_a_backend_without_indexes_says_so(redis_url: str) -> None:
    async with open_memory("memory://", cache=redis_url) as memory:
        backend = memory._scheduler.backend
        assert isinstance(backend, HybridBackend)
        del backend.durable.indexes  # type: ignore[attr-defined]
        with pytest.raises(errors.ConfigurationError, match="has no indexes"):
            await memory.index("t", "aqe/t/*")


async def test_too_little_time_is_told_and_what_was_indexed_is_kept(memory: Memory) -> None:
    await memory.store_many({f"aqe/t/{at}": f"word{at} shared" for at in range(1_200)})

    async def embed(texts: list[str]) -> list[list[float]]:
        # The function is what takes the time: it is told apart by which calls it had.
        calls.append(len(texts))
        if len(calls) == 12:
            await never.wait()
        return [[1.0, 2.0] for _ in texts]

    calls: list[int] = []
    never = asyncio.Event()
    await memory.index("t", "aqe/t/*", embed=embed, dims=2, model=uuid.uuid4().hex)
    with pytest.raises(errors.IndexBehindError, match="isn't built yet"):
        await memory.recall("word7", index="t", timeout=2)
    never.set()
    await memory.refresh_index("t")
    assert await found(memory, "word7", limit=1) == ["aqe/t/7"]
    # Nothing was embedded twice, but for the call that was cut off; and the query.
    assert sum(calls) <= 1_200 + 64 + 1


async def test_long_texts_and_many_of_them_are_indexed_whole(memory: Memory) -> None:
    long = " ".join(f"w{at}" for at in range(9_000))
    await memory.store_many({"aqe/t/long": long, "aqe/t/longer": f"{long} end", "aqe/t/s": "w1"})
    await memory.index("t", "aqe/t/*")
    assert await found(memory, "w8999 end") == ["aqe/t/longer", "aqe/t/long"]
    assert await found(memory, "w1") == ["aqe/t/s", "aqe/t/long", "aqe/t/longer"]
    await memory.store("aqe/t/longer", "short")
    assert await found(memory, "w8999") == ["aqe/t/long"]
    many = " ".join(f"w{at}" for at in range(0, 2_000, 2))
    assert "aqe/t/long" in await found(memory, many)


async def test_removals_that_nobody_followed_are_forgotten_by_who_searches(memory: Memory) -> None:
    await memory.store_many({f"aqe/t/{at}": "shared" for at in range(20)})
    await memory.index("t", "aqe/t/*")
    assert len(await found(memory, "shared", limit=50)) == 20
    await memory.delete_many([f"aqe/t/{at}" for at in range(19)])
    assert await found(memory, "shared", limit=50, refresh=False) == ["aqe/t/19"]
    indexes = memory._scheduler.indexes
    assert (await indexes.frequencies("t/1", []))[0] == 1


async def test_texts_may_be_named_by_the_value_itself(memory: Memory) -> None:
    await memory.index("t", "aqe/t/*", "$.body", override="$.index")
    await memory.store_many(
        {
            "aqe/t/usual": {"body": "apple", "note": "pear"},
            "aqe/t/own": {"body": "apple", "note": "pear", "index": ["note"]},
            "aqe/t/none": {"body": "apple", "index": False},
        }
    )
    assert await found(memory, "apple") == ["aqe/t/usual"]
    assert await found(memory, "pear") == ["aqe/t/own"]


@pytest.mark.redis
async def test_an_index_ahead_of_a_store_that_lost_its_last_writes_is_made_anew(
    redis_url: str,
) -> None:
    fleet = f"recall-{uuid.uuid4().hex}"
    async with open_memory(redis_url, fleet=fleet, cleanup_interval=None) as memory:
        await memory.store_many({"aqe/t/a": "apple", "aqe/t/b": "pear"})
        await memory.index("t", "aqe/t/*")
        assert await found(memory, "apple") == ["aqe/t/a"]
        async with driver.Redis.from_url(redis_url) as client:
            await client.set(f"aqe:{{{fleet}}}:n", 1)
        assert await found(memory, "pear") == ["aqe/t/b"]


@pytest.mark.postgres
async def test_what_the_log_of_postgresql_no_longer_tells_is_found_all_the_same(
    postgres_url: str,
) -> None:
    async with Behind.open(postgres_url) as store:
        memory = store.memory
        await memory.store_many({f"aqe/t/{at}": f"word{at} shared" for at in range(1_200)})
        await memory.store_many({f"aqe/other/{at}": "shared" for at in range(700)})
        await memory.index("t", "aqe/t/*")
        assert await found(memory, "word7") == ["aqe/t/7"]
        await memory.store("aqe/t/1000", "changed")
        await memory.store("aqe/t/new", "word7 new")
        await memory.delete("aqe/t/7")
        await store.prune()
        await store.ask("DELETE FROM lionagi_qe.entries WHERE fleet = FLEET AND gone IS NOT NULL")
        async with open_memory(postgres_url, fleet=store.fleet, cleanup_interval=None) as late:
            assert await found(late, "word7") == ["aqe/t/new"]
            assert await found(late, "changed") == ["aqe/t/1000"]
            assert await found(late, "word1000") == []
            # It met the document of the one that is gone.
            assert (await late._scheduler.indexes.frequencies("t/1", []))[0] == 1_200


async def test_an_index_made_anew_by_another_while_one_recalls_is_read_anew(
    memory: Memory,
) -> None:
    await memory.store("aqe/t/a", "apple")
    await memory.index("t", "aqe/t/*")
    assert await found(memory, "apple") == ["aqe/t/a"]
    opened = memory._opened["t"]
    await memory.store("aqe/t/b", "apple pie")
    await opened.whole.indexes.drop("t/1", 100)
    assert await found(memory, "apple") == ["aqe/t/a", "aqe/t/b"]


async def test_what_an_older_release_indexed_is_made_anew(memory: Memory) -> None:
    async def embed(texts: list[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[float(text.count(letter)) for letter in "abc"] for text in texts]

    asked: list[str] = []
    declared: dict[str, Any] = {"text": "$", "embed": embed, "dims": 3, "model": "letters"}
    await memory.store_many({"aqe/t/a": "aaa b", "aqe/t/b": "bbb a"})
    await memory.index("t", "aqe/t/*", **declared)
    assert (await found(memory, "aa"))[0] == "aqe/t/a"
    indexes = memory._scheduler.indexes
    noted = await indexes.position("t/1")
    (before,) = await indexes.documents("t/1", [document_number("aqe/t/a")], terms=True)
    assert before is not None
    # Its form had pairs of coordinates as terms, and no codes.
    older = before._replace(postings={**before.postings, -5: 7})
    log, after, _ = json.loads(noted)
    gone = [document_number("aqe/t/b")]
    assert await indexes.write("t/1", noted, json.dumps([log, after, 2]), [older], gone)
    # As a process that has just started.
    memory._opened.clear()
    memory._scans.clear()
    assert await found(memory, "bb", limit=1) == ["aqe/t/b"]
    assert (await indexes.frequencies("t/1", [])).documents == 2
    assert asked == ["aaa b", "bbb a", "aa", "aaa b", "bbb a", "bb"]


async def test_what_is_no_declaration_is_told(memory: Memory) -> None:
    for value in (5, {"schema": 1}, {"schema": 1, "name": "t", "text": 5}, []):
        await memory.store("aqe/indexes/t", value)
        with pytest.raises(errors.InvalidValueError, match="no declaration of an index"):
            await memory.recall("apple", index="t")
        with pytest.raises(errors.InvalidValueError, match="delete it"):
            await memory.indexes()
    await memory.store("aqe/indexes/t", {"schema": 99, "name": "t"})
    with pytest.raises(errors.SchemaTooNewError, match="upgrade"):
        await memory.recall("apple", index="t")


async def test_dropping_leaves_nothing_behind(memory: Memory) -> None:
    await memory.store_many({f"aqe/t/{at}": f"word{at} shared" for at in range(250)})
    await memory.index("t", "aqe/t/*")
    await memory.refresh_index("t")
    indexes = memory._scheduler.indexes
    term = (await memory.recall("word7", index="t"))[0]
    assert term.words == ("word7",)
    await memory.drop_index("t")
    assert await indexes.position("t/1") == ""
    assert await indexes.frequencies("t/1", [1, 2]) == (0, 0, [0, 0])
    await memory.index("t", "aqe/t/*")
    assert await found(memory, "word7") == ["aqe/t/7"]
