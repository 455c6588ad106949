CREATE TABLE fleets (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL DEFAULT 0,
    swept_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A deleted or expired entry stays for a while as a tombstone: no value, "gone" says why
-- (1 deleted, 2 expired), expires_ms when it goes for good.
CREATE TABLE entries (
    fleet INTEGER NOT NULL REFERENCES fleets (id),
    key TEXT NOT NULL,
    value BLOB,
    partition TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    gone INTEGER,
    UNIQUE (fleet, key)
) STRICT;

CREATE INDEX entries_by_partition ON entries (fleet, partition, key) WHERE gone IS NULL;
CREATE INDEX entries_by_expiry ON entries (fleet, expires_ms) WHERE expires_ms IS NOT NULL;
CREATE UNIQUE INDEX entries_by_revision ON entries (fleet, revision);
