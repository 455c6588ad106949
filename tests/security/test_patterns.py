"""Patterns and prefixes mean the same on every backend, whatever its server reads in them."""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING

import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.backends import on, url_of

from lionagi_qe import open_memory
from lionagi_qe.testing.strategies import globs, matches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from lionagi_qe import Memory

# What SQL, LIKE, GLOB, Redis' patterns, Lua's and shells read as more than text.
PIECES = [
    "%", "_", "\\", "*", "?", "[", "]", "[a-z]", "[^a]", "!", "-", "^", "$", "(.*)", "%d+", "%",
    "'", "''", '"', ";--", "{tag}", "}", ":", "\u0130", "ß", "é", "e\u0301", "日", "\U0001f600",
    " ", "\u00a0", "\ufeff", "a", "A", "b", "ab",
]  # fmt: skip
KEYS = sorted(
    {f"aqe/{one}" for one in PIECES}
    | {f"aqe/a/{one}{other}" for one, other in itertools.pairwise(PIECES)}
    | {f"aqe/{one}/{one}" for one in PIECES[::2]}
)
ESCAPED = st.sampled_from(KEYS).map(lambda key: "".join(f"\\{character}" for character in key))
SPECIAL = st.lists(
    st.sampled_from([*(f"\\{one}" for one in "%_*?[]^$'"), *"*?%_'", "[%_]", "[!%]"]), max_size=5
).map(lambda parts: "aqe/" + "".join(parts))


@pytest_asyncio.fixture(
    scope="module", params=on("memory", "sqlite", "postgresql", "redis", "cluster")
)
async def filled(request: pytest.FixtureRequest) -> AsyncIterator[Memory]:
    async with open_memory(url_of(request), fleet=f"patterns-{uuid.uuid4().hex[:12]}") as memory:
        await memory.store_many(dict.fromkeys(KEYS, 1), partition="p")
        yield memory
        await memory.clear_partition("p")


@settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(pattern=globs() | SPECIAL | ESCAPED)
async def test_a_pattern_finds_what_the_plain_matcher_does(filled: Memory, pattern: str) -> None:
    found = await filled.search(pattern)
    assert sorted(found) == [key for key in KEYS if matches(pattern, key)]


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_a_prefix_is_plain_text(filled: Memory, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(KEYS))
    prefix = key[: data.draw(st.integers(0, len(key)))] + data.draw(st.sampled_from(["", *PIECES]))
    assert await filled.list_keys(prefix) == [each for each in KEYS if each.startswith(prefix)]
