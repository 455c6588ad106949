"""The SQL that reads the log of changes and keeps it short; see ``statements`` and ``log``."""

from __future__ import annotations

from lionagi_qe.persistence.postgres.fragments import (
    COLUMNS_BEHIND_VALUE,
    MAX_PAGE_BYTES,
    NOT_EXPIRED,
)

_XMAX = "pg_snapshot_xmax(pg_current_snapshot())"

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
    "clock": "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
    # Changes that snapshot $2 did not see but (if given) snapshot $3 did, behind the place that
    # $4 to $6 tell; one row without a place if nothing was looked at. Of what was looked at only
    # what happened to keys with prefix $8 and the last place come back. Values up to a size, if $9
    # wants them.
    "log": f"""
SELECT pg_current_snapshot()::text AS snapshot,
    (extract(epoch FROM now()) * 1000)::bigint AS moment,
    (SELECT forgotten::text::bigint FROM {{schema}}.fleets WHERE id = $1) AS forgotten,
    EXISTS (SELECT FROM {{schema}}.entries WHERE fleet + 0 = $1 AND expires_at <= now()) AS due,
    page.*
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
                FROM {{schema}}.page_of_changes(
                    $1, $2::text::pg_snapshot, $3::text::pg_snapshot, $4::text::xid8, $5, $6, $7
                )
            ) AS found
        ) AS sized
    ) AS entries
    WHERE before < {MAX_PAGE_BYTES} AND (kind IS NOT NULL OR at = looked) ORDER BY at
) AS page ON true
""",
    "prune_log": "SELECT {schema}.prune_changes($1, $2)",
}
