"""Archives of strangers: bounded whatever they hold, and never half imported without a word."""

from __future__ import annotations

import gzip
import io
import json
import re
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests import programs

from lionagi_qe.errors import ArchiveError, ValueTooLargeError
from lionagi_qe.persistence import open_memory, transfer
from lionagi_qe.persistence.transfer import Limits

if TYPE_CHECKING:
    from pathlib import Path

HEAD = (
    b'{"format":"lionagi-qe-memory","version":1,"fleet":"default","pattern":"*",'
    b'"exported_at":"2026-01-01T00:00:00.000+00:00"}\n'
)
FIELDS = {
    "key": "aqe/a",
    "partition": "default",
    "revision": 1,
    "updated_at": "2026-01-01T00:00:00.000+00:00",
    "value": 1,
}
FUZZED = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ADDRESS_SPACE = 600 * 1024 * 1024
MIB = 1024 * 1024
IMPORT = """
import asyncio, sys
from lionagi_qe.errors import ArchiveError
from lionagi_qe.persistence import open_memory, transfer

async def main():
    async with open_memory("memory://", max_value_bytes=int(sys.argv[1])) as memory:
        for path in sys.argv[2:]:
            try:
                await transfer.restore(path, memory)
            except ArchiveError as error:
                print(error)

asyncio.run(main())
"""


def entry(**changed: Any) -> bytes:
    return json.dumps({**FIELDS, **changed}).encode() + b"\n"


def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    begun = HEAD + entry()[:-3]
    entries = entry(value=["x" * 1000] * 1000)
    bombs = {
        # A first block, and a further one so many times.
        "line.gz": (HEAD, b"x" * MIB, 1024),
        "head.gz": (b" ", b" " * MIB, 1024),
        "string.gz": (begun + b'"', b"x" * MIB, 1024),
        "lists.gz": (begun + b"[0", b",[]" * (MIB // 3), 1024),
        "nested.gz": (begun, b"[" * MIB, 1024),
        "entries.gz": (HEAD, entries, 1024),
        "entries.zst": (HEAD, entries, 1024),
    }
    for name, (first, block, times) in bombs.items():
        # Compressed files one after the other are one.
        pack = gzip.compress if name.endswith("gz") else zstandard.compress
        (tmp_path / name).write_bytes(pack(first) + pack(block) * times)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))

    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(2 * MIB), *(str(tmp_path / name) for name in bombs)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
        timeout=240,
    )
    told = done.stdout.splitlines()
    assert (done.returncode, len(told)) == (0, len(bombs)), done.stderr
    for name, line in zip(bombs, told, strict=True):
        expected = "200 times as much" if "entries" in name else "is longer than 2,"
        assert expected in line, line
        assert re.search(r"line \d+ .*\(byte [\d,]+ of the text\); .* stored$", line), line
    assert "line 2 is longer" in told[0]
    assert told[0].endswith("nothing was stored")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"[]\n", "is no JSON object"),
        (b'{"key"', "is no JSON"),
        (b"\xff\xfe\n", "is no JSON"),
        (b"[" * 2000 + b"]" * 2000, r"is no JSON \(.*depth"),
        (entry(value=json.loads("[" * 300 + "]" * 300)), "nested deeper than 254 levels"),
        (entry(key="../etc"), "has no key"),
        (entry(key="aqe/a\x1b[31m"), r"has no key of a memory \(key 'aqe/a\\x1b"),
        (entry(partition=""), "has no partition"),
        (entry(revision=-1), "is no entry"),
        (entry(revision=True), "is no entry"),
        (entry(revision=2**63), "is no entry"),
        (entry(updated_at="2026-01-01T00:00:00"), "is no entry"),
        (entry(updated_at="0001-01-01T00:00:00+00:00"), "is no entry"),
        (entry(updated_at=5), "is no entry"),
        (entry(expires_ms=10**18), "is no entry"),
        (entry(expires_ms=1e308), "is no entry"),
        (b'{"entries":"\\u001b[2J' + b"x" * 100 + b'"}\n', r"tells of '\\x1b\[2Jx+\.\.\. entries"),
        (b'{"entries":2,"digest":[]}\n', "was changed or damaged"),
        (b"", "line 3 is missing"),
    ],
)
async def test_what_is_wrong_is_told_with_its_place(line: bytes, complaint: str) -> None:
    async with open_memory("memory://") as memory:
        with pytest.raises(ArchiveError, match=complaint) as caught:
            await transfer.restore(io.BytesIO(HEAD + entry() + line), memory)
    told = str(caught.value)
    assert "the stream: line 3 " in told
    assert told.isprintable()
    if line:
        assert f"(byte {len(HEAD + entry())} of the text)" in told


