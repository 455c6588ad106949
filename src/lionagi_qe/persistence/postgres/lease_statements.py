"""The SQL of leases; see ``statements``."""

from __future__ import annotations

_TTL = "$4::bigint * interval '1 millisecond'"
_REMAINING = "greatest(0, ceil(extract(epoch FROM expires_at - clock_timestamp()) * 1000))::bigint"

LEASE_TEXTS = {
    # clock_timestamp() and not now(): the row's lock may have been waited for.
    "acquire_lease": f"""
WITH taken AS (
    INSERT INTO {{schema}}.leases AS l (fleet, name, token, holder, expires_at)
    VALUES ($1, $2, nextval('{{schema}}.revisions'), $3, clock_timestamp() + {_TTL})
    ON CONFLICT (fleet, name) DO UPDATE SET
        token = CASE WHEN l.expires_at > clock_timestamp() THEN l.token
            ELSE nextval('{{schema}}.revisions') END,
        holder = excluded.holder,
        expires_at = clock_timestamp() + {_TTL}
    WHERE l.expires_at <= clock_timestamp() OR l.holder = excluded.holder
    RETURNING token, holder, $4::bigint
)
SELECT * FROM taken UNION ALL SELECT token, holder, {_REMAINING} FROM {{schema}}.leases
WHERE fleet = $1 AND name = $2 AND NOT EXISTS (SELECT FROM taken)
""",
    "extend_lease": f"""
UPDATE {{schema}}.leases SET expires_at = clock_timestamp() + {_TTL}
WHERE fleet = $1 AND name = $2 AND token = $3 AND expires_at > clock_timestamp() RETURNING true
""",
    "find_lease": f"""
SELECT token, holder, {_REMAINING} FROM {{schema}}.leases
WHERE fleet = $1 AND name = $2 AND expires_at > clock_timestamp()
""",
    "list_leases": f"""
SELECT name, token, holder, {_REMAINING} FROM {{schema}}.leases
WHERE fleet = $1 AND name > $2 AND expires_at > clock_timestamp() ORDER BY name LIMIT $3
""",
    "forget_leases": """
DELETE FROM {schema}.leases
WHERE fleet = $1 AND expires_at < now() - $2::bigint * interval '1 millisecond'
""",
}
