"""The SQL that reads the log of changes and keeps it short; see ``statements`` and ``log``."""

from __future__ import annotations

from lionagi_qe.persistence.postgres.fragments import (
    COLUMNS_BEHIND_VALUE,
    MAX_PAGE_BYTES,
    NOT_EXPIRED,
)

_XMAX = "pg_snapshot_xmax(pg_current_snapshot())"
_STANDBY = "pg_is_in_recovery()"
# A standby's snapshot doesn't list the transactions that ran on the primary. All before the oldest
# of them have ended, and what later ones changed is left for a round that finds them so too.
_OLDEST = "pg_snapshot_xmin(pg_current_snapshot())::text"
_STANDBY_SNAPSHOT = f"{_OLDEST} || ':' || {_OLDEST} || ':'"
_SNAPSHOT = f"CASE WHEN {_STANDBY} THEN {_STANDBY_SNAPSHOT} ELSE pg_current_snapshot()::text END"
# Of when a standby's data is: it may be behind.
_NOW = f"""CASE WHEN {_STANDBY}
    THEN coalesce(pg_last_xact_replay_timestamp(), to_timestamp(0)) ELSE now() END"""
_MOMENT = f"(extract(epoch FROM {_NOW}) * 1000)::bigint"
_EXPIRED = "expires_at <= now()"
_UNDER_WAY = "fleet = $1 AND gone_arranged IS NULL"


def _told(found: str, further: str) -> str:
    """Return the query of a page that a function looks at.

    One row without a place if nothing was looked at. Of what was looked at only what happened to
    keys with prefix $8 and the last place come back. Values up to a size, if $9 wants them.
    """
    return f"""
SELECT {_SNAPSHOT} AS snapshot, {_MOMENT} AS moment, {_STANDBY} AS standby,
    (SELECT forgotten::text::bigint FROM {{schema}}.fleets WHERE id = $1) AS forgotten,
    {further}, page.*
FROM (SELECT) AS always LEFT JOIN (
    SELECT more OR at < looked AS more, by_key, change::text::bigint AS change, kind,
        key, CASE WHEN $9 AND kind = 0 THEN value END, {COLUMNS_BEHIND_VALUE}
    FROM (
        SELECT *, count(*) OVER () AS looked, sum(size) OVER (ORDER BY at) - size AS before
        FROM (
            SELECT *, CASE WHEN $9 AND kind = 0 THEN octet_length(value) ELSE 0 END AS size
            FROM (
                SELECT *, CASE WHEN NOT hit OR NOT starts_with(key, $8) THEN NULL
                    WHEN gone IS NOT NULL THEN gone WHEN {NOT_EXPIRED} THEN 0 END AS kind
                FROM {{schema}}.{found}
            ) AS found
        ) AS sized
    ) AS entries
    WHERE before < {MAX_PAGE_BYTES} AND (kind IS NOT NULL OR at = looked) ORDER BY at
) AS page ON true
"""


LOG_TEXTS = {
    # Where a watcher may begin. What says that it was changed by transactions to come was restored
    # from another server's dump: that log goes, and this server's begins with the snapshot. Entries
    # of such transactions are met by those who go through all of them.
    "start_log": f"""
WITH restored AS (
    DELETE FROM {{schema}}.changes WHERE fleet = $1 AND changed >= {_XMAX} RETURNING changed
), mended AS (
    UPDATE {{schema}}.fleets
    SET forgotten = CASE WHEN forgotten >= {_XMAX} THEN pg_current_xact_id() ELSE forgotten END,
        pruned = (pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1)::text::xid8
    WHERE id = $1
        AND (forgotten >= {_XMAX} OR pruned >= {_XMAX} OR EXISTS (SELECT FROM restored))
    RETURNING forgotten, pruned
), old AS (
    DELETE FROM {{schema}}.changes
    WHERE fleet = $1 AND changed <= coalesce((SELECT pruned FROM mended), '0')
)
SELECT pg_current_snapshot()::text, (extract(epoch FROM now()) * 1000)::bigint,
    coalesce(
        (SELECT forgotten FROM mended), (SELECT forgotten FROM {{schema}}.fleets WHERE id = $1)
    )::text::bigint
""",
    # The same on a standby.
    "start_log_on_standby": f"""
SELECT {_SNAPSHOT}, {_MOMENT}, forgotten::text::bigint FROM {{schema}}.fleets WHERE id = $1
""",
    "clock": "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
    # Changes that snapshot $2 did not see but (if given) snapshot $3 did, behind the place that
    # $4 to $6 tell.
    "log": _told(
        f"""page_of_changes($1, $2::text::pg_snapshot,
            coalesce($3::text, CASE WHEN {_STANDBY} THEN {_STANDBY_SNAPSHOT} END)::pg_snapshot,
            $4::text::xid8, $5, $6, $7)""",
        f"EXISTS (SELECT FROM {{schema}}.entries WHERE fleet + 0 = $1 AND {_EXPIRED}) AS due",
    ),
    "prune_log": "SELECT {schema}.prune_changes($1, $2)",
    "begin_copy": "INSERT INTO {schema}.copies (fleet) VALUES ($1) RETURNING id",
    # Notes the entries among those that "log" with these parameters would look at, for copy $9 in
    # the round that step $11 began (0: this one). The copy's row is locked first: whoever forgets
    # it meanwhile waits, or nothing is noted.
    "arrange": f"""
WITH page AS MATERIALIZED (
    SELECT at, more, by_key, hit, change, key, revision, gone, expires_at
    FROM {{schema}}.page_of_changes(
        $1, $2::text::pg_snapshot, $3::text::pg_snapshot, $4::text::xid8, $5, $6, $7
    )
), copy AS (
    UPDATE {{schema}}.copies SET steps = steps + 1, used_at = now()
    WHERE {_UNDER_WAY} AND id = $9 AND steps >= $10
    RETURNING steps AS step, CASE WHEN $11 = 0 THEN steps ELSE $11 END AS arranged
), noted AS (
    INSERT INTO {{schema}}.copy_places (copy, arranged, revision, key)
    SELECT $9, copy.arranged, page.revision, page.key FROM copy CROSS JOIN page
    WHERE hit AND starts_with(key, $8) AND gone IS NULL AND {NOT_EXPIRED}
    ON CONFLICT DO NOTHING
)
SELECT pg_current_snapshot()::text AS snapshot, copy.step, copy.arranged,
    coalesce(last.more, false) AS more, last.by_key, last.change::text::bigint AS change, last.key
FROM (SELECT) AS always LEFT JOIN copy ON true
    LEFT JOIN (SELECT * FROM page ORDER BY at DESC LIMIT 1) AS last ON true
""",
    # The entries noted for copy $2 in the round that step $4 began, behind revision $5 and key $6.
    "arranged": _told(
        "page_of_copy($1, $2, $4, $5, $6, $7)",
        f"""EXISTS (
        SELECT FROM {{schema}}.copies WHERE {_UNDER_WAY} AND id = $2 AND steps >= $3
    ) AS known""",
    ),
    "forget_copy": "SELECT {schema}.forget_copy($1, $2, $3)",
}
