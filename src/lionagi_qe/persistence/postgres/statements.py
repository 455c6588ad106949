"""The SQL of the PostgreSQL backend; ``{schema}`` is filled in by ``Statements``.

Each statement is one round trip and commits by itself, so ``now()`` is its own start. All names
are qualified: nothing depends on the session, so a transaction-mode pooler may sit between.
``fleet = $1`` means the primary key, ``fleet + 0 = $1`` one of the other indexes (see the schema).
"""

from __future__ import annotations

from lionagi_qe.persistence.postgres.columns import array, joined
from lionagi_qe.persistence.postgres.fragments import (
    COLUMNS_BEHIND_VALUE,
    JOB_COLUMNS,
    LIVE,
    MAX_PAGE_BYTES,
    NOT_EXPIRED,
    TOMBSTONE,
)
from lionagi_qe.persistence.postgres.index_statements import INDEX_TEXTS
from lionagi_qe.persistence.postgres.job_batch_statements import JOB_BATCH_TEXTS
from lionagi_qe.persistence.postgres.job_details import JOB_DETAILS
from lionagi_qe.persistence.postgres.job_page_statements import JOB_PAGE_TEXTS
from lionagi_qe.persistence.postgres.lease_statements import LEASE_TEXTS
from lionagi_qe.persistence.postgres.log_statements import LOG_TEXTS
from lionagi_qe.persistence.postgres.sealed_text_statements import SEALED_TEXTS

_PAYLOADS = joined(
    f"""(SELECT value FROM {{schema}}.entries
    WHERE fleet = $1 AND entries.key = wanted.key AND {LIVE} LIMIT 1)""",
    "wanted.place",
)
_DEAD_JOBS = f"""
    SELECT d.ctid FROM unnest({array("$3")}) AS wanted (id) CROSS JOIN LATERAL (
        SELECT j.ctid FROM {{schema}}.jobs AS j
        WHERE j.fleet = $1 AND j.id = wanted.id AND j.queue = $2 AND j.state + 0 = 4
        LIMIT 1 FOR UPDATE
    ) AS d
"""
_DOOMED = """FROM {schema}.entries
    WHERE fleet + 0 = $1 AND partition = $2 AND gone IS NULL AND key > $3 AND revision <= $4
    ORDER BY key LIMIT $5 FOR UPDATE"""
# By their places, which are read at once. Where the entries are partitioned, each part has its own.
# IS TRUE keeps the planner from making a join of it, which may compare each row with each.
_CHOSEN = """ctid = ANY (ARRAY (SELECT ctid FROM {rows}))
        AND ((tableoid, ctid) IN (SELECT tableoid, ctid FROM {rows})) IS TRUE"""
_COLUMNS = f"entries.key, value, {COLUMNS_BEHIND_VALUE}"
_ON_CONFLICT = """
ON CONFLICT (fleet, key) DO UPDATE SET
    value = excluded.value,
    partition = excluded.partition,
    -- The revision that the insert took may be older than that of a rival who locked the row first.
    revision = CASE WHEN excluded.revision > e.revision THEN excluded.revision
        ELSE nextval('{schema}.revisions') END,
    created_at = CASE WHEN e.gone IS NULL AND (e.expires_at IS NULL OR e.expires_at > now())
        THEN e.created_at ELSE excluded.created_at END,
    updated_at = excluded.updated_at,
    expires_at = excluded.expires_at,
    gone = NULL,
    changed = pg_current_xact_id()
"""
_INSERT = """
INSERT INTO {schema}.entries AS e
    (fleet, key, value, partition, revision, created_at, updated_at, expires_at)
"""
# $6 and $7 are what rows without a partition or ttl of their own have.
_OWN = """coalesce(t.partition, $6), {revision}, now(), now(),
    now() + coalesce(t.ttl, $7::bigint) * interval '1 millisecond'"""
