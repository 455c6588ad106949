"""What the figures of a PostgreSQL server mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.cli.diagnosis import support
from lionagi_qe.cli.diagnosis.finding import NEARLY_FULL, Finding, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

_MANY_DEAD = 10_000
_OLD_TRANSACTION = 600.0
_LATE_STANDBY = 10.0
# What a server that only speaks PostgreSQL's protocol means for what it lacks.
_MEANING = {
    "functions in PL/pgSQL": "the memory's own functions can't be made: it can't be opened",
    "advisory locks": "programs that migrate at the same moment would not wait for each other",
    "LISTEN and NOTIFY": "workers and watches look every now and then instead of being told",
    "SKIP LOCKED": "workers that claim at the same moment would wait for each other",
    "sequences in order": "later changes get lower revisions, and watches miss them",
    "identity columns": "fleets, jobs and changes get no numbers: the memory can't be opened",
    "transaction ids and snapshots": "watches can't tell what was committed: they can't be used",
}


def compatibility(probed: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge what ``persistence.inspection.probe`` found."""
    system = probed.get("system", "PostgreSQL")
    for name, reason in probed.get("lacking", {}).items():
        yield Finding(
            "compatibility",
            "unfit",
            f"{system} has no {name} ({reason})",
            _MEANING[name],
            "Use PostgreSQL 13 or newer",
        )
    if system == "Citus":
        yield Finding(
            "compatibility",
            "advice",
            "the extension Citus is installed",
            "the memory was not tried with it; its tables are plain ones of the coordinator, and "
            "distributed they would lose the order of their revisions",
            "Leave the memory's tables as they are: no create_distributed_table",
        )
    elif system != "PostgreSQL":
        yield Finding(
            "compatibility",
            "problem",
            f"{system} answers, not PostgreSQL",
            "the memory was not tried with it; sequences whose values each node draws in advance "
            "break the order of revisions and of watches, and statements fail for serialization",
            "Use PostgreSQL 13 or newer",
        )


def findings(figures: Mapping[str, Any], today: date) -> Iterator[Finding]:
    """Judge the figures of ``persistence.postgres.inspection``."""
    yield from support.postgresql(figures["version_num"], today)
    yield from _durability(figures)
    yield from _bloat(figures)
    yield from _replication(figures)
    yield from _connections(figures)
    if (figures.get("revisions_cached") or 1) > 1:
        yield Finding(
            "revisions",
            "unfit",
            f"the sequence of revisions has CACHE {figures['revisions_cached']}",
            "connections draw revisions in advance, so that later changes get lower ones and "
            "watches miss them",
            "ALTER SEQUENCE SCHEMA.revisions CACHE 1, and find out who changed it",
        )


def _durability(figures: Mapping[str, Any]) -> Iterator[Finding]:
    if figures["fsync"] == "off" or figures["synchronous_commit"] == "off":
        yield Finding(
            "durability",
            "advice",
            f"fsync is {figures['fsync']}, synchronous_commit {figures['synchronous_commit']}",
            "a crash of PostgreSQL may take the last acknowledged writes"
            + ("" if figures["fsync"] == "on" else ", or leave the database broken"),
            "Set both to on",
        )
    if figures["full_page_writes"] == "off":
        yield Finding(
            "durability",
            "advice",
            "full_page_writes is off",
            "a power cut may leave pages that are half old and half new",
            "Set it to on, unless the file system writes pages whole",
        )


def _bloat(figures: Mapping[str, Any]) -> Iterator[Finding]:
    if figures["autovacuum"] == "off":
        yield Finding(
            "bloat",
            "problem",
            "autovacuum is off",
            "what is replaced and removed is never cleared away: tables grow, calls get slower",
            "Set autovacuum to on",
        )
    for table in figures["tables"]:
        if table["dead"] > max(_MANY_DEAD, table["live"]):
            yield Finding(
                "bloat",
                "problem",
                f"{table['table']} has {table['dead']:,} dead rows beside {table['live']:,} live "
                f"ones, {size(table['bytes'])}",
                "autovacuum can't keep up, or something old keeps it from clearing them away",
                f"VACUUM (VERBOSE) {table['table']} tells what holds it up",
            )
    oldest = figures["oldest_transaction_seconds"]
    if oldest is not None and oldest > _OLD_TRANSACTION:
        yield Finding(
            "bloat",
            "problem",
            f"a transaction has been open for {oldest / 60:.0f} minutes",
            "nothing that was removed since then can be cleared away, and watches wait for it",
            "Find it in pg_stat_activity by xact_start; set idle_in_transaction_session_timeout",
        )


def _replication(figures: Mapping[str, Any]) -> Iterator[Finding]:
    standbys = figures["standbys"]
    named = figures["synchronous_standby_names"]
    late = [each["replay_lag_seconds"] or 0 for each in standbys]
    if named and not any(each["sync_state"] in {"sync", "quorum"} for each in standbys):
        yield Finding(
            "replication",
            "problem",
            f"synchronous_standby_names is {named!r} and no such standby is connected",
            "every write waits for one until its time is up",
            "Start the standby, or take its name out",
        )
    elif standbys and not named:
        yield Finding(
            "replication",
            "advice",
            f"{len(standbys)} standby(s), none of them synchronous",
            "one that takes over may lack the last acknowledged writes",
            "Set synchronous_standby_names where no write may be lost; each then waits for it",
        )
    if late and max(late) > _LATE_STANDBY:
        yield Finding(
            "replication",
            "problem",
            f"a standby is {max(late):.0f} s behind",
            "so much would be missing, or waited for, if it took over now",
            "Look at its disk, its network and long queries there",
        )
    if figures["inactive_slots"]:
        yield Finding(
            "replication",
            "problem",
            f"{figures['inactive_slots']} replication slot(s) that nobody reads",
            "the log that they wait for is kept, until the disk is full",
            "pg_drop_replication_slot, or start their readers; set max_slot_wal_keep_size",
        )


def _connections(figures: Mapping[str, Any]) -> Iterator[Finding]:
    used, usable = figures["connections"], figures["usable_connections"]
    if used > usable * NEARLY_FULL:
        yield Finding(
            "connections",
            "problem",
            f"{used} of {usable} connections are used",
            "when none is left, calls wait and then fail",
            "Lower ?pool_size= (10 for each memory that is open), raise max_connections, or put "
            "PgBouncer in front",
        )
    if figures["transaction_pooler"]:
        yield Finding(
            "pooler",
            "advice",
            "a pooler answers, not PostgreSQL itself",
            "in whatever mode it is, statements are not prepared across calls, which costs, and "
            "nobody listens through it: workers and watches look every now and then. In statement "
            "mode a memory can't be opened at all",
            "Give PostgresMemory(listen_url=) an address past the pooler, where that matters",
        )
