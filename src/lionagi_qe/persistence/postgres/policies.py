"""Row-level security of roles: which tables they reach, which rows of them, and in which columns.

A table that is not named here is closed to roles that are bound by grants, as no privilege on it is
given; so are all tables of migrations to come, until they are decided on here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lionagi_qe.persistence.values.glob import compile_glob, server_expression
from lionagi_qe.persistence.values.keys import MAX_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lionagi_qe.persistence.contract.grants import Grant

# Begins the names of our policies; what follows tells them apart.
PREFIX = "aqe_grant_"
# ... of those that let roles go on which had privileges by hand.
WHOLE = "aqe_whole_"
# Tables whose rows are bound, in the order in which calls lock them. The log of changes may be
# written and not read: one row of it holds keys of several entries.
BOUND = (
    "fleets",
    "leases",
    "entries",
    "changes",
    "queues",
    "jobs",
    "job_keys",
    "job_schedules",
    "job_limits",
    "job_lines",
    "job_dependencies",
    "job_falls",
    "job_batches",
    "job_batch_jobs",
)
# What all bound roles read: which migrations there are.
OPEN = ("schema_migrations",)
SEQUENCE = "revisions"
# Whose turn it is among the lines of a queue.
TURNS = "job_turns"
# What no bound role reaches: copies arrange keys of all entries, indexes hold words of them.
CLOSED = (
    "copies",
    "copy_places",
    "indexes",
    "index_documents",
    "index_codes",
    "index_postings",
    "index_terms",
)
# All that is ours in the schema, which may hold tables of others, too.
RELATIONS = (*BOUND, *OPEN, *CLOSED, SEQUENCE, TURNS)
# Functions run with the rights of who calls them, so that policies hold in them.
FUNCTIONS = (
    "add_numbers",
    "apply_fenced_operations",
    "apply_jobs",
    "apply_operations",
    "check_fences",
    "claim_in_turn",
    "claim_jobs",
    "clock_ms",
    "drop_index_data",
    "end_batch_jobs",
    "end_dependencies",
    "end_links",
    "fall",
    "fall_on",
    "fall_reason",
    "filled_to",
    "fire_schedule",
    "forget_batches",
    "forget_copy",
    "forget_jobs",
    "hold_job",
    "keep_job_key",
    "learn",
    "line_lock",
    "make_jobs_ready",
    "may_revive",
    "may_revive_dependant",
    "next_due",
    "note_failed_attempt",
    "page_by_key",
    "page_by_partition",
    "page_of_changes",
    "page_of_copy",
    "payloads_by_key",
    "payloads_by_partition",
    "prune_changes",
    "put_job",
    "put_limit",
    "put_schedule",
    "put_single_job",
    "remove_documents",
    "revive_jobs",
    "touch_lines",
    "write_index",
)
# Nothing is removed but by tombstones, which keep revisions growing and watchers informed.
_TO_WRITE = {"entries": "SELECT, INSERT, UPDATE", "changes": "INSERT (fleet, keys)"}
_TO_LEASE = {"leases": "SELECT, INSERT, UPDATE"}
_TO_QUEUE = {
    "queues": "SELECT, INSERT",
    "jobs": "SELECT, INSERT, UPDATE, DELETE",
    "job_keys": "SELECT, INSERT, UPDATE",
    "job_schedules": "SELECT, INSERT, UPDATE, DELETE",
    "job_limits": "SELECT, INSERT, UPDATE, DELETE",
    "job_lines": "SELECT, INSERT, UPDATE, DELETE",
    "job_dependencies": "SELECT, INSERT, UPDATE, DELETE",
    "job_falls": "SELECT, INSERT, UPDATE, DELETE",
    "job_batches": "SELECT, INSERT, UPDATE, DELETE",
    "job_batch_jobs": "SELECT, INSERT, UPDATE, DELETE",
}
_QUEUE_COLUMNS = {
    "queues": "name",
    "jobs": "queue",
    "job_keys": "queue",
    "job_schedules": "queue",
    "job_limits": "queue",
    "job_lines": "queue",
    "job_falls": "queue",
    "job_batches": "queue",
    "job_batch_jobs": "queue",
}
# What ``check_key`` lets through.
_IS_KEY = (
    r"key ~ '^aqe(/[^/\u0001-\u001f\u007f-\u009f]+)+$' "
    f"AND octet_length(key) <= {MAX_KEY_BYTES}"
)
# Without policies these show nothing.
_ALWAYS = {
    "schema_migrations": "SELECT",
    "fleets": "SELECT (id, name)",
    "entries": "SELECT",
    "leases": "SELECT",
    "queues": "SELECT",
    "jobs": "SELECT",
    "job_schedules": "SELECT",
    "job_limits": "SELECT",
    "job_lines": "SELECT",
    "job_dependencies": "SELECT",
    "job_batches": "SELECT",
    "job_batch_jobs": "SELECT",
}


def privileges(grants: Sequence[Grant]) -> dict[str, str]:
    """Return which privileges a role needs on which tables, for its grants in all fleets."""
    needed = dict(_ALWAYS)
    if any(grant.write for grant in grants):
        needed |= _TO_WRITE
    if any(grant.leases for grant in grants):
        needed |= _TO_LEASE
    if any(grant.queues for grant in grants):
        needed |= _TO_QUEUE
    return needed


class Policy(NamedTuple):
    """One policy of a grant.

    Attributes:
        table: of which it lets rows through.
        kind: tells it apart from others of the table and the grant.
        command: for which command.
        condition: of the rows, behind the role.
    """

    table: str
    kind: str
    command: str
    condition: str


def policies(grant: Grant, fleet: int, schema: str) -> list[Policy]:
    """Return the policies of a grant in the fleet of this number; ``schema`` as SQL writes it.

    ``fleet + 0`` is what other indexes than the primary key begin with. PostgreSQL looks up by
    conditions of the caller only if they can't tell him anything, which a sum could; by those of a
    policy it always does.
    """
    here = f"fleet = {fleet}"
    indexed = f"{here} AND fleet + 0 = {fleet}"
    found = [Policy("fleets", "read", "SELECT", f"USING (id = {fleet})")]
    if grant.read or grant.write:
        readable = f"{indexed} AND {one_of('key', (*grant.read, *grant.write))}"
        found.append(Policy("entries", "read", "SELECT", f"USING ({readable})"))
    if grant.write:
        writable = f"{indexed} AND {one_of('key', grant.write)}"
        sequence = literal(f"{schema}.{SEQUENCE}")
        # A transaction to come would have watchers believe that the log is another server's.
        sound = (
            f"{_IS_KEY} AND changed <= pg_current_xact_id() "
            f"AND revision <= pg_sequence_last_value({sequence}::regclass)"
        )
        checked = f"WITH CHECK ({writable} AND {sound})"
        found += [
            Policy("entries", "insert", "INSERT", checked),
            Policy("entries", "update", "UPDATE", f"USING ({writable}) {checked}"),
            Policy("changes", "insert", "INSERT", f"WITH CHECK ({here})"),
        ]
    if grant.leases:
        usable = f"{here} AND {one_of('name', grant.leases)}"
        found.append(Policy("leases", "use", "ALL", f"USING ({usable})"))
    if grant.queues:
        for table, column in _QUEUE_COLUMNS.items():
            by_index = table in {"jobs", "job_batches", "job_batch_jobs"}
            usable = f"{indexed if by_index else here} AND {one_of(column, grant.queues)}"
            found.append(Policy(table, "use", "ALL", f"USING ({usable})"))
        # It names no queue: it goes with the job that waits, which policies of jobs show or not.
        waits = (
            f"EXISTS (SELECT FROM {schema}.jobs j "
            f"WHERE j.fleet = {fleet} AND j.id = job_dependencies.id)"
        )
        found.append(Policy("job_dependencies", "use", "ALL", f"USING ({here} AND {waits})"))
    return found


def one_of(column: str, patterns: Iterable[str]) -> str:
    """Return the condition that one of the patterns matches the column, byte by byte."""
    found = dict.fromkeys(_matches(f'({column} COLLATE "C")', pattern) for pattern in patterns)
    return f"({' OR '.join(found)})"


def _matches(column: str, pattern: str) -> str:
    glob = compile_glob(pattern)
    if glob.whole == "literal":
        return f"{column} = {literal(glob.prefix)}"
    if glob.whole == "prefix":
        return f"starts_with({column}, {literal(glob.prefix)})"
    return f"{column} ~ {literal(server_expression(pattern))}"


def literal(text: str) -> str:
    """Return a text as SQL writes it, whatever the session's setting of backslashes."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
