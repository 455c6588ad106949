CREATE TABLE queues (
    fleet INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (fleet, name)
) STRICT, WITHOUT ROWID;

-- state: 0 delayed, 1 ready, 2 claimed, 3 done, 4 dead. due_ms: when the delay or the claim ends,
-- when a result is forgotten; else when the state began. claim counts up whenever a job changes
-- hands, so that its number proves whose it is. outcome: the result, or the last error.
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    fleet INTEGER NOT NULL REFERENCES fleets (id),
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    state INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL,
    claim INTEGER NOT NULL DEFAULT 0,
    payload BLOB NOT NULL,
    outcome BLOB,
    dedupe TEXT,
    created_ms INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    UNIQUE (fleet, id)
) STRICT;

CREATE INDEX jobs_ready ON jobs (fleet, queue, priority, seq) WHERE state = 1;
CREATE INDEX jobs_due ON jobs (fleet, queue, due_ms) WHERE state IN (0, 2);
CREATE INDEX jobs_done ON jobs (fleet, due_ms) WHERE state = 3;
CREATE INDEX jobs_dead ON jobs (fleet, queue, id) WHERE state = 4;
-- A job gives its key back when it ends.
CREATE UNIQUE INDEX jobs_dedupe ON jobs (fleet, queue, dedupe) WHERE dedupe IS NOT NULL;
