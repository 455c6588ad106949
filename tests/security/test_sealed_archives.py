"""Archives of encrypted memories: nothing in clear, and nothing changed, left out or exchanged."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import orjson
import pytest
from tests import programs

from lionagi_qe import ArchiveError, ConfigurationError, KeyRing, open_memory
from lionagi_qe.persistence import transfer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from lionagi_qe import Memory

FIRST, SECOND = KeyRing.generate("first"), KeyRing.generate("second")
KEYS = KeyRing.parse(FIRST)
SECRET = "the-secret-of-the-fleet"


@pytest.fixture
async def memory() -> AsyncGenerator[Memory]:
    async with open_memory("memory://", keys=KEYS) as memory:
        await memory.store("aqe/a", {"text": SECRET, "n": [1, 1.5, None]}, ttl=600, partition="p")
        await memory.store("aqe/b", SECRET)
        await memory.store("aqe/long", "x" * 1_000_000)
        yield memory


async def exported(memory: Memory) -> list[bytes]:
    file = io.BytesIO()
    await transfer.export(memory, file)
    return file.getvalue().splitlines(keepends=True)


async def restored(lines: list[bytes], keys: KeyRing | None = KEYS, fleet: str = "x") -> Memory:
    target = open_memory("memory://", fleet=fleet, keys=keys, max_value_bytes=1_000_002)
    try:
        await transfer.restore(io.BytesIO(b"".join(lines)), target)
    except BaseException:
        await target.close()
        raise
    return target


async def test_an_archive_is_sealed_and_comes_back_whole(memory: Memory) -> None:
    lines = await exported(memory)
    assert SECRET.encode() not in b"".join(lines)
    newer = KeyRing.parse(f"{SECOND},{FIRST}")
    async with await restored(lines, newer) as target:
        found = await transfer.compare(memory, target)
        assert found.equal, found.first
        assert found.source.entries == 3


async def test_scopes_export_what_is_sealed_too(memory: Memory) -> None:
    lines = await exported(memory.scoped("agent", read=["aqe/b"]))
    assert len(lines) == 3
    assert SECRET.encode() not in b"".join(lines)
    async with await restored(lines) as target:
        assert await target.search("*") == {"aqe/b": SECRET}


async def test_values_are_written_in_clear_only_when_asked_for(
    memory: Memory, tmp_path: Path
) -> None:
    path = tmp_path / "memory.jsonl"
    await transfer.export(memory, path, in_clear=True)
    assert SECRET in path.read_text()
    async with open_memory("memory://") as target:
        await transfer.restore(path, target)
        assert (await transfer.compare(memory, target)).equal


async def test_the_keys_have_to_be_there(memory: Memory) -> None:
    lines = await exported(memory)
    with pytest.raises(ConfigurationError, match="open the memory with the keys"):
        await restored(lines, None)
    with pytest.raises(ArchiveError, match=r"line 2 can't be opened .*key 'first'"):
        await restored(lines, KeyRing.parse(SECOND))
    with pytest.raises(ArchiveError, match="another key of this id"):
        await restored(lines, KeyRing.parse(KeyRing.generate("first")))


def replaced(line: bytes, **fields: object) -> bytes:
    return orjson.dumps({**orjson.loads(line), **fields}) + b"\n"


async def test_nothing_is_changed_exchanged_or_left_out(memory: Memory) -> None:
    """The attacker mends the digest, which is no secret."""
    head, a, b, *rest, end = await exported(memory)
    other = await exported(memory)
    value = orjson.loads(a)["value"]
    for changed in (
        [head, replaced(a, value=orjson.loads(b)["value"]), b, *rest],
        [head, replaced(a, value=SECRET), b, *rest],
        [head, replaced(a, value={"text": SECRET}), b, *rest],
        [head, replaced(a, key="aqe/c"), b, *rest],
        [head, replaced(a, partition="q"), b, *rest],
        [head, replaced(a, expires_ms=None), b, *rest],
        [head, replaced(a, revision=99), b, *rest],
        [head, replaced(a, updated_at="2031-01-01T00:00:00.000+00:00"), b, *rest],
        [head, replaced(a, value=value[:-8] + "AAAAAAA="), b, *rest],
        [head, b, *rest],
        [head],
        [head, a, other[2], *rest],
        [other[0], a, b, *rest],
        [replaced(head, fleet="another"), a, b, *rest],
        [replaced(head, archive="another"), a, b, *rest],
        [replaced(head, archive=None), a, b, *rest],
    ):
        with pytest.raises(ArchiveError, match="line"):
            await restored([*changed, mended(end, changed[1:])])


def mended(end: bytes, entries: list[bytes]) -> bytes:
    total = transfer.Digest()
    for line in map(orjson.loads, entries):
        total.add(line["key"], line["partition"], orjson.dumps(line["value"]))
    return replaced(end, entries=total.entries, digest=str(total))


def test_commands_seal_and_open_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEYS", FIRST)
    source, target = (f"sqlite:///{tmp_path}/{name}.db?keys=MY_KEYS" for name in ("a", "b"))
    path = str(tmp_path / "memory.jsonl.gz")

    def aqe(*arguments: str) -> tuple[int, str, str]:
        return programs.call(*programs.AQE, "memory", *arguments)

    assert aqe("set", "aqe/a", SECRET, "--text", "--memory", source)[0] == 0
    assert aqe("get", "aqe/a", "--memory", source)[1] == f'"{SECRET}"\n'
    assert aqe("export", path, "--memory", source)[0] == 0
    code, _, told = aqe("import", path, "--memory", f"sqlite:///{tmp_path}/plain.db")
    assert (code, "?keys=VARIABLE" in told) == (2, True)
    assert aqe("import", path, "--memory", target)[0] == 0
    assert aqe("verify", source, target)[0] == 0
    code, said, _ = aqe("export", "-", "--in-clear", "--memory", source)
    assert (code, SECRET in said) == (0, True)
    code, _, told = aqe("get", "aqe/a", "--memory", source.partition("?")[0])
    assert (code, "sealed" in told, SECRET in told) == (3, True, False)
    monkeypatch.delenv("MY_KEYS")
    code, _, told = aqe("get", "aqe/a", "--memory", source)
    assert (code, "MY_KEYS holds no keys" in told) == (2, True)
