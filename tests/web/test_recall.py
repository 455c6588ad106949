"""Recall in the console: what an index finds, and why; looking writes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.web.conftest import client_of
from tests.web.served import TOKEN

from lionagi_qe import open_memory

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from lionagi_qe.persistence import Memory


def found(page: str) -> list[str]:
    return re.findall(r'<th scope="row" class="key"><a href="[^"]*entry\?key=[^"]*">([^<]+)', page)


async def declare(memory: Memory) -> None:
    await memory.index("lessons", "aqe/lessons/*", ["$.title", "$.body"], fields=["file"])
    lessons = {
        "aqe/lessons/login": {"title": "Flaky login", "body": "fails after the token refresh"},
        "aqe/lessons/sums": {"title": "Rounding", "body": "sums differ in the last digit"},
    }
    await memory.store_many(lessons)
    await memory.refresh_index("lessons")


async def test_entries_come_with_their_score_and_why(
    memory: Memory, client: httpx.AsyncClient
) -> None:
    await declare(memory)
    page = (await client.get("/recall?index=lessons&q=login+token")).text
    assert found(page) == ["aqe/lessons/login"]
    why = re.search(r'data-label="Why">(.*?)</td>', page)
    assert why is not None
    assert re.sub("<[^>]+>", "", why[1]).startswith("words login token rank 1, ")
    assert re.search(r'data-label="Score">0\.\d{4}<', page)


async def test_looking_indexes_nothing_and_who_may_change_things_finds_what_is_new(
    memory: Memory, client: httpx.AsyncClient, editor: httpx.AsyncClient
) -> None:
    await declare(memory)
    await memory.store("aqe/lessons/new", {"title": "A newcomer", "body": ""})
    for _ in range(2):
        page = (await client.get("/recall?index=lessons&q=newcomer")).text
        assert found(page) == []
        assert "This searched in what is indexed" in page
    assert found((await editor.get("/recall?index=lessons&q=newcomer")).text) == ["aqe/lessons/new"]
    assert found((await client.get("/recall?index=lessons&q=newcomer")).text) == ["aqe/lessons/new"]


def sizes(texts: list[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0] for text in texts]


async def test_meaning_is_told_where_this_process_can_make_vectors_else_words_are_searched(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    async with open_memory(url) as memory:
        await memory.store("aqe/notes/one", "a note")
        await memory.index("sizes", "aqe/notes/*", embed=sizes, dims=2, model="sizes-of-texts")
        await memory.refresh_index("sizes")
        async with client_of(memory) as client:
            answer = await client.get("/recall?index=sizes&q=note")
            assert "meaning <small" in answer.text
    async with open_memory(url) as memory:
        await memory.store("aqe/notes/two", "another note")
        for settings in ({}, {"token": TOKEN, "write": True}):
            async with client_of(memory, **settings) as client:
                if settings:
                    await client.post("/login", data={"token": TOKEN})
                answer = await client.get("/recall?index=sizes&q=note")
            assert answer.status_code == 200
            assert found(answer.text) == ["aqe/notes/one"]
            assert "Searched by words alone" in answer.text
            assert "aqe serve --embed sizes-of-texts=package.module:function" in answer.text
            assert "meaning <small" not in answer.text