async def test_limits_are_the_callers_choice() -> None:
    pack = gzip.compress
    text = pack(HEAD + entry()[:-3] + b'"') + pack(b"x" * MIB) * 65 + pack(b'"}\n')
    packed = io.BytesIO(text)
    several = HEAD + entry(key="aqe/a") + entry(key="aqe/b", value="x" * 100)
    async with open_memory("memory://", max_value_bytes=66 * MIB) as memory:
        with pytest.raises(ArchiveError, match="200 times as much"):
            await transfer.restore(packed, memory)
        packed.seek(0)
        with pytest.raises(ArchiveError, match="line 3 is missing"):
            await transfer.restore(packed, memory, limits=Limits(expansion=2_000))
        with pytest.raises(ArchiveError, match="line 3 has more than the 1 entries allowed"):
            await transfer.restore(io.BytesIO(several), memory, limits=Limits(entries=1))
        with pytest.raises(ArchiveError, match=f"line 3 is longer than {len(HEAD)} bytes"):
            await transfer.restore(io.BytesIO(several), memory, limits=Limits(line_bytes=len(HEAD)))


async def test_a_time_beyond_all_limits_is_the_longest_that_there_is() -> None:
    async with open_memory("memory://") as memory:
        text = HEAD + entry(expires_ms=253_402_300_000_000)
        with pytest.raises(ArchiveError, match="1 entries before it were stored"):
            await transfer.restore(io.BytesIO(text), memory)
        held = await memory.entry("aqe/a")
        assert held is not None
        assert held.expires_at is not None
        assert held.expires_at.year in range(2120, 2135)


def test_a_failed_import_says_what_it_left(tmp_path: Path) -> None:
    archive = tmp_path / "a.jsonl"
    lines = [entry(key=f"aqe/{at}", value="x" * (3 if at < 3_000 else 200)) for at in range(3_500)]
    archive.write_bytes(HEAD + b"".join(lines))
    url = f"sqlite:///{tmp_path}/m.db"
    done = programs.call(*programs.AQE, "memory", "import", archive, "--memory", url)
    assert (done.code, done.output) == (3, "")
    assert (
        "line 3502 is missing: the file was cut short; 3,500 entries before it" in done.complaints
    )
    done = programs.call(
        *programs.AQE, "memory", "import", archive, "--memory", url, "--max-entries", "2000"
    )
    assert "line 2002 has more than the 2,000 entries allowed" in done.complaints


async def test_what_the_target_refuses_is_told_with_what_was_stored_before() -> None:
    lines = [
        entry(key=f"aqe/{at}", value="x" * (3 if at < 3_000 else 2_000)) for at in range(3_500)
    ]
    async with open_memory("memory://", max_value_bytes=1_000) as memory:
        with pytest.raises(ValueTooLargeError) as caught:
            await transfer.restore(io.BytesIO(HEAD + b"".join(lines)), memory)
        assert caught.value.__notes__ == ["3,000 entries of the pages before were stored"]
        assert (await memory.get_stats())["total_keys"] == 3_000


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return an archive with some bytes changed, cut, doubled or put in."""
    values = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
    keys = draw(st.lists(st.integers(0, 20), max_size=8))
    lines = [entry(key=f"aqe/{key}", value=draw(values)) for key in keys]
    text = bytearray(HEAD + b"".join(lines) + b'{"entries":%d,"digest":""}\n' % len(lines))
    pieces = st.sampled_from([b"", b"\n", b'"', b"{", b"[" * 300, b"\x00", b"1e999", b"9" * 30])
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 30))] = draw(pieces | st.binary(max_size=10))
    pack = draw(st.sampled_from([bytes, gzip.compress, zstandard.compress]))
    packed = bytearray(pack(bytes(text)))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(packed)))
        packed[at : at + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    return bytes(packed)


@FUZZED
@given(content=damaged())
@example(content=b"")
@example(content=gzip.compress(b"")[:12])
async def test_a_damaged_archive_is_imported_whole_or_the_rest_is_told(content: bytes) -> None:
    async with open_memory("memory://", cleanup_interval=None) as memory:
        try:
            tally = await transfer.restore(io.BytesIO(content), memory, on_conflict="overwrite")
        except ArchiveError as error:
            complaint = str(error)
        else:
            assert tally.stored == tally.read
            return
        held = (await memory.get_stats())["total_keys"]
        told = re.search(r"([\d,]+|nothing) (entries before it were|was) stored$", complaint)
        assert told is not None, complaint
        assert (told[1] == "nothing") == (held == 0)
        assert complaint.isprintable()


@FUZZED
@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    pack=st.sampled_from(["", ".gz", ".zst"]),
)
async def test_any_value_comes_back(
    value: object, pack: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{pack}"
    async with open_memory("memory://") as one, open_memory("memory://") as other:
        await one.store("aqe/a", value)
        await transfer.export(one, path)
        await transfer.restore(path, other)
        assert orjson.dumps(await other.retrieve("aqe/a")) == orjson.dumps(value)
