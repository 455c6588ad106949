-- cancel_ms: null, or the job is being cancelled and, once it is, kept for so long. progress: what its
-- worker noted last. replaced_by: the id of the put that replaced its payload, so that the same put
-- again does nothing. State 5 is cancelled; due_ms then is as of a done job.
ALTER TABLE jobs ADD COLUMN cancel_ms INTEGER;
ALTER TABLE jobs ADD COLUMN progress BLOB;
ALTER TABLE jobs ADD COLUMN replaced_by TEXT;

CREATE INDEX jobs_cancelled ON jobs (fleet, queue, due_ms) WHERE state = 5;
CREATE INDEX jobs_cancelled_due ON jobs (fleet, due_ms) WHERE state = 5;

-- A dead job keeps its key, in case it is tried again, but holds it no more.
DROP INDEX jobs_dedupe;
CREATE UNIQUE INDEX jobs_dedupe ON jobs (fleet, queue, dedupe)
    WHERE dedupe IS NOT NULL AND state IN (0, 1, 2);

-- Keys that outlive their jobs.
CREATE TABLE job_keys (
    fleet INTEGER NOT NULL,
    queue TEXT NOT NULL,
    dedupe TEXT NOT NULL,
    id TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (fleet, queue, dedupe)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_keys_until ON job_keys (fleet, until_ms);
