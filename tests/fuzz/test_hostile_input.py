"""Whatever is stored, asked for or imported: each backend does what the plain model does.

``make fuzz CASES=10000`` takes so many cases a backend and kind; ``make test`` a few of them. Of
memories with keys, and with hidden names, it takes a tenth.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from tests.backends import on, url_of

from lionagi_qe import KeyRing, Memory, errors, open_memory
from lionagi_qe.errors import ArchiveError
from lionagi_qe.persistence import transfer
from lionagi_qe.testing.strategies import globs, json_values, keys, matches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

pytestmark = pytest.mark.integration

CASES = int(os.environ.get("AQE_FUZZ_CASES", "20"))
# Of one example: calls that are made together, and one opening of the memory.
BATCH = 50
ARCHIVES = 10
FUZZED = settings(
    max_examples=max(CASES // BATCH, 1),
    deadline=None,
    database=None,
    # An example is a batch, whose one case the failure names: nothing to make smaller.
    phases=[Phase.generate],
    verbosity=Verbosity.quiet,
    suppress_health_check=list(HealthCheck),
)
ANY_TEXT = st.text(st.characters(), max_size=40)
ANY_KEY = st.one_of(
    keys(),
    ANY_TEXT,
    ANY_TEXT.map("aqe/".__add__),
    st.text(st.sampled_from("aé😀/"), min_size=100, max_size=520).map("aqe/".__add__),
    st.integers() | st.none() | st.binary(max_size=5),
)
ANY_VALUE = st.one_of(
    json_values(),
    json_values(max_leaves=40),
    st.floats(),
    st.integers(),
    ANY_TEXT,
    st.binary(max_size=5) | st.sets(st.integers(), max_size=2) | st.just(object),
    st.dictionaries(st.integers() | ANY_TEXT, st.integers(), max_size=3),
    st.integers(200, 300).map(lambda depth: json.loads("[" * depth + "]" * depth)),
)
ANY_PATTERN = st.one_of(
    globs(),
    keys(),
    ANY_TEXT,
    st.text(st.sampled_from("*?[]!-\\ab/%_'\"é😀"), max_size=30).map("aqe/".__add__),
    st.text(st.sampled_from("*a?"), min_size=200, max_size=600),
    st.integers() | st.none(),
)


RING = KeyRing.parse(f"{KeyRing.generate('values')},{KeyRing.generate('names')}")
# How memories are opened -> with what, and of how many examples one is taken.
SEALS: dict[str, tuple[dict[str, Any], int]] = {
    "in clear": ({}, 1),
    "sealed": ({"keys": RING}, 10),
    "hidden": ({"keys": RING, "hide_names": "names"}, 10),
}


class Twins:
    """A backend, and the memory in this process that it must not differ from."""

    def __init__(self, url: str, seal: str) -> None:
        self._url = url
        self._options, self._every = SEALS[seal]
        self._examples = 0
        self._runner = asyncio.Runner()

    def close(self) -> None:
        self._runner.close()

    def run(self, act: Callable[[Memory, Memory], Awaitable[None]]) -> None:
        """Act on both, empty and of a fleet of their own."""
        self._examples += 1
        if (self._examples - 1) % self._every:
            return

        async def in_both() -> None:
            async with AsyncExitStack() as stack:
                fleet = f"fuzz-{uuid.uuid4().hex[:12]}"
                opened = [
                    await stack.enter_async_context(
                        open_memory(url, fleet=fleet, cleanup_interval=None, **self._options)
                    )
                    for url in (self._url, "memory://")
                ]
                one, other = opened
                await act(one, other)
                await one.clear_partition("default")

        self._runner.run(in_both())


@pytest.fixture(scope="module", params=SEALS)
def seal(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=on("sqlite", "postgresql", "redis", "cluster"))
def twins(request: pytest.FixtureRequest, seal: str) -> Iterator[Twins]:
    both = Twins(url_of(request), seal)
    yield both
    both.close()


async def told(call: Awaitable[Any]) -> tuple[str, Any]:
    """Return how a call ended: what came, or the error and its words."""
    try:
        return "came", await call
    except errors.AqeError as error:
        return type(error).__name__, str(error)


def same(value: object, kept: object) -> bool:
    """Whether a value came back as it was, floats and integers told apart."""
    return orjson.dumps(value) == orjson.dumps(kept)


@FUZZED
@given(
    pairs=st.lists(
        st.tuples(ANY_KEY, ANY_VALUE),
        min_size=BATCH,
        max_size=BATCH,
        unique_by=lambda pair: repr(pair[0]),
    )
)
def test_a_key_and_a_value_come_back_or_are_refused_alike(
    twins: Twins, pairs: list[tuple[Any, Any]]
) -> None:
    async def act(one: Memory, other: Memory) -> None:
        stored = [
            await asyncio.gather(*(told(memory.store(key, value)) for key, value in pairs))
            for memory in (one, other)
        ]
        for (key, value), here, there in zip(pairs, *stored, strict=True):
            assert here[0] == there[0], (key, value, here, there)
            if here[0] == "came":
                assert same(value, await one.retrieve(key)), (key, value)
            else:
                assert here == there
                assert here[1].isprintable(), here

    twins.run(act)


@FUZZED
@given(
    held=st.lists(keys(), min_size=10, max_size=30, unique=True),
    patterns=st.lists(ANY_PATTERN, min_size=BATCH, max_size=BATCH),
)
def test_a_pattern_finds_what_the_plain_matcher_finds_or_is_refused_alike(
    twins: Twins, held: list[str], patterns: list[Any]
) -> None:
    async def act(one: Memory, other: Memory) -> None:
        await one.store_many(dict.fromkeys(held, 1))
        found = await asyncio.gather(*(told(one.search(pattern)) for pattern in patterns))
        refused = await asyncio.gather(*(told(other.search(pattern)) for pattern in patterns))
        for pattern, here, there in zip(patterns, found, refused, strict=True):
            assert here[0] == there[0], (pattern, here, there)
            if here[0] != "came":
                assert here == there
            elif pattern.count("*") < 6:  # The plain matcher may take exponential time.
                assert sorted(here[1]) == sorted(key for key in held if matches(pattern, key))

    twins.run(act)


@st.composite
def archives(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[int, int, bytes]]]:
    """Return entries of an archive, and where it is damaged: places, lengths and what is there."""
    entries = draw(st.dictionaries(keys(), json_values(), min_size=1, max_size=8))
    damage = st.tuples(st.integers(0, 4000), st.integers(0, 6), st.binary(max_size=6))
    return entries, draw(st.lists(damage, max_size=3))


@settings(FUZZED, max_examples=max(CASES // ARCHIVES, 1))
@given(batch=st.lists(archives(), min_size=ARCHIVES, max_size=ARCHIVES))
def test_an_archive_is_imported_whole_or_what_was_is_told(
    twins: Twins, batch: list[tuple[dict[str, Any], list[tuple[int, int, bytes]]]]
) -> None:
    async def act(one: Memory, other: Memory) -> None:
        for entries, damages in batch:
            await other.clear_partition("default")
            await one.clear_partition("default")
            await other.store_many(entries)
            packed = io.BytesIO()
            await transfer.export(other, packed)
            content = bytearray(packed.getvalue())
            for place, length, what in damages:
                at = place % len(content)
                content[at : at + length] = what
            ended, came = await told(
                transfer.restore(io.BytesIO(bytes(content)), one, on_conflict="overwrite")
            )
            if ended == "came":
                assert came.stored == came.read
            else:
                assert ended == ArchiveError.__name__
                assert came.isprintable()
            if bytes(content) == packed.getvalue():
                assert same(entries, await one.retrieve_many(list(entries)))

    twins.run(act)
