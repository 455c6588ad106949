"""Recall by meaning, and what tests of recall share."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import EmbeddingNotFoundError, InvalidValueError
from lionagi_qe.persistence.recall.embedding import register_embedding
from lionagi_qe.testing.conformance.base import Conformance

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory

NOTES = {
    "aqe/notes/login": {
        "title": "Flaky login",
        "body": "The login test fails after the token refresh: the clock is not frozen.",
        "file": "auth.py",
        "at": "2024-03-01",
        "runs": 12,
    },
    "aqe/notes/token": {
        "title": "Token refresh",
        "body": "A refreshToken lives for ten minutes; refresh it before, not after.",
        "file": "auth.py",
        "at": "2024-05-20",
        "runs": 3,
    },
    "aqe/notes/sums": {
        "title": "Rounding of sums",
        "body": "Sums of floats differ in the last digits; compare with a tolerance.",
        "file": "money.py",
        "at": "2024-06-02",
        "runs": 7,
    },
    "aqe/notes/unicode": {
        "title": "Größe in Zürich",
        "body": "Namen mit Umlauten: naïve Vergleiche scheitern. 日本語の検索もある。",
        "file": "names.py",
        "at": "2023-11-11",
        "runs": 1,
    },
}
TEXT = ["$.title", "$.body"]
# More than are looked at one and all, and the numbers in a vector.
MANY, SIZE = 600, 8
MEANINGS = ("login auth session signin", "token refresh renew expiry", "float sum round money")


class Meaning:
    """Makes vectors of three numbers: how many words of each of three kinds a text has."""

    def __init__(self) -> None:
        """Begin without calls."""
        self.texts: list[str] = []
        self.calls = 0

    def __call__(self, texts: list[str]) -> list[list[float]]:
        """Count the kinds of words."""
        self.calls += 1
        self.texts += texts
        counted = [Counter(text.lower().replace(":", " ").split()) for text in texts]
        return [
            [float(sum(words[word] for word in kind.split())) for kind in MEANINGS]
            for words in counted
        ]


def scattered(texts: list[str]) -> list[list[float]]:
    """Make vectors of length 1, each in a direction of its own."""
    made: list[list[float]] = []
    for text in texts:
        numbers = [byte - 127.5 for byte in blake2b(text.encode(), digest_size=SIZE).digest()]
        length = math.hypot(*numbers)
        made.append([number / length for number in numbers])
    return made


async def keys_of(memory: Memory, query: str, **options: Any) -> list[str]:
    """Return the last parts of the keys that are recalled."""
    found = await memory.recall(query, index="notes", **options)
    return [each.key.rpartition("/")[2] for each in found]


async def declared(memory: Memory, **options: Any) -> Memory:
    """Store the notes, and declare an index over them."""
    await memory.store_many(NOTES)
    await memory.index("notes", "aqe/notes/*", TEXT, fields=["file"], **options)
    return memory


class RecallByMeaning(Conformance):
    """``Memory.recall`` in indexes with vectors."""

    async def test_entries_are_found_by_meaning_and_both_rankings_are_fused(
        self, memory: Memory
    ) -> None:
        meaning = Meaning()
        await declared(memory, embed=meaning, dims=3, model="kinds")
        (found,) = await memory.recall("signin", index="notes")
        assert found.key == "aqe/notes/login"
        assert (found.text, found.words) == (None, ())
        assert found.vector is not None
        assert 0 < found.vector.score <= 1
        assert "meaning: rank 1" in found.why
        both = await memory.recall("token refresh", index="notes")
        assert [each.key for each in both] == ["aqe/notes/token", "aqe/notes/login"]
        assert both[0].score == pytest.approx(2 / 61)
        # A rank by words counts by how much of the query it is of: here nobody has a word of two.
        part = await memory.recall("token zzz", index="notes")
        assert 1 / 61 < part[0].score < 1.5 / 61
        # How relevant it is, is told by what speaks most for it.
        assert found.relevance == found.vector.score
        assert both[0].relevance == 1
        near = found.relevance
        assert await keys_of(memory, "signin", min_relevance=near) == ["login"]
        assert await keys_of(memory, "signin", min_relevance=min(1, near + 0.01)) == []

    @pytest.mark.parametrize("kind", ["async", "registered"])
    async def test_an_embedding_may_be_async_or_registered_by_name(
        self, memory: Memory, kind: str
    ) -> None:
        meaning = Meaning()

        async def later(texts: list[str]) -> list[list[float]]:
            await asyncio.sleep(0)
            return meaning(texts)

        register_embedding("conformance-kinds", later)
        embed = later if kind == "async" else "conformance-kinds"
        await declared(memory, embed=embed, dims=3, model="conformance-kinds")
        assert await keys_of(memory, "signin") == ["login"]

    async def test_a_text_is_embedded_once_in_batches_whoever_asks(
        self, memory: Memory, other: Memory
    ) -> None:
        meaning, again = Meaning(), Meaning()
        texts = {f"aqe/notes/{at}": {"title": f"login {at % 10}"} for at in range(50)}
        await memory.store_many(texts)
        await declared(memory, embed=meaning, dims=3, model="kinds", texts_at_once=6)
        await memory.refresh_index("notes")
        assert len(meaning.texts) == len(set(meaning.texts)) == 14
        assert meaning.calls == 3
        await declared(other, embed=again, dims=3, model="kinds")
        await other.reindex("notes")
        assert again.texts == ([] if self.shared else again.texts)
        assert await keys_of(other, "login", limit=1) != []
        if self.shared:
            # Of what is stored again, or goes, too.
            again.texts.clear()
            await memory.store_many({"aqe/notes/1": {"title": "login 1", "file": "x.py"}})
            await memory.store("aqe/notes/2", {"title": "login two"})
            assert await keys_of(other, "session", limit=60, filter={"file": "x.py"}) == ["1"]
            assert again.texts == ["login two", "session"]

    async def test_searches_of_one_moment_ask_the_function_together_and_write_nothing(
        self, memory: Memory
    ) -> None:
        meaning = Meaning()

        def refusing(texts: list[str]) -> list[list[float]]:
            if "refused" in texts:
                raise ValueError("refused")
            return meaning(texts)

        await declared(memory, embed=refusing, dims=3, model="refusing")
        await memory.refresh_index("notes")
        kept, before = await memory.list_keys(), meaning.calls
        words = ["signin", "expiry", "auth"] * 4
        found = await asyncio.gather(*(keys_of(memory, word, limit=1) for word in words))
        assert found == [["login"], ["token"], ["login"]] * 4
        assert meaning.calls <= before + 3
        assert await memory.list_keys() == kept
        # Nobody's search fails for another's query, and what was asked lately isn't made again.
        asked = meaning.texts.count("signin")
        made = await asyncio.gather(
            *(keys_of(memory, word, limit=1) for word in ("refused", "session", "signin")),
            return_exceptions=True,
        )
        assert isinstance(made[0], ValueError)
        assert made[1:] == [["login"], ["login"]]
        assert meaning.texts.count("signin") == asked

    async def test_a_wrong_vector_is_told_and_indexes_nothing(self, memory: Memory) -> None:
        def wrong(texts: list[str]) -> list[list[float]]:
            return [[1.0] for _ in texts]

        await declared(memory, embed=wrong, dims=3, model="wrong")
        with pytest.raises(InvalidValueError, match="dims=3"):
            await memory.recall("login", index="notes")
        await declared(memory, embed=Meaning(), dims=3, model="wrong")
        assert await keys_of(memory, "signin") == ["login"]

    async def test_an_index_whose_function_nobody_registered_says_so(
        self, memory: Memory, other: Memory
    ) -> None:
        await declared(memory, embed="conformance-unknown", dims=3)
        with pytest.raises(EmbeddingNotFoundError, match="register_embedding"):
            await other.recall("login", index="notes")

    async def test_words_are_found_without_the_function_that_made_the_vectors(
        self, memory: Memory, other: Memory
    ) -> None:
        await declared(memory, embed=Meaning(), dims=3, model="kinds-of-one-process")
        await memory.refresh_index("notes")
        assert await keys_of(other, "sums", vectors=False, refresh=False) == ["sums"]
        assert await keys_of(other, "signin", vectors=False, refresh=False) == []

    async def test_each_text_may_have_a_vector_and_words_may_count_for_nothing(
        self, memory: Memory
    ) -> None:
        await memory.store_many(
            {
                "aqe/notes/apart": {"lines": ["login", "sum money"], "title": "token"},
                "aqe/notes/mixed": {"lines": ["login sum token"]},
                "aqe/notes/far": {"lines": ["token"]},
            }
        )
        await memory.index(
            "notes",
            "aqe/notes/*",
            ["$.lines[*]", "$.title"],
            embed=Meaning(),
            dims=3,
            model="kinds",
            words=False,
            each_text=True,
        )
        for query in ("signin", "money", "expiry"):
            found = await memory.recall(query, index="notes")
            assert {each.text for each in found} == {None}
            scores = {each.key.rpartition("/")[2]: each.vector for each in found}
            assert scores["apart"] is not None
            assert scores["apart"].score == pytest.approx(1)
            assert scores["mixed"] is not None
            assert scores["mixed"].score == pytest.approx(3**-0.5, abs=1e-5)
            # What is far comes last, instead of being left out.
            assert len(found) == 3
        assert await keys_of(memory, "money", limit=2) == ["apart", "mixed"]

    async def test_among_many_vectors_the_nearest_are_found_as_they_are_now(
        self, memory: Memory, other: Memory
    ) -> None:
        texts = {f"aqe/notes/{at}": f"text {at}" for at in range(MANY)}
        await memory.store_many(texts)
        await memory.index(
            "notes", "aqe/notes/*", embed=scattered, dims=SIZE, model="scattered", words=False
        )
        stored = dict(zip(texts, scattered(list(texts.values())), strict=True))
        for at in range(0, MANY, MANY // 4):
            (wanted,) = scattered([f"text {at}"])
            nearest = sorted(
                stored, key=lambda key: sum(a * b for a, b in zip(stored[key], wanted, strict=True))
            )[-5:]
            found = await memory.recall(f"text {at}", index="notes", limit=5)
            assert found[0].key == f"aqe/notes/{at}"
            assert len({each.key for each in found} & {*nearest}) >= 4
        under = await memory.recall("text 7", index="notes", prefix="aqe/notes/7", limit=1_000)
        assert {each.key for each in under} == {key for key in texts if "/7" in key}
        # What more entries have than are looked at one and all, and half of all at most.
        await memory.store_many({f"aqe/notes/far/{at}": f"text {at}" for at in range(MANY)})
        (first, *_) = await memory.recall("text 9", index="notes", prefix="aqe/notes/far/")
        assert first.key == "aqe/notes/far/9"
        await memory.delete_prefix("aqe/notes/far/")
        changing = other if self.shared else memory
        await changing.store_many({"aqe/notes/1": "text 2000", "aqe/notes/new": "text 0"})
        await changing.delete("aqe/notes/0")
        assert await keys_of(memory, "text 2000", limit=1) == ["1"]
        assert await keys_of(memory, "text 0", limit=1) == ["new"]
        await memory.reindex("notes")
        assert await keys_of(memory, "text 0", limit=1) == ["new"]
        # What is kept of the codes is as much as of documents that are gone, which nobody told.
        await changing.delete_many([f"aqe/notes/{at}" for at in range(2, MANY)])
        await memory.recall("text 7", index="notes")
        assert set(await keys_of(memory, "text 7", limit=MANY)) == {"1", "new"}
