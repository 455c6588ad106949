"""What so many entries and calls need of a server, computed from measured figures.

Pure functions of ``Figures`` (``capacity_figures.json``, which ``make capacity`` measures) and of a
``Load``. Between measured sizes a figure goes in a straight line; beyond the largest it goes on as
between the last two.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Sequence

Backend = Literal["sqlite", "postgresql", "redis"]
DAY = 86_400
# Entries that a call on many has, where figures are measured.
BATCH = 100
# Of PostgreSQL, by its documentation: a table has at most 2^32 pages, and its TOAST table as many
# values; after so many transactions a table is vacuumed to keep their ids apart, and this many
# seconds apart are checkpoints by default, after each of which a changed page is logged whole.
PAGE_BYTES = 8_192
MAX_PAGES = 2**32
FREEZE_AGE = 200_000_000
CHECKPOINT_SECONDS = 300.0
# Values above it are stored out of line.
TOASTED_BYTES = 2_000
# How long the memory tells of changes and deletions, in seconds (ADR 6).
KEPT_SECONDS = 300.0
# Parts that a look-up by key goes through; the rest is the entries themselves.
INDEXES = frozenset({"primary_key", "by_partition", "by_expiry", "by_revision"})


class _Figure(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Grid(_Figure):
    """A figure that was measured for some lengths of keys and sizes of values.

    Attributes:
        key_bytes: the lengths, ascending.
        value_bytes: the sizes as JSON, ascending.
        figures: a row for each length, in it one for each size.

    """

    key_bytes: tuple[int, ...]
    value_bytes: tuple[int, ...]
    figures: tuple[tuple[float, ...], ...]

    def at(self, key_bytes: float, value_bytes: float) -> float:
        """Return the figure at a length and a size, not below zero."""
        row = [_between(self.value_bytes, each, value_bytes) for each in self.figures]
        return max(0.0, _between(self.key_bytes, row, key_bytes))


class CallCost(_Figure):
    """Microseconds of processor time for one entry of a call."""

    server: Grid
    client: Grid


class Figures(_Figure):
    """What was measured of one kind of server.

    Attributes:
        version: of the server.
        entry_bytes: of an entry, by part (table, TOAST, each index; all of Redis' memory).
        update_log_bytes: of write-ahead log for an entry that is overwritten, alone (``store``) or
            in a batch (``store_many``), and deleted (``delete``), without whole pages.
        page_log_bytes: what the first change of a table's page after a checkpoint adds to that.
        call_us: by kind of call.
        connection_bytes: memory that one connection of a process takes on the server.
        change_bytes: what the log of changes keeps of one change that was made alone.
        tombstone_bytes: what a deleted entry takes until it is forgotten; none of its value.

    """

    version: str
    entry_bytes: dict[str, Grid]
    update_log_bytes: dict[str, Grid]
    page_log_bytes: float
    call_us: dict[str, CallCost]
    connection_bytes: float
    change_bytes: float
    tombstone_bytes: float


class Measured(_Figure):
    """All figures, and where they were measured.

    Attributes:
        date: the day.
        machine: what it ran on.
        backends: by kind of server.

    """

    date: str
    machine: str
    backends: dict[Backend, Figures]


class Load(_Figure):
    """What is stored and done.

    Attributes:
        entries: how many.
        key_bytes: mean length of the keys.
        value_bytes: mean size of the values as JSON.
        updates: entries overwritten a second.
        reads: entries read by key a second.
        deletes: entries deleted a second, and others stored in their place.
        batched: whether updates and reads come in calls on many, or at the same moment.
        connections: how many all processes have open.
        expiring: share of the entries that have a TTL, 0 to 1.

    """

    entries: float
    key_bytes: float = 48
    value_bytes: float = 300
    updates: float = 0
    reads: float = 0
    deletes: float = 0
    batched: bool = False
    connections: int = 0
    expiring: float = 0


class Machine(_Figure):
    """What there is; None: not told, and not judged.

    Attributes:
        memory_bytes: of the server.
        disk_bytes: for its data.
        cores: of the server.
        max_connections: that it accepts.

    """

    memory_bytes: float | None = None
    disk_bytes: float | None = None
    cores: float | None = None
    max_connections: int | None = None


class Limit(_Figure):
    """Something that there is only so much of.

    Attributes:
        name: what.
        needed: how much of it.
        available: how much there is.
        share: the one of the other.

    """

    name: str
    needed: float
    available: float
    share: float


class Estimate(_Figure):
    """What a load needs of one kind of server; bytes, and cores' worth of processor time.

    Attributes:
        backend: the kind.
        parts: bytes by part.
        stored_bytes: all of them, with changes and tombstones that are still told of.
        index_bytes: those that a look-up goes through: to be kept in memory.
        changes_bytes: what is kept to tell watchers of the last five minutes.
        tombstone_bytes: what entries take that were deleted in these.
        connection_bytes: of all connections.
        memory_bytes: what the server should have: indexes (Redis: everything) and connections.
        log_bytes_a_day: write-ahead log, what a standby or an archive has to take.
        whole_pages_a_day: of these, pages that are logged whole after checkpoints.
        server_cores: processor time a second.
        client_cores: the same, of all clients together.
        limits: what gets tight, the tightest first.

    """

    backend: Backend
    parts: dict[str, float]
    stored_bytes: float
    index_bytes: float
    changes_bytes: float
    tombstone_bytes: float
    connection_bytes: float
    memory_bytes: float
    log_bytes_a_day: float
    whole_pages_a_day: float
    server_cores: float
    client_cores: float
    limits: tuple[Limit, ...]


@functools.cache
def measured() -> Measured:
    """Return the figures that came with this release."""
    text = files("lionagi_qe.bench").joinpath("capacity_figures.json").read_text(encoding="utf-8")
    return Measured.model_validate_json(text)


def estimate(
    backend: Backend, figures: Figures, load: Load, machine: Machine, batch: int = BATCH
) -> Estimate:
    """Return what ``load`` needs of a kind of server; ``batch``: entries a call on many has."""
    parts = {
        part: load.entries
        * grid.at(load.key_bytes, load.value_bytes)
        * (load.expiring if part == "by_expiry" else 1)
        for part, grid in figures.entry_bytes.items()
    }
    changes = (load.updates + load.deletes) * KEPT_SECONDS * figures.change_bytes
    tombstones = load.deletes * KEPT_SECONDS * figures.tombstone_bytes
    stored = sum(parts.values()) + changes + tombstones
    indexes = sum(size for part, size in parts.items() if part in INDEXES)
    connections = load.connections * figures.connection_bytes
    changed = load.updates + load.deletes
    pages = whole_pages(parts.get("table", 0.0), changed) * figures.page_log_bytes
    logged = DAY * (
        load.updates * _at(figures.update_log_bytes[_call("store", load)], load)
        + load.deletes * _at(figures.update_log_bytes["delete"], load)
    )
    server, client = _cores(figures, load)
    found = Estimate(
        backend=backend,
        parts=parts,
        stored_bytes=stored,
        index_bytes=indexes,
        changes_bytes=changes,
        tombstone_bytes=tombstones,
        connection_bytes=connections,
        memory_bytes=(stored if backend == "redis" else indexes) + connections,
        log_bytes_a_day=logged + pages,
        whole_pages_a_day=pages,
        server_cores=server,
        client_cores=client,
        limits=(),
    )
    _, writing = _cores(figures, load.model_copy(update={"reads": 0.0}))
    limits = _limits(found, load, machine, batch=batch, writing=writing)
    return found.model_copy(update={"limits": limits})


def whole_pages(table_bytes: float, updates: float) -> float:
    """Return how many pages a day are changed for the first time after a checkpoint.

    Updates are taken to fall evenly on the table's pages: the most that it can come to.
    """
    pages = table_bytes / PAGE_BYTES
    if pages < 1:
        return 0.0
    touched = pages * -math.expm1(-updates * CHECKPOINT_SECONDS / pages)
    return touched * DAY / CHECKPOINT_SECONDS


def _cores(figures: Figures, load: Load) -> tuple[float, float]:
    server = client = 0.0
    for call, rate in (
        (_call("store", load), load.updates),
        (_call("retrieve", load), load.reads),
        ("delete", load.deletes),
    ):
        cost = figures.call_us[call]
        server += rate * _at(cost.server, load) / 1e6
        client += rate * _at(cost.client, load) / 1e6
    return server, client


def _call(name: str, load: Load) -> str:
    return f"{name}_many" if load.batched else name


def _at(grid: Grid, load: Load) -> float:
    return grid.at(load.key_bytes, load.value_bytes)


def _limits(
    found: Estimate, load: Load, machine: Machine, *, batch: int, writing: float
) -> tuple[Limit, ...]:
    """Return what there is only so much of, the tightest first; ``writing``: cores of clients."""
    needed: list[tuple[str, float, float | None]] = [
        ("memory", found.memory_bytes, machine.memory_bytes)
    ]
    if found.backend != "redis":
        # How large Redis' files get was not measured.
        needed.append(("disk", found.stored_bytes, machine.disk_bytes))
    if found.backend == "sqlite":
        # Clients are the server: what they compute for a change, they do one after the other.
        needed.append(("the one writer at a time", writing, 1.0))
    elif found.backend == "redis":
        needed.append(("the one thread for commands", found.server_cores, 1.0))
    else:
        toasted = load.entries if load.value_bytes > TOASTED_BYTES else 0.0
        transactions = (load.updates / (batch if load.batched else 1) + load.deletes) * DAY
        needed += [
            ("cores", found.server_cores, machine.cores),
            ("pages of one table", found.parts["table"] / PAGE_BYTES, MAX_PAGES),
            ("values in one TOAST table", toasted, MAX_PAGES),
            ("transactions a day, of those between freezing vacuums", transactions, FREEZE_AGE),
        ]
    needed.append(("connections", load.connections, machine.max_connections))
    found_limits = [
        Limit(name=name, needed=need, available=there, share=need / there)
        for name, need, there in needed
        if there is not None and need > 0
    ]
    return tuple(sorted(found_limits, key=lambda each: -each.share))


def _between(places: Sequence[float], figures: Sequence[float], place: float) -> float:
    """Return the figure at a place, on the line through the two nearest."""
    if len(places) == 1:
        return figures[0]
    at = min(max(bisect_right(places, place), 1), len(places) - 1)
    first, second = places[at - 1], places[at]
    share = (place - first) / (second - first)
    # Below the smallest nothing is known that would make it cost less than nothing.
    return figures[at - 1] + (figures[at] - figures[at - 1]) * share