_COLUMN_ARRAYS = f"""{array("$2")}, {array("$3")}, {array("$4")}, {array("$5", "bigint")}"""
# Keys come sorted, so that concurrent batches lock their rows in one order.
_ROWS = f"""
SELECT $1, t.key, t.value, {_OWN.replace("{revision}", "nextval('{schema}.revisions')")}
FROM unnest({_COLUMN_ARRAYS}) AS t (key, value, partition, ttl)
"""
# The same where the batch's own order is another: $8 tells of each its place in it, so that the
# revisions are in the batch's order (what a copy keeps).
_PLACED_ROWS = f"""
SELECT $1, t.key, t.value, {_OWN.replace("{revision}", "taken.revisions[t.place]")}
FROM (
    SELECT array_agg(nextval('{{schema}}.revisions')) AS revisions
    FROM generate_series(1, cardinality({array("$2")}))
) AS taken CROSS JOIN unnest({_COLUMN_ARRAYS}, {array("$8", "integer")})
    AS t (key, value, partition, ttl, place)
"""
_ABSENT = "WHERE e.gone IS NOT NULL OR e.expires_at <= now() "
_STORED = "RETURNING key, revision"
# The log's row holds a batch's keys as they came: what changed none of them harms no reader.
_LOGGED = "WITH logged AS (INSERT INTO {schema}.changes (fleet, keys) VALUES ($1, $2))"
_LOG_BURIED = """
    INSERT INTO {schema}.changes (fleet, keys)
    SELECT $1, string_agg(key, E'\\x01') FROM buried HAVING count(*) > 0
"""
_OPERATIONS = ", ".join(
    [
        array("$2"),
        array("$3"),
        array("$4"),
        array("$5"),
        array("$6", "bigint"),
        array("$7", "bigint"),
        array("$8", "boolean"),
    ]
)
_FENCES = ", ".join([array("$9"), array("$10", "bigint")])


def _creation(rows: str) -> str:
    """Return the statement that creates what isn't there; where all is, nothing is logged."""
    return f"""
WITH stored AS ({_INSERT}{rows}{_ON_CONFLICT}{_ABSENT}{_STORED}), logged AS (
    INSERT INTO {{schema}}.changes (fleet, keys) SELECT $1, $2 WHERE EXISTS (SELECT FROM stored)
)
SELECT key, revision FROM stored
"""


def _jobs(first: int) -> str:
    """Return the arguments that say what to do with jobs, from parameter ``first`` on."""
    kinds = [
        "text",
        "text",
        "text",
        "text",
        "bigint",
        "bigint",
        "text",
        "integer",
        "text",
        "text",
        "bigint",
    ]
    return ", ".join(array(f"${at}", kind) for at, kind in enumerate(kinds, first))


