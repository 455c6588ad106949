-- limit_key: null, or the line that the job waits in; see contract/limits.py.
ALTER TABLE jobs ADD COLUMN limit_key TEXT;

DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (fleet, queue, priority, seq) WHERE state = 1 AND limit_key IS NULL;
CREATE INDEX jobs_key_ready ON jobs (fleet, queue, limit_key, priority, seq)
    WHERE state = 1 AND limit_key IS NOT NULL;
-- Apart, so that the claimed ones can be counted without the delayed ones.
DROP INDEX jobs_due;
CREATE INDEX jobs_delayed ON jobs (fleet, queue, due_ms) WHERE state = 0;
CREATE INDEX jobs_claimed ON jobs (fleet, queue, due_ms) WHERE state = 2;
CREATE INDEX jobs_key_claimed ON jobs (fleet, queue, limit_key)
    WHERE state = 2 AND limit_key IS NOT NULL;

CREATE TABLE job_limits (
    fleet INTEGER NOT NULL,
    queue TEXT NOT NULL,
    per TEXT NOT NULL,
    concurrency INTEGER,
    rate INTEGER,
    period_ms INTEGER NOT NULL,
    burst INTEGER NOT NULL,
    PRIMARY KEY (fleet, queue, per)
) STRICT, WITHOUT ROWID;

-- The lines of a queue that has limits or keys; the one with key '' is that of jobs without a key, and
-- its tat_ms that of the whole queue. state: 0 in turn, 1 waits for an end of one of its jobs, 2 waits
-- until free_ms for its rate, 3 empty and kept for its tat_ms, 4 the line with key ''. priority: not
-- above that of its next job. turn: the lower, the sooner.
CREATE TABLE job_lines (
    fleet INTEGER NOT NULL,
    queue TEXT NOT NULL,
    limit_key TEXT NOT NULL,
    state INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    free_ms INTEGER NOT NULL DEFAULT 0,
    tat_ms REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (fleet, queue, limit_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_lines_in_turn ON job_lines (fleet, queue, priority, turn) WHERE state = 0;
CREATE INDEX job_lines_free ON job_lines (fleet, queue, free_ms) WHERE state = 2;
CREATE INDEX job_lines_empty ON job_lines (fleet, tat_ms) WHERE state = 3;
CREATE INDEX job_lines_turn ON job_lines (fleet, queue, turn);
