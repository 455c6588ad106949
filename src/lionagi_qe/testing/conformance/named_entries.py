"""Entries by names of any text and length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import InvalidArgumentError, InvalidKeyError, InvalidValueError
from lionagi_qe.persistence.named_entries import NamedEntries
from lionagi_qe.testing.conformance.base import Conformance, expire

if TYPE_CHECKING:
    from lionagi_qe.persistence import Memory

LONG = "https://example.org/?q=" + "x" * 5_000
NAMES = [
    "",
    "%",
    "%h",
    "..",
    "a/b",
    "a b",
    "\x00\n",
    "\ud800",
    "ü" * 300,
    LONG,
    LONG + "y",
    "z" * 96,
]


@dataclass
class _Page:
    status: int


class NamedEntriesConformance(Conformance):
    """NamedEntries on a memory."""

    async def test_any_text_is_a_name_and_is_listed_as_it_was(
        self, memory: Memory, other: Memory
    ) -> None:
        pages = NamedEntries(memory, "aqe/pages")
        for at, name in enumerate(NAMES):
            await pages.store(name, at)
        await memory.store_many({"aqe/pages": 1, "aqe/pages-of-others": 1})
        read = NamedEntries(other, "aqe/pages")
        assert [await read.retrieve(name) for name in NAMES] == list(range(len(NAMES)))
        assert sorted(await read.names()) == sorted(NAMES)
        seen: list[str] = []
        after: str | None = None
        while page := await read.names(limit=5, after=after):
            seen += page
            after = page[-1]
        assert seen == await read.names(limit=len(NAMES))
        assert await read.delete(LONG) is True
        assert await read.delete(LONG) is False
        assert LONG not in await pages.names()
        assert await pages.retrieve(LONG, "none") == "none"

    async def test_they_are_stored_in_batches_too(self, memory: Memory) -> None:
        pages = NamedEntries(memory, "aqe/pages", partition="pages")
        await memory.store_many(dict([pages.item(LONG, _Page(200)), pages.item("a/b", 2)]))
        assert await pages.retrieve(LONG, as_type=_Page) == _Page(200)
        assert await memory.touch(pages.key("a/b"), 0.02)
        await expire(memory, pages.key("a/b"))
        revision = await pages.store("a/b", None, if_revision=0)
        assert await pages.retrieve("a/b", "default") is None
        assert await pages.delete("a/b", if_revision=revision)
        assert await pages.names() == [LONG]
        await pages.store("odd", 5)
        with pytest.raises(InvalidValueError, match="not a _Page"):
            await pages.retrieve("odd", as_type=_Page)
        assert await memory.clear_partition("pages") == 1

    async def test_what_can_not_be_is_refused(self, memory: Memory) -> None:
        pages = NamedEntries(memory, "aqe/pages")
        odd: Any
        for odd in (None, 5, b"name"):
            with pytest.raises(InvalidArgumentError, match="name"):
                await pages.store(odd, 1)
        for prefix in ("pages", "aqe/pages/", "aqe/" + "x" * 480):
            with pytest.raises(InvalidKeyError):
                NamedEntries(memory, prefix)
        await memory.store("aqe/pages/of-others", 1)
        with pytest.raises(InvalidValueError, match="prefix of their own"):
            await pages.retrieve("of-others")