_TEXTS = {
    **JOB_BATCH_TEXTS,
    **JOB_PAGE_TEXTS,
    **LOG_TEXTS,
    **INDEX_TEXTS,
    **LEASE_TEXTS,
    **JOB_DETAILS,
    **SEALED_TEXTS,
    "put": _LOGGED
    + _INSERT
    + """VALUES ($1, $2, $3, $4, nextval('{schema}.revisions'), now(), now(),
        now() + $5::bigint * interval '1 millisecond')"""
    + _ON_CONFLICT
    + "RETURNING revision",
    "put_many": _LOGGED + _INSERT + _ROWS + _ON_CONFLICT + _STORED,
    "put_many_placed": _LOGGED + _INSERT + _PLACED_ROWS + _ON_CONFLICT + _STORED,
    # Only what isn't there.
    "create_many": _creation(_ROWS),
    "create_many_placed": _creation(_PLACED_ROWS),
    "revisions": f"""
SELECT e.* FROM unnest({array("$2")}) AS wanted (key) CROSS JOIN LATERAL (
    SELECT entries.key, revision FROM {{schema}}.entries
    WHERE fleet = $1 AND entries.key = wanted.key AND {LIVE} LIMIT 1
) AS e
""",
    "apply": f"""
SELECT status, figure FROM {{schema}}.apply_operations($1, {_OPERATIONS}, $9)
""",
    "apply_fenced": f"""
SELECT status, figure FROM {{schema}}.apply_fenced_operations($1, {_OPERATIONS}, {_FENCES}, $11)
""",
    "apply_jobs": f"SELECT status, figure FROM {{schema}}.apply_jobs($1, {_jobs(2)}, false)",
    # Append runs its parts one after the other: leases, entries and jobs are locked in this order.
    "transact": f"""
SELECT status, figure
FROM {{schema}}.apply_fenced_operations($1, {_OPERATIONS}, {_FENCES}, true)
UNION ALL SELECT status, figure FROM {{schema}}.apply_jobs($1, {_jobs(11)}, true)
""",
    "claim_jobs": "SELECT * FROM {schema}.claim_jobs($1, $2, $3, $4, $5)",
    "revive_jobs": f"SELECT {{schema}}.revive_jobs($1, $2, {array('$3')})",
    "purge_jobs": f"""
WITH dead AS ({_DEAD_JOBS}), gone AS (
    DELETE FROM {{schema}}.jobs WHERE ctid = ANY (ARRAY (SELECT ctid FROM dead))
    RETURNING id, links
), unlinked AS (
    DELETE FROM {{schema}}.job_dependencies
    WHERE fleet = $1 AND id = ANY (ARRAY (SELECT id FROM gone WHERE links & 2 > 0))
), uncalled AS (
    UPDATE {{schema}}.job_batches SET until_at = now()
    WHERE fleet = $1 AND queue = $2 AND id = ANY (ARRAY (SELECT id FROM gone WHERE links & 8 > 0))
)
SELECT id FROM gone
""",
    "forget_jobs": """
SELECT bool_or(is_more) FROM (
    VALUES ({schema}.forget_jobs($1, $2)), ({schema}.forget_batches($1, $2))
) AS forgotten (is_more)
""",
    "find_jobs": f"""
SELECT found.* FROM unnest({array("$3")}) AS wanted (id) CROSS JOIN LATERAL (
    SELECT {JOB_COLUMNS}, j.failures FROM {{schema}}.jobs AS j
    WHERE j.fleet = $1 AND j.id = wanted.id AND j.queue = $2
        AND (j.state NOT IN (3, 5) OR j.due_at > now()) LIMIT 1
) AS found
""",
    "dead_jobs": f"""
SELECT {JOB_COLUMNS} FROM {{schema}}.jobs AS j
WHERE j.fleet + 0 = $1 AND j.queue = $2 AND j.state = 4 AND j.id > $3 ORDER BY j.id LIMIT $4
""",
    "count_jobs": """
SELECT (SELECT count(*) FROM (SELECT FROM {schema}.jobs
        WHERE fleet + 0 = $1 AND queue = $2 AND state = 1 AND limit_key IS NULL LIMIT $3) AS ready)
    + (SELECT count(*) FROM (SELECT FROM {schema}.jobs
        WHERE 0 + fleet = $1 AND queue = $2 AND state = 1 AND limit_key IS NOT NULL LIMIT $3) AS k),
    (SELECT count(*) FROM (SELECT FROM {schema}.jobs
        WHERE fleet + 0 = $1 AND queue = $2 AND state = 0 LIMIT $3) AS delayed),
    (SELECT count(*) FROM (SELECT FROM {schema}.jobs
        WHERE fleet + 0 = $1 AND queue = $2 AND state = 2 LIMIT $3) AS claimed),
    (SELECT count(*) FROM (SELECT FROM {schema}.jobs
        WHERE fleet + 0 = $1 AND queue = $2 AND state = 3 AND due_at > now() LIMIT $3) AS done),
    (SELECT count(*) FROM (SELECT FROM {schema}.jobs
        WHERE fleet + 0 = $1 AND queue = $2 AND state = 4 LIMIT $3) AS dead),
    (SELECT count(*) FROM (SELECT FROM {schema}.jobs
        WHERE fleet + 0 = $1 AND queue = $2 AND state = 5 AND due_at > now() LIMIT $3) AS gone),
    (SELECT count(*) FROM (SELECT FROM {schema}.jobs
        WHERE fleet + 0 = $1 AND queue = $2 AND state = 7 LIMIT $3) AS waiting)
""",
    "results_before": """
SELECT d.before, d.outcome FROM {schema}.job_dependencies d
WHERE d.fleet = $1 AND d.id = $3 AND d.state = 1 AND EXISTS (
    SELECT FROM {schema}.jobs j WHERE j.fleet = $1 AND j.id = $3 AND j.queue = $2
) ORDER BY d.before
""",
    "put_limit": "SELECT {schema}.put_limit($1, $2, $3, $4, $5, $6, $7)",
    "read_limits": """
SELECT per, concurrency, rate, period_ms, burst FROM {schema}.job_limits
WHERE fleet = $1 AND queue = $2 ORDER BY per DESC
""",
    "put_schedule": "SELECT {schema}.put_schedule($1, $2, $3, $4, $5, $6)",
    "remove_schedule": """
DELETE FROM {schema}.job_schedules WHERE fleet = $1 AND queue = $2 AND name = $3 RETURNING 1
""",
    "read_schedules": """
SELECT clock.now_ms, s.name, s.rule, s.spec, s.version, s.fired_to_ms
FROM (SELECT {schema}.clock_ms() AS now_ms) AS clock
    LEFT JOIN {schema}.job_schedules AS s ON s.fleet = $1 AND s.queue = $2
ORDER BY s.name
""",
    "restart_schedule": """
UPDATE {schema}.job_schedules SET fired_to_ms = {schema}.clock_ms()
WHERE fleet = $1 AND queue = $2 AND name = $3 AND version = $4 AND fired_to_ms = $5
    AND fired_to_ms > {schema}.clock_ms() + $6 RETURNING 1
""",
    "fire_schedule": f"""
SELECT {{schema}}.fire_schedule($1, $2, $3, $4, $5, $6, {array("$7")}, $8, $9, $10, $11)
""",
    "queues": "SELECT name FROM {schema}.queues WHERE fleet = $1 ORDER BY name",
    "payload": f"SELECT value FROM {{schema}}.entries WHERE fleet = $1 AND key = $2 AND {LIVE}",
    # One look-up a key: "= ANY" may become a filter over all of the fleet.
    "payloads": f"""
SELECT {_PAYLOADS} FROM unnest({array("$2")}) WITH ORDINALITY AS wanted (key, place)
""",
    "payload_rows": f"""
SELECT wanted.key, e.value FROM unnest({array("$2")}) AS wanted (key) CROSS JOIN LATERAL (
    SELECT value FROM {{schema}}.entries
    WHERE fleet = $1 AND entries.key = wanted.key AND {LIVE} LIMIT 1
) AS e
""",
    "records": f"""
SELECT e.* FROM unnest({array("$2")}) AS wanted (key) CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM {{schema}}.entries
    WHERE fleet = $1 AND entries.key = wanted.key AND {LIVE} LIMIT 1
) AS e
""",
    "lock_doomed": f"SELECT {_DOOMED}",
    "clear": f"""
WITH doomed AS (
    SELECT tableoid, ctid, key
    {_DOOMED}
), buried AS (
    UPDATE {{schema}}.entries
    SET value = NULL, gone = CASE WHEN {NOT_EXPIRED} THEN 1 ELSE 2 END, updated_at = now(),
        revision = nextval('{{schema}}.revisions'), expires_at = now() + {TOMBSTONE},
        changed = pg_current_xact_id()
    WHERE {_CHOSEN.format(rows="doomed")}
    RETURNING key, gone
), logged AS ({_LOG_BURIED})
SELECT (SELECT count(*) FROM buried WHERE gone = 1), (SELECT count(*) FROM doomed),
    (SELECT count(*) FROM buried), (SELECT max(key) FROM doomed)
""",
    "newest": "SELECT last_value FROM {schema}.revisions",
    "claim_sweep": """
UPDATE {schema}.fleets SET swept_at = now()
WHERE id = $1 AND swept_at <= now() - $2::bigint * interval '1 millisecond' RETURNING true
""",
    "sweep": f"""
WITH due AS (
    SELECT tableoid, ctid, gone FROM {{schema}}.entries
    WHERE fleet + 0 = $1 AND expires_at <= now()
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
), forgotten AS (
    DELETE FROM {{schema}}.entries
    WHERE {_CHOSEN.format(rows="due WHERE due.gone IS NOT NULL")}
    RETURNING changed
), noted AS (
    UPDATE {{schema}}.fleets
    SET forgotten = greatest(
        forgotten, (SELECT changed FROM forgotten ORDER BY changed DESC LIMIT 1))
    WHERE id = $1 AND EXISTS (SELECT FROM forgotten)
), buried AS (
    UPDATE {{schema}}.entries
    SET value = NULL, gone = 2, updated_at = now(), revision = nextval('{{schema}}.revisions'),
        expires_at = now() + {TOMBSTONE}, changed = pg_current_xact_id()
    WHERE {_CHOSEN.format(rows="due WHERE due.gone IS NULL")}
    RETURNING key
), logged AS ({_LOG_BURIED})
SELECT count(*) FILTER (WHERE gone IS NULL), count(*) FROM due
""",
    # Of "sweep" what a role does that is bound to a part of the fleet.
    "bury_expired": f"""
WITH due AS (
    SELECT ctid FROM {{schema}}.entries
    WHERE fleet + 0 = $1 AND expires_at <= now() AND gone IS NULL
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
), buried AS (
    UPDATE {{schema}}.entries
    SET value = NULL, gone = 2, updated_at = now(), revision = nextval('{{schema}}.revisions'),
        expires_at = now() + {TOMBSTONE}, changed = pg_current_xact_id()
    WHERE ctid = ANY (ARRAY (SELECT ctid FROM due))
    RETURNING key
), logged AS ({_LOG_BURIED})
SELECT count(*) FROM buried
""",
    # A loose index scan: costs one look-up a partition, and counts each only up to a limit.
    "count": """
WITH RECURSIVE p AS (
    (SELECT partition FROM {schema}.entries WHERE fleet + 0 = $1 AND gone IS NULL
     ORDER BY partition LIMIT 1)
    UNION ALL
    SELECT (SELECT e.partition FROM {schema}.entries e
            WHERE e.fleet + 0 = $1 AND e.gone IS NULL AND e.partition > p.partition
            ORDER BY e.partition LIMIT 1)
    FROM p WHERE p.partition IS NOT NULL
)
SELECT p.partition, c.rows, c.expired, c.bytes FROM p CROSS JOIN LATERAL (
    SELECT count(*) AS rows, count(*) FILTER (WHERE expired) AS expired, sum(bytes) AS bytes
    FROM (
        SELECT octet_length(e.value) AS bytes, e.expires_at <= now() AS expired
        FROM {schema}.entries e
        WHERE e.fleet + 0 = $1 AND e.partition = p.partition AND e.gone IS NULL LIMIT $2
    ) AS counted
) AS c WHERE p.partition IS NOT NULL
""",
    "estimate": """
EXPLAIN (FORMAT JSON) SELECT 1 FROM {schema}.entries
WHERE fleet + 0 = $1 AND partition = $2 AND gone IS NULL
""",
    "server": """
SELECT current_setting('server_version') AS version,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes,
    current_setting('server_encoding') AS encoding,
    CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END AS role,
    extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
        AS last_replayed_seconds,
    coalesce(
        (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('{schema}.entries')),
        pg_total_relation_size('{schema}.entries')
    )::bigint AS table_bytes,
    pg_stat_get_db_numbackends(database.oid) AS connected_clients,
    current_setting('max_connections')::int AS max_connections
FROM pg_database AS database WHERE database.datname = current_database()
""",
}


