"""Transfers: to and from a memory, entries keep value, partition, expiry and their order."""

from __future__ import annotations

import gzip
import io
import math
from typing import TYPE_CHECKING, Any

import pytest

from lionagi_qe.errors import ArchiveError, InvalidArgumentError, TransferConflictError
from lionagi_qe.persistence import open_memory
from lionagi_qe.persistence.transfer import Tally, compare, copy, digest, export, restore
from lionagi_qe.testing.conformance.base import Conformance, Connect, expire

if TYPE_CHECKING:
    from contextlib import AsyncExitStack
    from pathlib import Path

    from lionagi_qe.persistence import Memory

VALUES: dict[str, Any] = {
    "aqe/z/first": {"nested": [1, 1.0, True, None, "é\n"], "big": 2**63},
    "aqe/null": None,
    "aqe/text": "x" * 100_000,
    "aqe/float": 0.1,
    "aqe/a%_*": [],
    "aqe/é/ö": -(2**63),
}


async def fill(memory: Memory, count: int = 0) -> None:
    """Store values of every kind, in another order than that of their keys."""
    for at, (key, value) in enumerate(VALUES.items()):
        await memory.store(key, value, partition=f"p{at % 2}", ttl=3_600 if at % 3 == 0 else None)
    if count:
        await memory.store_many({f"aqe/many/{at * 7 % count:05}": at for at in range(count)})


async def in_order(memory: Memory) -> list[str]:
    """Return the keys by revision."""
    entries = [entry async for entry in memory.scan()]
    return [entry.key for entry in sorted(entries, key=lambda entry: entry.revision)]


def unfinished(folder: Path) -> list[Path]:
    """Return the files of exports that did not end."""
    return [*folder.glob(".*.part")]


