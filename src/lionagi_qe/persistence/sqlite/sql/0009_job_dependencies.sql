-- State 7 is waiting; see contract/dependencies.py. links: 1 others came after this job, 2 it comes after
-- others, 3 both; so that the end of any other job looks no further.
ALTER TABLE jobs ADD COLUMN links INTEGER NOT NULL DEFAULT 0;

CREATE INDEX jobs_waiting ON jobs (fleet, queue, seq) WHERE state = 7;
DROP INDEX jobs_dedupe;
CREATE UNIQUE INDEX jobs_dedupe ON jobs (fleet, queue, dedupe)
    WHERE dedupe IS NOT NULL AND state IN (0, 1, 2, 7);

-- That job id comes after job before. state: 0 waits, 1 that is done and outcome is its result, 2 that can't
-- be done any more. Kept until job id is done, cancelled or purged.
CREATE TABLE job_dependencies (
    fleet INTEGER NOT NULL,
    id TEXT NOT NULL,
    before TEXT NOT NULL,
    state INTEGER NOT NULL,
    outcome BLOB,
    PRIMARY KEY (fleet, id, before)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_dependencies_waiting ON job_dependencies (fleet, before, id) WHERE state = 0;

-- Jobs that died (state 4) or were cancelled (5, kept until due_ms) and whose dependants have not all fallen
-- with them yet.
CREATE TABLE job_falls (
    fleet INTEGER NOT NULL,
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    state INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY (fleet, queue, id)
) STRICT, WITHOUT ROWID;
