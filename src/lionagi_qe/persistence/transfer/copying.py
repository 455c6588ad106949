"""Copying entries from one memory to another: any two, of any size, resumable, verified.

Entries are read in the order of their last changes and stored in that order, so revisions in the
target rise as they did in the source (on Redis Cluster, within each shard), but for entries with a
time to live that a slow write would have prolonged. Value, partition and the time of expiry go
along; revision numbers and the times of creation are the target's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from lionagi_qe.deprecation import renamed
from lionagi_qe.errors import (
    AqeError,
    ArchiveError,
    ConfigurationError,
    InvalidArgumentError,
    RevisionConflictError,
    TransferConflictError,
)
from lionagi_qe.files import write_text
from lionagi_qe.persistence.contract.operations import Put
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.server_support.server_clock import ServerClock
from lionagi_qe.persistence.values import keys as naming
from lionagi_qe.persistence.values.codec import canonical
from lionagi_qe.persistence.values.entry import MAX_TTL_SECONDS, check_count
from lionagi_qe.persistence.values.glob import compile_glob

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from lionagi_qe.persistence.contract.operations import Result
    from lionagi_qe.persistence.contract.records import Record
    from lionagi_qe.persistence.memory import Memory
    from lionagi_qe.persistence.values.glob import Glob

Policy = Literal["skip", "overwrite", "newer", "fail"]
DEFAULT_PAGE_SIZE = 1_000
MAX_BATCH = 10_000
# An entry that lives longer than its source by more than this, since storing took so long, is
# stored again: so many at once, so often where that takes long, too.
_MOST_LATE_MS = 500
_SHORTENED_AT_ONCE = 50
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Tally:
    """What a transfer did so far (or would do, on a dry run), in entries.

    Attributes:
        read: entries of the source that matched.
        stored: those that the target took.
        skipped: those that the target kept its own of, or already had.
        expired: those whose time was over before they could be stored.
        payload_bytes: size of the values stored, as JSON.
    """

    read: int = 0
    stored: int = 0
    skipped: int = 0
    expired: int = 0
    payload_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """Entries to store, and where to go on once they are."""

    records: Sequence[Record]
    position: str


@renamed(batch="page_size")
async def copy(  # noqa: PLR0913 - keyword-only settings with defaults
    source: Memory,
    target: Memory,
    *,
    pattern: str = "*",
    partition: str | None = None,
    on_conflict: Policy = "skip",
    dry_run: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[Tally], None] | None = None,
    page_size: int = DEFAULT_PAGE_SIZE,
) -> Tally:
    """Copy the live entries that match from ``source`` to ``target``.

    Made for a source at rest. What is created there meanwhile comes along; what is changed or
    deleted there meanwhile may keep its old state in the target, so copy again with "newer" once
    the writers have moved. Reads while it writes, a page ahead; memory is bounded by two pages
    (16 MiB of values each). Costs what the source holds under the pattern's literal prefix, plus
    a look at its other keys. PostgreSQL, as the source, first notes the order of what is more than
    a page, until the copy has ended: about 150 bytes an entry; if it never does, for 7 days.

    Args:
        source: read only.
        target: where to.
        pattern: a glob, see ``glob``.
        partition: only this partition's entries.
        on_conflict: what becomes of an entry that the target has: "skip" keeps it, "overwrite"
            replaces it, "newer" replaces it if it was updated earlier than the source's (by their
            servers' clocks), "fail" raises TransferConflictError unless value and partition are
            the same.
        dry_run: only look what would be done.
        checkpoint: a file that tells where to go on after this process was killed; call ``copy``
            again with the same arguments. It is removed at the end.
        progress: called after each page.
        page_size: most entries a page.

    """
    glob = compile_glob(pattern)
    check_count("page_size", page_size, MAX_BATCH)
    if partition is not None:
        naming.check_partition(partition)
    store = Store(target, on_conflict, dry_run=dry_run)
    saved = None
    if checkpoint is not None and not dry_run:
        what = {"source": await identity(source), "pattern": pattern, "partition": partition}
        saved = Checkpoint(Path(checkpoint), {**what, "target": await identity(target)})
    position, tally = (None, Tally()) if saved is None else saved.load()
    position = await parts_of(source).bulk.begin(position)
    parts = stream(source, glob, partition, page_size, position)
    tally = await store.take(
        parts, ServerClock(parts_of(source).bulk.clock), tally, saved, progress
    )
    await finish(source, position)
    return tally


async def stream(
    source: Memory, glob: Glob, partition: str | None, page_size: int, position: str
) -> AsyncGenerator[Part]:
    """Yield the source's live entries in the order of their changes, until none are left."""
    bulk = parts_of(source).bulk
    more = True
    while more:
        page = await bulk.read(position, glob.prefix, page_size)
        position, more = page.position, page.more
        yield Part(
            [
                change.entry
                for change in page.records
                if change.entry is not None
                and partition in {None, change.entry.partition}
                and glob.matches(change.key)
            ],
            position,
        )