class Statements(dict[str, str]):
    """The statements for one schema, by name."""

    def __init__(self, schema: str) -> None:
        self.schema = '"' + schema.replace('"', '""') + '"'
        super().__init__({name: self.fill(text) for name, text in _TEXTS.items()})

    def fill(self, text: str) -> str:
        """Put the schema's name and the age of tombstones in."""
        return text.replace("{schema}", self.schema).replace("{tombstone}", TOMBSTONE)

    def payloads(self, *, partition: bool) -> str:
        """Return the query of a page of values; its parameters are those of ``page``."""
        found = f"payloads_by_{'partition' if partition else 'key'}($1, $2, $3, $4, "
        last = ", $5" if partition else ""
        return f"SELECT key, value FROM {self.schema}.{found}{MAX_PAGE_BYTES}{last})"

    def page(self, *, values: bool, partition: bool) -> str:
        """Return the query of a page: $1 fleet, $2 first, $3 before, $4 limit, $5 partition."""
        rows = f"page_by_{'partition' if partition else 'key'}($1, $2, $3, $4, {values}"
        rows = f"{self.schema}.{rows}{', $5' if partition else ''})"
        if not values:
            return f"SELECT key FROM {rows} ORDER BY key"
        # The sum of the sizes before a row bounds what a page of large values holds; the size of
        # a compressed or moved-out value is known without reading it.
        return (
            f"SELECT {_COLUMNS} FROM (SELECT *, "
            "sum(octet_length(value)) OVER (ORDER BY key) - octet_length(value) AS before "
            f"FROM {rows}) AS entries WHERE before < {MAX_PAGE_BYTES} ORDER BY key"
        )
