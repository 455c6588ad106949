"""The SQL of the SQLite backend; ``:now`` is the host's clock in milliseconds since 1970."""

TOMBSTONE_MS = 300_000

LIVE = "gone IS NULL AND (expires_ms IS NULL OR expires_ms > :now)"
COLUMNS = "key, value, revision, partition, created_ms, updated_ms, expires_ms"

PUT = f"""
INSERT INTO entries (fleet, key, value, partition, revision, created_ms, updated_ms, expires_ms)
VALUES (:fleet, :key, :value, :partition, :revision, :now, :now, :now + :ttl)
ON CONFLICT (fleet, key) DO UPDATE SET
    value = excluded.value,
    partition = excluded.partition,
    revision = excluded.revision,
    created_ms = CASE WHEN {LIVE} THEN created_ms ELSE excluded.created_ms END,
    updated_ms = excluded.updated_ms,
    expires_ms = excluded.expires_ms,
    gone = NULL
"""

# What PUT comes to where the entry is there and stays in its partition: one index less to write.
PUT_AGAIN = f"""
UPDATE entries
SET value = :value, revision = :revision, updated_ms = :now, expires_ms = :now + :ttl
WHERE fleet = :fleet AND key = :key AND partition = :partition AND {LIVE}
"""

REPLACE_VALUE = """
UPDATE entries SET value = :value, revision = :revision, updated_ms = :now
WHERE fleet = :fleet AND key = :key
"""

TOUCH = f"""
UPDATE entries SET expires_ms = :now + :ttl WHERE fleet = :fleet AND key = :key AND {LIVE}
"""

BURY = """
UPDATE entries
SET value = NULL, gone = :gone, revision = :revision, updated_ms = :now, expires_ms = :now + :keep
WHERE fleet = :fleet AND key = :key
"""

FIND = f"""
SELECT {COLUMNS} FROM entries WHERE fleet = :fleet AND key = :key AND {LIVE}
"""

FIND_REVISION = f"""
SELECT revision FROM entries WHERE fleet = :fleet AND key = :key AND {LIVE}
"""

FIND_VALUE = f"""
SELECT value FROM entries WHERE fleet = :fleet AND key = :key AND {LIVE}
"""


def page(columns: str, *, exclusive: bool, partition: bool) -> str:
    """Return the query of one page of a key range."""
    where = "AND partition = :partition " if partition else ""
    compare = ">" if exclusive else ">="
    return (
        f"SELECT {columns} FROM entries WHERE fleet = :fleet AND key {compare} :first "
        f"AND key < :before {where}AND {LIVE} ORDER BY key LIMIT :limit"
    )


PARTITION_BATCH = """
SELECT key, gone IS NULL AND (expires_ms IS NULL OR expires_ms > :now)
FROM entries
WHERE fleet = :fleet AND partition = :partition AND gone IS NULL AND key > :after
    AND revision <= :newest
ORDER BY key LIMIT :limit
"""

CURRENT_REVISION = "SELECT revision FROM fleets WHERE id = :fleet"
# And then CURRENT_REVISION: RETURNING costs five times as much as both.
NEXT_REVISIONS = "UPDATE fleets SET revision = revision + :count WHERE id = :fleet"
CLAIM_SWEEP = """
UPDATE fleets SET swept_ms = :now WHERE id = :fleet AND swept_ms <= :now - :interval
"""
EXPIRED = """
SELECT key, gone, revision FROM entries
WHERE fleet = :fleet AND expires_ms IS NOT NULL AND expires_ms <= :now
ORDER BY expires_ms LIMIT :limit
"""
FORGET = "DELETE FROM entries WHERE fleet = :fleet AND key = :key"
NOTE_FORGOTTEN = "UPDATE fleets SET forgotten = max(forgotten, :revision) WHERE id = :fleet"

LOG_STATE = """
SELECT revision, forgotten, EXISTS (
    SELECT 1 FROM entries
    WHERE entries.fleet = fleets.id AND expires_ms IS NOT NULL AND expires_ms <= :now
) FROM fleets WHERE id = :fleet
"""
# Kind: null for what has expired and is no tombstone yet.
LOG = f"""
SELECT CASE WHEN gone IS NOT NULL THEN gone
        WHEN expires_ms IS NULL OR expires_ms > :now THEN 0 END, {COLUMNS}
FROM entries WHERE fleet = :fleet AND revision > :after ORDER BY revision LIMIT :limit
"""

NEXT_PARTITION = """
SELECT min(partition) FROM entries WHERE fleet = :fleet AND gone IS NULL AND partition > :after
"""
COUNT_PARTITION = """
SELECT count(*), coalesce(sum(bytes), 0), coalesce(sum(expired), 0) FROM (
    SELECT length(value) AS bytes, expires_ms IS NOT NULL AND expires_ms <= :now AS expired
    FROM entries WHERE fleet = :fleet AND partition = :partition AND gone IS NULL LIMIT :limit
)
"""
ROWS_PER_PARTITION = """
SELECT stat FROM sqlite_stat1 WHERE tbl = 'entries' AND idx = 'entries_by_partition'
"""

HELD_LEASE = """
SELECT token FROM leases WHERE fleet = :fleet AND name = :name AND expires_ms > :now
"""
FIND_LEASE = """
SELECT token, holder, expires_ms - :now FROM leases
WHERE fleet = :fleet AND name = :name AND expires_ms > :now
"""
LIST_LEASES = """
SELECT name, token, holder, expires_ms - :now FROM leases
WHERE fleet = :fleet AND name > :name AND expires_ms > :now ORDER BY name LIMIT :limit
"""
SET_LEASE = """
INSERT INTO leases (fleet, name, token, holder, expires_ms)
VALUES (:fleet, :name, :token, :holder, :now + :ttl)
ON CONFLICT (fleet, name) DO UPDATE SET
    token = excluded.token, holder = excluded.holder, expires_ms = excluded.expires_ms
"""
EXCHANGE_HOLDER = """
UPDATE leases SET holder = :new
WHERE fleet = :fleet AND name = :name AND holder = :old AND expires_ms > :now
"""
EXTEND_LEASE = """
UPDATE leases SET expires_ms = :now + :ttl
WHERE fleet = :fleet AND name = :name AND token = :token AND expires_ms > :now
"""
FORGET_LEASES = "DELETE FROM leases WHERE fleet = :fleet AND expires_ms < :before"
