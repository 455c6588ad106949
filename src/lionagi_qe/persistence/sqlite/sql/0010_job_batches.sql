-- See contract/job_batches.py. In jobs.links: 4 a job of a batch, 8 the callback of one.
-- id: of the callback. succeeded: it is called if all of them are done, else once they have ended. until_ms:
-- null, or when it is forgotten together with its callback.
CREATE TABLE job_batches (
    fleet INTEGER NOT NULL,
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    succeeded INTEGER NOT NULL,
    keep_ms INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    until_ms INTEGER,
    PRIMARY KEY (fleet, queue, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_batches_until ON job_batches (fleet, until_ms) WHERE until_ms IS NOT NULL;

-- state: 0 pending, or as in jobs what the job has ended in; outcome is then its result or its last error.
CREATE TABLE job_batch_jobs (
    fleet INTEGER NOT NULL,
    id TEXT NOT NULL,
    queue TEXT NOT NULL,
    batch TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    outcome BLOB,
    PRIMARY KEY (fleet, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_batch_jobs_of ON job_batch_jobs (fleet, batch, id);
