"""What workers and commanders fetch from a memory, where anybody may have put something else."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import resource
import subprocess
import sys
import tarfile
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lionagi_qe.errors import AqeError, InvalidValueError
from lionagi_qe.fleet import blobs, serialization, source_extraction
from lionagi_qe.fleet.blobs import Blobs
from lionagi_qe.fleet.source_archive import digest_of, packed_tree
from lionagi_qe.fleet.source_extraction import unpack_tree
from lionagi_qe.persistence import open_memory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Member = tuple[str, bytes, str]
FUZZED = settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def archive(members: Iterable[Member]) -> bytes:
    """Return an archive of members: name, type, and a link's target or a file's content."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
            else:
                info.linkname = content
            tar.addfile(info, io.BytesIO(content.encode()))
    return file.getvalue()


FILE, LINK, HARD, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", FILE, "x")],
        [("a/../../evil", FILE, "x")],
        [("/aqe-evil", FILE, "x")],
        [("a//b", FILE, "x")],
        [("link", LINK, "/etc")],
        [("link", LINK, "..")],
        [("a/link", LINK, "../..")],
        [("a/link", LINK, "b/../../..")],
        [("a/l", LINK, "."), ("out", LINK, "a/l/../../..")],
        # Written through a link, whichever comes first.
        [("a", LINK, "b"), ("a/evil", FILE, "x")],
        [("a/evil", FILE, "x"), ("a", LINK, "b")],
        [("a", LINK, "b"), ("a/c", LINK, "d")],
        [("a", FILE, "x"), ("a", LINK, "/etc/passwd")],
        [("hard", HARD, "/etc/passwd")],
        [("pipe", tarfile.FIFOTYPE, "")],
        [("disk", tarfile.BLKTYPE, "")],
        [("null", tarfile.CHRTYPE, "")],
    ],
)
def test_nothing_is_laid_out_elsewhere(tmp_path: Path, members: list[Member]) -> None:
    target = tmp_path / "outer" / "tree"
    target.parent.mkdir()
    with pytest.raises(AqeError, match="the project that was shipped"):
        unpack_tree(archive(members), target)
    assert {path.name for path in tmp_path.rglob("*")} <= {"outer", "tree", "a", "l", "evil"}
    assert all(path.resolve().is_relative_to(target.resolve()) for path in target.rglob("*"))


def test_a_tree_comes_back_with_its_links_and_rights(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "package" / "empty").mkdir(parents=True)
    (tree / "package" / "module.py").write_text("x = 1\n")
    (tree / "run").write_text("#!/bin/sh\n")
    (tree / "run").chmod(0o755)
    for name, end in {
        "here": ".",
        "link": "package/module.py",
        "nothing": "package/missing",
        "package/up": "../run",
        "package/empty/root": "../..",
        "folder": "package",
    }.items():
        (tree / name).symlink_to(end)
    unpack_tree(packed_tree(tree), tmp_path / "again")
    assert digest_of(tmp_path / "again") == digest_of(tree)


def test_a_tree_beyond_the_limits_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_extraction, "MAX_MEMBERS", 3)
    monkeypatch.setattr(source_extraction, "MAX_TREE_BYTES", 100)
    with pytest.raises(AqeError, match="more than 3 members"):
        unpack_tree(archive([(str(at), FILE, "") for at in range(4)]), tmp_path / "many")
    with pytest.raises(AqeError, match="or 100 bytes"):
        unpack_tree(archive([("a", FILE, "x" * 60), ("b", FILE, "x" * 60)]), tmp_path / "large")
    assert not (tmp_path / "large" / "b").exists()


TAKE = """
import sys
from pathlib import Path
from lionagi_qe.errors import AqeError
from lionagi_qe.fleet.serialization import unpacked
from lionagi_qe.fleet.source_extraction import unpack_tree

for at, name in enumerate(sys.argv[1:]):
    try:
        if name.endswith("z64"):
            unpacked(Path(name).read_text())
        else:
            unpack_tree(Path(name).read_bytes(), Path(f"{name}.tree"))
    except AqeError as error:
        print(error)
"""


