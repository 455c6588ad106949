"""Parts that several of the PostgreSQL backend's statements share."""

from __future__ import annotations

TOMBSTONE = "interval '5 minutes'"
MAX_PAGE_BYTES = 16 * 1024 * 1024

NOT_EXPIRED = "(expires_at IS NULL OR expires_at > now())"
# Of a row whose key is given: "gone IS NULL" would fit a partial index as well, see ADR 53.
LIVE = f"num_nonnulls(gone) = 0 AND {NOT_EXPIRED}"
COLUMNS_BEHIND_VALUE = """revision, partition,
    (extract(epoch FROM created_at) * 1000)::bigint,
    (extract(epoch FROM updated_at) * 1000)::bigint,
    (extract(epoch FROM expires_at) * 1000)::bigint"""
JOB_COLUMNS = """j.id, CASE WHEN j.state = 2 AND j.cancel_ms IS NOT NULL THEN 6 ELSE j.state END,
    j.priority, j.attempts, j.max_attempts, j.payload, j.outcome,
    (extract(epoch FROM j.created_at) * 1000)::bigint, j.progress, j.limit_key"""