class TransferConformance(Conformance):
    """``transfer.copy``, ``archive`` and ``verify``, from and to the memory under test."""

    ordered = True
    """Revisions in the target rise as in the source; False where shards have their own."""

    @pytest.fixture
    async def private(self, opened: AsyncExitStack) -> Memory:
        """Open a memory of this process, to copy from and to."""
        return await opened.enter_async_context(open_memory("memory://"))

    async def test_a_copy_there_and_back_equals_its_source(
        self, memory: Memory, private: Memory, opened: AsyncExitStack
    ) -> None:
        await fill(private, 2_500)
        there = await copy(private, memory, page_size=700)
        assert (there.read, there.stored, there.skipped) == (2_506, 2_506, 0)
        back = await opened.enter_async_context(open_memory("memory://"))
        await copy(memory, back)
        for target in (memory, back):
            found = await compare(private, target)
            assert found.equal, found.first
            assert found.source.entries == found.target.entries == 2_506
            assert str(found.source) == str(found.target) == str(await digest(target))
        assert await back.search("aqe/*") == await private.search("aqe/*")
        if self.ordered:
            assert await in_order(memory) == await in_order(private)
            assert await in_order(back) == await in_order(private)

    async def test_expiry_and_partition_go_along(self, memory: Memory, private: Memory) -> None:
        await private.store("aqe/soon", 1, ttl=0.05, partition="p")
        await private.store("aqe/later", 1, ttl=500, partition="p")
        await private.store("aqe/never", 1)
        await expire(private, "aqe/soon", ttl=0.05)
        await copy(private, memory)
        entries = {entry.key: entry async for entry in memory.scan()}
        assert set(entries) == {"aqe/later", "aqe/never"}
        later = entries["aqe/later"]
        assert later.partition == "p"
        assert later.expires_at is not None
        assert entries["aqe/never"].expires_at is None
        lasts = (later.expires_at - later.updated_at).total_seconds()
        assert math.isclose(lasts, 500, abs_tol=15)

    async def test_pattern_and_partition_choose(self, memory: Memory, private: Memory) -> None:
        await private.store_many({"aqe/a/1": 1, "aqe/b/1": 1}, partition="p")
        await private.store_many({"aqe/a/2": 1, "aqe/a/x": 1})
        await copy(private, memory, pattern="aqe/a/[0-9]", partition="p")
        assert await memory.list_keys() == ["aqe/a/1"]
        await copy(private, memory, pattern="aqe/a/[0-9]")
        assert await memory.list_keys() == ["aqe/a/1", "aqe/a/2"]

    async def test_policies_for_what_the_target_has(self, memory: Memory, private: Memory) -> None:
        await memory.store("aqe/old", "target")
        await private.store_many({"aqe/old": "source", "aqe/new": "source"})
        await memory.store("aqe/fresh", "target")

        assert await copy(private, memory, dry_run=True) == Tally(2, 1, 1, 0, 8)
        assert await memory.list_keys() == ["aqe/fresh", "aqe/old"]
        with pytest.raises(TransferConflictError, match="aqe/old"):
            await copy(private, memory, on_conflict="fail")
        assert (await copy(private, memory)).skipped >= 1
        assert await memory.retrieve("aqe/old") == "target"
        assert (await copy(private, memory, on_conflict="overwrite")).stored == 2
        assert await memory.retrieve("aqe/old") == "source"
        # What is the same already is no conflict.
        assert (await copy(private, memory, on_conflict="fail")).skipped == 2
        with pytest.raises(InvalidArgumentError, match="on_conflict"):
            await copy(private, memory, on_conflict="merge")  # pyright: ignore[reportArgumentType]
        assert await memory.retrieve("aqe/fresh") == "target"

    async def test_newer_keeps_what_was_updated_later(
        self, memory: Memory, private: Memory
    ) -> None:
        await private.store("aqe/a", "source")
        await expire_clock(private)
        await memory.store("aqe/a", "target")
        assert (await copy(private, memory, on_conflict="newer")).skipped == 1
        await expire_clock(memory)
        await private.store_many({"aqe/a": "later", "aqe/b": "new"})
        assert (await copy(private, memory, on_conflict="newer")).stored == 2
        assert await memory.search("aqe/*") == {"aqe/a": "later", "aqe/b": "new"}

    async def test_differences_are_named(self, memory: Memory, private: Memory) -> None:
        await private.store_many({"aqe/same": 1, "aqe/value": 1, "aqe/missing": 1, "aqe/ttl": 1})
        await private.store("aqe/partition", 1, partition="p")
        await memory.store_many({"aqe/same": 1, "aqe/value": 1.0, "aqe/extra": 1})
        await memory.store("aqe/partition", 1)
        await memory.store("aqe/ttl", 1, ttl=100)
        found = await compare(private, memory)
        assert not found.equal
        assert {d.key: d.fault for d in found.first} == {
            f"aqe/{fault}": fault for fault in ("value", "missing", "extra", "partition", "ttl")
        }
        assert str(found.source) != str(found.target)

    @pytest.mark.parametrize("name", ["m.jsonl", "m.jsonl.gz", "m.jsonl.zst"])
    async def test_a_file_gives_back_what_was_exported(
        self, memory: Memory, private: Memory, tmp_path: Path, name: str
    ) -> None:
        await fill(memory, 300)
        exported = await export(memory, tmp_path / name, page_size=100)
        assert exported.stored == 306
        restored = await restore(tmp_path / name, private)
        assert restored.stored == 306
        found = await compare(memory, private)
        assert found.equal, found.first
        if self.ordered:
            assert await in_order(private) == await in_order(memory)
        assert (await restore(tmp_path / name, private)).skipped == 306
        assert not unfinished(tmp_path)

    async def test_a_damaged_file_is_found_out(
        self, memory: Memory, private: Memory, tmp_path: Path
    ) -> None:
        await fill(private, 50)
        path = tmp_path / "m.jsonl"
        await export(private, path)
        lines = path.read_bytes().splitlines(keepends=True)
        cases = {
            "cut short; 56 entries before it were stored": b"".join(lines[:-1]),
            "line 4 is no JSON": b"".join([*lines[:3], lines[3][:20]]),
            "was changed": b"".join(lines).replace(b'"value":0.1', b'"value":0.2'),
            "line 1 does not say": b"".join(lines[1:]),
            "line 1 tells version 99": b"".join(lines).replace(b'"version":1', b'"version":99'),
            "behind the end": b"".join([*lines, lines[-1]]),
        }
        for complaint, text in cases.items():
            path.write_bytes(text)
            with pytest.raises(ArchiveError, match=complaint):
                await restore(path, memory)
        with pytest.raises(InvalidArgumentError, match="broken"):
            await export(private, path, progress=_refuse)
        assert not unfinished(tmp_path)
        packed = tmp_path / "m.jsonl.gz"
        packed.write_bytes(gzip.compress(b"".join(lines))[:-30])
        with pytest.raises(ArchiveError, match="cut short"):
            await restore(packed, memory)
        for name in ("m.gz", "m.zst"):
            # The content tells, not the name.
            (tmp_path / name).write_bytes(b"".join(lines))
            assert (await restore(tmp_path / name, memory)).read == len(lines) - 2

    async def test_an_open_file_is_written_and_read(
        self, memory: Memory, private: Memory, tmp_path: Path
    ) -> None:
        await fill(memory, 50)
        with io.BytesIO() as file:
            await export(memory, file)
            for packed in (file.getvalue(), gzip.compress(file.getvalue())):
                await restore(io.BytesIO(packed), private, on_conflict="overwrite")
                assert (await compare(memory, private)).equal
            with pytest.raises(ArchiveError, match=r"the stream: line \d+ is no JSON"):
                await restore(io.BytesIO(file.getvalue()[:-100]), private)
            with pytest.raises(InvalidArgumentError, match="name a path"):
                await restore(file, private, checkpoint=tmp_path / "checkpoint")

    async def test_between_fleets_of_one_store(
        self, connect: Connect, fleet: str, memory: Memory, opened: AsyncExitStack
    ) -> None:
        other = await opened.enter_async_context(
            connect(fleet=f"{fleet}-copy", cleanup_interval=None)
        )
        await fill(memory)
        await copy(memory, other)
        assert (await compare(memory, other)).equal
        await other.clear_partition("p0")
        await other.clear_partition("p1")


async def expire_clock(memory: Memory) -> None:
    """Wait until the clock of the memory's server has gone on."""
    await memory.store("aqe/tick", 1, ttl=0.02)
    await expire(memory, "aqe/tick")


def _refuse(_: Tally) -> None:
    raise InvalidArgumentError("broken off")