async def finish(source: Memory, position: str) -> None:
    """Let the source forget what it kept for a stream that has ended."""
    # All is done by now, and what is kept goes by itself at last.
    with contextlib.suppress(AqeError):
        await parts_of(source).bulk.finish(position)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a transfer is, in a file that a killed process leaves whole."""

    path: Path
    what: dict[str, Any]

    def load(self) -> tuple[str | None, Tally]:
        """Return position and tally; None and nothing if there is no file.

        Raises ConfigurationError if the file is that of another transfer, or none at all.
        """
        try:
            saved = json.loads(self.path.read_text(encoding="utf-8"))
            what, position, tally = saved["what"], str(saved["position"]), Tally(**saved["tally"])
        except FileNotFoundError:
            return None, Tally()
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{self.path}: is no checkpoint of a transfer; name another file"
            raise ConfigurationError(msg) from error
        if what != self.what:
            different = [name for name in self.what if what.get(name) != self.what[name]]
            msg = (
                f"{self.path}: is the checkpoint of another transfer (differs in "
                f"{', '.join(different)}); finish that one, remove the file or name another"
            )
            raise ConfigurationError(msg)
        return position, tally

    def save(self, position: str, tally: Tally) -> None:
        """Replace the file."""
        saved = {"what": self.what, "position": position, "tally": asdict(tally)}
        write_text(self.path, json.dumps(saved))

    def remove(self) -> None:
        """Remove the file: the transfer is done."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Store:
    """Stores entries in a target by a policy for those that it has."""

    target: Memory
    policy: Policy
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            msg = f"on_conflict {self.policy!r}: use one of {', '.join(get_args(Policy))}"
            raise InvalidArgumentError(msg)

    async def take(
        self,
        parts: AsyncGenerator[Part],
        clock: ServerClock,
        tally: Tally,
        checkpoint: Checkpoint | None,
        progress: Callable[[Tally], None] | None,
    ) -> Tally:
        """Store all parts, reading the next while one is stored; return the final tally."""
        try:
            async for part in _ahead(parts):
                tally = await self._take(part.records, clock, tally)
                if checkpoint is not None:
                    checkpoint.save(part.position, tally)
                if progress is not None:
                    progress(tally)
        except ArchiveError as error:
            if self.dry_run:
                raise
            told = f"{tally.stored:,} entries before it were" if tally.stored else "nothing was"
            raise ArchiveError(f"{error}; {told} stored") from error
        except AqeError as error:
            # Of the page that failed some may be stored as well.
            if not self.dry_run:
                error.add_note(f"{tally.stored:,} entries of the pages before were stored")
            raise
        if checkpoint is not None:
            checkpoint.remove()
        return tally

    async def _take(self, records: Sequence[Record], clock: ServerClock, tally: Tally) -> Tally:
        now = await clock.now()
        lasting = [r for r in records if r.expires_ms is None or r.expires_ms - now >= 1]
        stored = await self._store(lasting, now) if lasting else []
        if not self.dry_run and clock.estimate() - now > _MOST_LATE_MS:
            await self._shorten([put for put in stored if put.ttl_ms is not None], clock, now)
        return Tally(
            tally.read + len(records),
            tally.stored + len(stored),
            tally.skipped + len(lasting) - len(stored),
            tally.expired + len(records) - len(lasting),
            tally.payload_bytes + sum(len(put.payload) for put in stored),
        )

    async def _store(self, records: Sequence[Record], now: float) -> list[Put]:
        expected = None if self.policy == "overwrite" else 0
        puts = [_put(record, now, expected) for record in records]
        if self.policy == "newer":
            return await self._store_newer(puts, {r.key: r.updated_ms for r in records})
        if self.dry_run:
            held = await parts_of(self.target).bulk.find([put.key for put in puts])
            if self.policy == "fail":
                _refuse([put for put, theirs in zip(puts, held, strict=True) if theirs], held)
            return [
                put
                for put, theirs in zip(puts, held, strict=True)
                if theirs is None or self.policy == "overwrite"
            ]
        results = await self._write(puts)
        kept = [put for put, result in zip(puts, results, strict=True) if _conflicts(result)]
        if kept and self.policy == "fail":
            _refuse(kept, await parts_of(self.target).bulk.find([put.key for put in kept]))
        return _stored(puts, results)

    async def _shorten(self, puts: Sequence[Put], clock: ServerClock, now: float) -> None:
        """Store again what had to live so long from ``now`` on, and was stored much later.

        A few at a time, which arrive soon; what somebody has changed since is left.
        """
        for start in range(0, len(puts), _SHORTENED_AT_ONCE):
            again = [*puts[start : start + _SHORTENED_AT_ONCE]]
            for _ in range(_ATTEMPTS):
                late = clock.estimate() - now
                results = await self._write(
                    [put._replace(ttl_ms=max(1, round((put.ttl_ms or 0) - late))) for put in again]
                )
                again = _stored(again, results)
                if clock.estimate() - now - late <= _MOST_LATE_MS:
                    break

    async def _store_newer(self, puts: Sequence[Put], updated: dict[str, int]) -> list[Put]:
        stored: list[Put] = []
        while puts:
            held = await parts_of(self.target).bulk.find([put.key for put in puts])
            wanted = [
                put if theirs is None else put._replace(if_revision=theirs.revision)
                for put, theirs in zip(puts, held, strict=True)
                if theirs is None or theirs.updated_ms < updated[put.key]
            ]
            if self.dry_run:
                return wanted
            results = await self._write(wanted) if wanted else []
            stored += _stored(wanted, results)
            # Somebody changed these since we looked: look again.
            puts = [
                put._replace(if_revision=0)
                for put, result in zip(wanted, results, strict=True)
                if _conflicts(result)
            ]
        return stored

    async def _write(self, puts: Sequence[Put]) -> list[Result]:
        results = await parts_of(self.target).bulk.write(puts)
        for result in results:
            if isinstance(result, Exception) and not _conflicts(result):
                raise result
        return results