def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    """A name of a GiB, headers without end, a text of 260 MiB."""
    long_name = tarfile.TarInfo("x")
    long_name.type, long_name.size = tarfile.XHDTYPE, 1 << 30
    headers = tarfile.TarInfo("x")
    headers.type = tarfile.XGLTYPE
    mib = b"\0" * (1 << 20)
    # The name that is announced need not be there.
    for name, first, block in (
        ("name.tgz", long_name.tobuf(), mib),
        ("headers.tgz", b"", headers.tobuf() * 2048),
    ):
        packed = gzip.compress(first) + gzip.compress(block) * 1024
        (tmp_path / name).write_bytes(packed)
    packer = zlib.compressobj(1)
    parts = [packer.compress(b'"'), *(packer.compress(b"x" * (1 << 20)) for _ in range(260))]
    text = base64.b64encode(b"".join([*parts, packer.flush()]))
    (tmp_path / "text.z64").write_bytes(text)
    names = ["name.tgz", "headers.tgz", "text.z64"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (900 << 20, 900 << 20))

    done = subprocess.run(
        [sys.executable, "-c", TAKE, *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
        timeout=120,
    )
    told = done.stdout.splitlines()
    assert (done.returncode, len(told)) == (0, 3), done.stderr
    assert "a name of 1,073,741,824 bytes" in told[0]
    assert "bytes that a message may have" in told[2]


@FUZZED
@given(
    members=st.lists(
        st.tuples(
            st.lists(st.sampled_from(["a", "b", "..", ".", "", "c"]), min_size=1, max_size=4),
            st.sampled_from([FILE, LINK, HARD, FOLDER]),
            st.lists(st.sampled_from(["a", "b", "..", ".", "", "c"]), min_size=1, max_size=5),
        ),
        max_size=6,
    ),
    numbers=st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=4)), max_size=3),
)
def test_no_archive_reaches_beyond_its_directory(
    members: list[tuple[list[str], bytes, list[str]]],
    numbers: list[tuple[int, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    outer = tmp_path_factory.mktemp("outer")
    content = archive([("/".join(n) or "x", kind, "/".join(end)) for n, kind, end in members])
    plain = bytearray(gzip.decompress(content))
    for at, some in numbers:
        plain[at : at + len(some)] = some
    target = outer / "in" / "tree"
    target.parent.mkdir()
    with contextlib.suppress(AqeError):
        unpack_tree(gzip.compress(bytes(plain), 1), target)
    assert [*outer.iterdir()] == [target.parent]
    assert [*target.parent.iterdir()] == [target]
    root = target.resolve()
    for path in target.rglob("*"):
        # What leads round in circles has no end that could be outside.
        assert not path.exists() or path.resolve().is_relative_to(root)


@FUZZED
@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["$", "items", "name", "tests", "files", "commit", "x"]),
                inner | st.sampled_from(["dict", "tuple", "set", "TestMap", "Metric", "Hunk"]),
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_what_was_sent_is_read_or_refused(data: object) -> None:
    text = base64.b64encode(zlib.compress(json.dumps(data).encode())).decode()
    with contextlib.suppress(InvalidValueError):
        serialization.unpacked(text)


@pytest.mark.parametrize("text", ["", "!", "AAAA", "eJwDAAAAAAE=", 5, None, ["x"]])
def test_what_is_no_message_is_refused(text: Any) -> None:
    with pytest.raises(InvalidValueError, match="received"):
        serialization.unpacked(text)


def test_nesting_without_end_is_refused() -> None:
    text = base64.b64encode(zlib.compress(b"[" * 100_000)).decode()
    with pytest.raises(InvalidValueError, match="received"):
        serialization.unpacked(text)


@pytest.mark.parametrize("count", [10**12, -1, 0, "5", 2.5, True, [1]])
async def test_a_blob_of_an_impossible_size_is_none(count: object) -> None:
    async with open_memory("memory://") as memory:
        await memory.store(f"{blobs.PREFIX}/x", count)
        with pytest.raises(AqeError, match="none of a size"):
            await Blobs(memory).get("x")


@pytest.mark.parametrize("chunk", [5, "not base64!", "A", "A" * 2_000_000])
async def test_a_blob_with_a_chunk_that_is_none_is_refused(chunk: object) -> None:
    async with open_memory("memory://") as memory:
        await memory.store(f"{blobs.PREFIX}/x", 1)
        await memory.store(f"{blobs.PREFIX}/x/000000", chunk)
        with pytest.raises(AqeError, match="has a chunk that is none"):
            await Blobs(memory).get("x")


async def test_a_blob_that_is_too_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "MAX_BLOB_BYTES", 10)
    async with open_memory("memory://") as memory:
        with pytest.raises(AqeError, match="leave large files out of the project"):
            await Blobs(memory).put(b"x" * 11)
        assert await memory.list_keys() == []
