"""A memory's entries as a file: JSON lines, plain or compressed (.gz, .zst).

The first line names the format, each further one is an entry, the last one tells their number and
digest, so that a file cut short or damaged is found out. Expiry is kept as a moment: an entry that
was to expire at noon does so wherever and whenever the file is imported.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib
import io
import os
import sys
import zlib
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import orjson

from lionagi_qe.deprecation import renamed
from lionagi_qe.errors import (
    ArchiveError,
    ConfigurationError,
    InvalidArgumentError,
    InvalidKeyError,
)
from lionagi_qe.files import replacing
from lionagi_qe.persistence.contract.records import Record
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.server_support.server_clock import ServerClock
from lionagi_qe.persistence.transfer.copying import (
    DEFAULT_PAGE_SIZE,
    MAX_BATCH,
    Checkpoint,
    Part,
    Policy,
    Store,
    Tally,
    finish,
    identity,
    stream,
)
from lionagi_qe.persistence.transfer.verify import Digest
from lionagi_qe.persistence.values import keys as naming
from lionagi_qe.persistence.values.entry import check_count
from lionagi_qe.persistence.values.glob import compile_glob

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from lionagi_qe.persistence.memory import Memory

# A path, or an open file of bytes.
File = str | os.PathLike[str] | IO[bytes]
FORMAT = "lionagi-qe-memory"
VERSION = 1
# Entries are small and many: beyond this level time grows faster than files shrink.
_GZIP_LEVEL = 5
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_MAX_LINES = DEFAULT_PAGE_SIZE
_MAX_PART_BYTES = 16 * 1024 * 1024


@renamed(batch="page_size")
async def export(  # noqa: PLR0913 - keyword-only settings with defaults
    source: Memory,
    path: File,
    *,
    pattern: str = "*",
    partition: str | None = None,
    progress: Callable[[Tally], None] | None = None,
    page_size: int = DEFAULT_PAGE_SIZE,
) -> Tally:
    """Write the live entries that match to ``path``, in the order of their changes.

    The file appears when it is whole, and only its owner may read it: a killed export leaves
    ``path`` as it was (and a file ``.NAME.*.part`` beside it). A link of that name is replaced, not
    followed. An open binary file may be given instead, and is left open. Costs what
    ``transfer.copy`` costs to read.
    """
    glob = compile_glob(pattern)
    check_count("page_size", page_size, MAX_BATCH)
    if partition is not None:
        naming.check_partition(partition)
    clock = ServerClock(parts_of(source).bulk.clock)
    tally, total = Tally(), Digest()
    with _writing(path) as file:
        head = {"format": FORMAT, "version": VERSION, "fleet": source.fleet, "pattern": pattern}
        file.write(orjson.dumps({**head, "exported_at": _iso(await clock.now())}) + b"\n")
        position = await parts_of(source).bulk.begin(None)
        async for part in stream(source, glob, partition, page_size, position):
            lines: list[bytes] = []
            for record in part.records:
                total.add(record.key, record.partition, record.payload)
                lines.append(_line(record))
            await asyncio.to_thread(file.write, b"".join(lines))
            size = sum(len(record.payload) for record in part.records)
            count = tally.stored + len(lines)
            tally = Tally(count, count, payload_bytes=tally.payload_bytes + size)
            if progress is not None:
                progress(tally)
        file.write(orjson.dumps({"entries": total.entries, "digest": str(total)}) + b"\n")
    await finish(source, position)
    return tally


@renamed(batch="page_size")
async def restore(  # noqa: PLR0913 - keyword-only settings with defaults
    path: File,
    target: Memory,
    *,
    pattern: str = "*",
    partition: str | None = None,
    on_conflict: Policy = "skip",
    dry_run: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[Tally], None] | None = None,
) -> Tally:
    """Store the entries of an exported file that match; arguments as those of ``transfer.copy``.

    Instead of a path an open, seekable binary file may be given; it has no checkpoint.
    Raises ArchiveError, naming the line, if the file is no archive or was damaged; what stood
    before that line is stored by then.
    """
    glob = compile_glob(pattern)
    if partition is not None:
        naming.check_partition(partition)
    store = Store(target, on_conflict, dry_run=dry_run)
    saved = None
    if checkpoint is not None and not dry_run:
        if not isinstance(path, str | os.PathLike):
            msg = "checkpoint: an open file can't be read again by another process; name a path"
            raise InvalidArgumentError(msg)
        path = Path(path)
        facts = await asyncio.to_thread(path.stat)
        what = {"source": f"{path.absolute()}, {facts.st_size} bytes", "pattern": pattern}
        what |= {"partition": partition or "", "target": await identity(target)}
        saved = Checkpoint(Path(checkpoint), what)
    position, tally = (None, Tally()) if saved is None else saved.load()

    async def parts() -> AsyncGenerator[Part]:
        async for part in read(path, skip=int(position or 0)):
            matching = [
                record
                for record in part.records
                if partition in {None, record.partition} and glob.matches(record.key)
            ]
            yield Part(matching, part.position)

    return await store.take(
        parts(), ServerClock(parts_of(target).bulk.clock), tally, saved, progress
    )


async def read(path: File, *, skip: int = 0) -> AsyncGenerator[Part]:
    """Yield the entries of an exported file, but for the first ``skip``, and check it whole.

    The records' expiry is a moment in ms since 1970; a part's position is its last entry's number.
    """
    total = Digest()
    with _reading(path) as (name, file):
        _check_head(name, await _next_lines(name, file, 1))
        done = False
        while lines := await _next_lines(name, file, _MAX_LINES):
            # One that changed while it was exported stands there twice: the later one holds.
            records: dict[str, Record] = {}
            for line in lines:
                if done:
                    raise _bad(name, total.entries + 3, "stands behind the end")
                number = total.entries + 2
                fields = _fields(name, number, line)
                if "entries" in fields:
                    _check_tail(name, number, fields, total)
                    done = True
                    continue
                record = _record(name, number, fields)
                total.add(record.key, record.partition, record.payload)
                if total.entries > skip:
                    records.pop(record.key, None)
                    records[record.key] = record
            if records:
                yield Part([*records.values()], str(total.entries))
        if not done:
            raise _bad(name, total.entries + 2, "is missing: the file was cut short")


def _line(record: Record) -> bytes:
    fields: dict[str, Any] = {
        "key": record.key,
        "partition": record.partition,
        "revision": record.revision,
        "updated_at": _iso(record.updated_ms),
    }
    if record.expires_ms is not None:
        fields["expires_ms"] = record.expires_ms
    payload = record.payload
    fields["value"] = orjson.Fragment(payload)
    return orjson.dumps(fields) + b"\n"


def _record(name: str, number: int, fields: dict[str, Any]) -> Record:
    try:
        updated = datetime.fromisoformat(fields["updated_at"])
        return Record(
            naming.check_key(fields["key"]),
            orjson.dumps(fields["value"]),
            int(fields["revision"]),
            naming.check_partition(fields["partition"]),
            0,
            round(updated.timestamp() * 1000),
            None if fields.get("expires_ms") is None else int(fields["expires_ms"]),
        )
    except InvalidKeyError as error:
        raise _bad(name, number, f"has no key of a memory ({error})") from error
    except (KeyError, ValueError, TypeError) as error:
        raise _bad(name, number, "is no entry") from error


def _check_head(name: str, lines: list[bytes]) -> None:
    head = _fields(name, 1, lines[0]) if lines else {}
    if head.get("format") != FORMAT:
        raise _bad(name, 1, f"does not say that this is a file of the format {FORMAT}")
    if head.get("version") != VERSION:
        raise _bad(name, 1, f"tells version {head.get('version')}; this package reads {VERSION}")


def _check_tail(name: str, number: int, fields: dict[str, Any], total: Digest) -> None:
    if fields.get("entries") != total.entries or fields.get("digest") != str(total):
        reason = f"tells of {fields.get('entries')} entries with another digest than these"
        raise _bad(name, number, f"{reason} {total.entries}: the file was changed or damaged")


def _fields(name: str, number: int, line: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(line)
    except ValueError as error:
        raise _bad(name, number, "is no JSON") from error
    if not isinstance(fields, dict):
        raise _bad(name, number, "is no JSON object")
    return cast("dict[str, Any]", fields)


def _bad(name: str, number: int, reason: str) -> ArchiveError:
    return ArchiveError(f"{name}: line {number} {reason}")


async def _next_lines(name: str, file: IO[bytes], limit: int) -> list[bytes]:
    def take() -> list[bytes]:
        lines: list[bytes] = []
        room = _MAX_PART_BYTES
        while len(lines) < limit and room > 0 and (line := file.readline()):
            lines.append(line)
            room -= len(line)
        return lines

    try:
        return await asyncio.to_thread(take)
    except (EOFError, OSError, zlib.error, *_zstd_errors()) as error:
        msg = f"{name}: can't be read to its end ({error}): cut short, damaged or not compressed so"
        raise ArchiveError(msg) from error


@contextmanager
def _writing(path: File) -> Generator[IO[bytes]]:
    """Yield what to write to; a file appears under its name when all went well."""
    if not isinstance(path, str | os.PathLike):
        yield path
        return
    suffix = Path(path).suffix
    with replacing(path) as whole, ExitStack() as stack:
        file: Any = whole
        if suffix == ".gz":
            file = stack.enter_context(gzip.open(file, "wb", compresslevel=_GZIP_LEVEL))
        elif suffix == ".zst":
            file = stack.enter_context(_zstandard(str(path)).open(file, "wb", closefd=False))
        yield file


@contextmanager
def _reading(path: File) -> Generator[tuple[str, IO[bytes]]]:
    """Yield what errors call the file, and its text; its first bytes tell if it is compressed."""
    with ExitStack() as stack:
        if isinstance(path, str | os.PathLike):
            plain = stack.enter_context(Path(path).open("rb"))
            # A pipe has no way back: looked at, not read.
            name, file, start = str(path), cast("IO[bytes]", plain), plain.peek(len(_ZSTD))
        else:
            name, file, start = "the stream", path, path.read(len(_ZSTD))
            file.seek(-len(start), io.SEEK_CUR)
        if start.startswith(_GZIP):
            file = cast("IO[bytes]", stack.enter_context(gzip.open(file)))
        elif start.startswith(_ZSTD):
            file = io.BufferedReader(stack.enter_context(_zstandard(name).open(file, "rb")))
        yield name, file


def _zstandard(name: str) -> Any:  # noqa: ANN401 - a module without types
    try:
        return importlib.import_module("zstandard")
    except ImportError as error:
        msg = f"{name}: .zst needs the package zstandard: pip install zstandard; or use .gz"
        raise ConfigurationError(msg) from error


def _zstd_errors() -> tuple[type[Exception], ...]:
    zstandard = sys.modules.get("zstandard")
    return () if zstandard is None else (zstandard.ZstdError,)


def _iso(milliseconds: float) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
