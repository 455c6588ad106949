"""A memory's entries as a file: JSON lines, plain or compressed (.gz, .zst).

The first line names the format, each further one is an entry, the last one tells their number and
digest, so that a file cut short or damaged is found out. Expiry is kept as a moment: an entry that
was to expire at noon does so wherever and whenever the file is imported.
"""

from __future__ import annotations

import asyncio
import gzip
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lionagi_qe.deprecation import renamed
from lionagi_qe.errors import ArchiveError, InvalidArgumentError
from lionagi_qe.files import replacing
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.server_support.server_clock import ServerClock
from lionagi_qe.persistence.transfer.archive_format import (
    LINE_OVERHEAD,
    check_head,
    end_line,
    entry_line,
    head_line,
    record_of,
)
from lionagi_qe.persistence.transfer.archive_lines import File, Limits, bad, reading, zstandard
from lionagi_qe.persistence.transfer.archive_sealing import ArchiveSeal, sealed_bytes
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
from lionagi_qe.persistence.values.codec import MAX_VALUE_BYTES
from lionagi_qe.persistence.values.entry import check_count
from lionagi_qe.persistence.values.glob import compile_glob

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from lionagi_qe.persistence.contract.records import Record
    from lionagi_qe.persistence.encryption.keys import KeyRing
    from lionagi_qe.persistence.memory import Memory
    from lionagi_qe.persistence.transfer.archive_lines import Lines

# Entries are small and many: beyond this level time grows faster than files shrink.
_GZIP_LEVEL = 5
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
    in_clear: bool = False,
) -> Tally:
    """Write the live entries that match to ``path``, in the order of their changes.

    The file appears when it is whole, and only its owner may read it: a killed export leaves
    ``path`` as it was (and a file ``.NAME.*.part`` beside it). A link of that name is replaced, not
    followed. An open binary file may be given instead, and is left open. Costs what
    ``transfer.copy`` costs to read.

    Values of a memory with keys are sealed by the first of them, each for its line of this file;
    ``in_clear`` writes them in clear. Where names are hidden, they are sealed with the values.
    """
    glob = compile_glob(pattern)
    check_count("page_size", page_size, MAX_BATCH)
    if partition is not None:
        naming.check_partition(partition)
    clock = ServerClock(parts_of(source).bulk.clock)
    tally, total = Tally(), Digest()
    ring = None if in_clear else parts_of(source).keys
    seal = (
        None
        if ring is None
        else ArchiveSeal.new(ring, source.fleet, hides_names=not source.capabilities.ordered)
    )
    with _writing(path) as file:
        file.write(head_line(source.fleet, pattern, await clock.now(), seal))
        position = await parts_of(source).bulk.begin(None)
        async for part in stream(source, glob, partition, page_size, position):
            lines: list[bytes] = []
            for record in part.records:
                written = record if seal is None else seal.seal(record, total.entries + 1)
                # Of what is written: a digest of values would tell of those that can be guessed.
                total.add(written.key, written.partition, written.payload)
                lines.append(entry_line(written))
            await asyncio.to_thread(file.write, b"".join(lines))
            size = sum(len(record.payload) for record in part.records)
            count = tally.stored + len(lines)
            tally = Tally(count, count, payload_bytes=tally.payload_bytes + size)
            if progress is not None:
                progress(tally)
        file.write(end_line(total, seal))
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
    limits: Limits | None = None,
) -> Tally:
    """Store the entries of an exported file that match; arguments as those of ``transfer.copy``.

    Instead of a path an open, seekable binary file may be given; it has no checkpoint. The file may
    be a stranger's: what it holds is read within ``limits``, and memory is bounded by some pages
    and what one value takes.

    Raises ArchiveError, naming line and byte, if the file is no archive, was damaged or goes beyond
    a limit. Entries before that line are stored by then, and the error says how many; ``dry_run``
    looks through the whole file before.
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
        async for part in read(
            path,
            skip=int(position or 0),
            limits=limits,
            max_value_bytes=parts_of(target).bulk.max_value_bytes,
            keys=parts_of(target).keys,
        ):
            matching = [
                record
                for record in part.records
                if partition in {None, record.partition} and glob.matches(record.key)
            ]
            yield Part(matching, part.position)

    return await store.take(
        parts(), ServerClock(parts_of(target).bulk.clock), tally, saved, progress
    )


async def read(
    path: File,
    *,
    skip: int = 0,
    limits: Limits | None = None,
    max_value_bytes: int = MAX_VALUE_BYTES,
    keys: KeyRing | None = None,
) -> AsyncGenerator[Part]:
    """Yield the entries of an exported file, but for the first ``skip``, and check it whole.

    The records' expiry is a moment in ms since 1970; a part's position is its last entry's number.
    Holds a part of at most 16 MiB and a line, and what one line's JSON takes as Python objects.

    Raises ArchiveError, which says where: the file is none, was damaged, goes beyond ``limits`` or
    holds what ``keys`` can't open; ConfigurationError if it is sealed and there are none.
    """
    limits = limits or Limits()
    line_bytes = limits.line_bytes or max_value_bytes + LINE_OVERHEAD
    total = Digest()
    with reading(path, line_bytes, limits.expansion) as text:
        seal = await _seal_of(text, keys)
        if seal is not None and limits.line_bytes is None:
            text.line_bytes = sealed_bytes(max_value_bytes) + LINE_OVERHEAD
        done = False
        while lines := await text.take(_MAX_LINES, _MAX_PART_BYTES):
            # One that changed while it was exported stands there twice: the later one holds.
            records: dict[str, Record] = {}
            for line in lines:
                if done:
                    raise bad(text.name, line, "stands behind the end")
                record = record_of(text.name, line, total, seal)
                if record is None:
                    done = True
                    continue
                total.add(record.key, record.partition, record.payload)
                if limits.entries is not None and total.entries > limits.entries:
                    raise bad(
                        text.name, line, f"has more than the {limits.entries:,} entries allowed"
                    )
                if total.entries > skip:
                    opened = record if seal is None else seal.open(text.name, line, record)
                    records.pop(opened.key, None)
                    records[opened.key] = opened
            if records:
                yield Part([*records.values()], str(total.entries))
        if not done:
            msg = f"{text.name}: line {total.entries + 2} is missing: the file was cut short"
            raise ArchiveError(msg)


async def _seal_of(text: Lines, keys: KeyRing | None) -> ArchiveSeal | None:
    """Read the first line; return what opens the others, None if they are in clear."""
    first = await text.take(1, text.line_bytes)
    if not first:
        raise ArchiveError(f"{text.name}: is empty")
    return check_head(text.name, first[0], keys)


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
            file = stack.enter_context(zstandard(str(path)).open(file, "wb", closefd=False))
        yield file