def _stored(puts: Sequence[Put], results: Sequence[Result]) -> list[Put]:
    """Return those that were stored, each with the revision that it has now."""
    return [
        put._replace(if_revision=cast("int", result))
        for put, result in zip(puts, results, strict=True)
        if not _conflicts(result)
    ]


def _put(record: Record, now: float, expected: int | None) -> Put:
    payload = record.payload
    # Another host's clock, or a stranger's archive, may ask for more than is allowed.
    longest = MAX_TTL_SECONDS * 1000
    ttl = None if record.expires_ms is None else min(round(record.expires_ms - now), longest)
    raw = payload.encode() if isinstance(payload, str) else payload
    return Put(record.key, raw, record.partition, ttl, expected)


def _conflicts(result: object) -> bool:
    return isinstance(result, RevisionConflictError)


def _refuse(puts: Sequence[Put], held: Sequence[Record | None]) -> None:
    """Raise TransferConflictError unless the target holds the same."""
    ours = {put.key: put for put in puts}
    for theirs in held:
        put = None if theirs is None else ours.get(theirs.key)
        if theirs is None or put is None:
            continue
        same = canonical(theirs.payload) == canonical(put.payload)
        if not same or theirs.partition != put.partition:
            msg = (
                f"{put.key!r}: the target has another value or partition (revision "
                f"{theirs.revision}); choose another on_conflict, or delete it there first"
            )
            raise TransferConflictError(msg)


async def _ahead(parts: AsyncGenerator[Part]) -> AsyncIterator[Part]:
    """Yield the parts, reading one ahead."""

    async def following() -> Part | None:
        return await anext(parts, None)

    reading = asyncio.create_task(following())
    try:
        while (part := await reading) is not None:
            reading = asyncio.create_task(following())
            yield part
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await parts.aclose()


async def identity(memory: Memory) -> str:
    """Say which memory it is: its server or file, and the fleet."""
    facts = await memory.describe()
    return f"{facts.get('location', facts.get('server'))}, fleet {memory.fleet}"
