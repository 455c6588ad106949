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

-- A job that may be claimed puts its line in turn, and so does the end of one that was claimed.
CREATE TRIGGER jobs_put_in_line AFTER INSERT ON jobs
WHEN NEW.limit_key IS NOT NULL AND NEW.state = 1
BEGIN
    UPDATE job_lines SET
        priority = min(priority, NEW.priority),
        turn = CASE WHEN state IN (1, 3) THEN (
            SELECT max(turn) + 1 FROM job_lines WHERE fleet = NEW.fleet AND queue = NEW.queue
        ) ELSE turn END,
        state = CASE WHEN state IN (1, 3) THEN 0 ELSE state END
    WHERE fleet = NEW.fleet AND queue = NEW.queue AND limit_key = NEW.limit_key
        AND (state IN (1, 3) OR priority > NEW.priority);
    INSERT INTO job_lines (fleet, queue, limit_key, state, priority, turn)
    SELECT NEW.fleet, NEW.queue, NEW.limit_key, 0, NEW.priority, (
        SELECT coalesce(max(turn), 0) + 1 FROM job_lines
        WHERE fleet = NEW.fleet AND queue = NEW.queue
    )
    WHERE NOT EXISTS (
        SELECT 1 FROM job_lines
        WHERE fleet = NEW.fleet AND queue = NEW.queue AND limit_key = NEW.limit_key
    );
END;

CREATE TRIGGER jobs_changed_in_line AFTER UPDATE OF state, priority, limit_key ON jobs
WHEN NEW.limit_key IS NOT NULL AND (NEW.state = 1 OR (OLD.state = 2 AND NEW.state <> 2))
BEGIN
    UPDATE job_lines SET
        priority = CASE NEW.state WHEN 1 THEN min(priority, NEW.priority) ELSE priority END,
        turn = CASE WHEN state IN (1, 3) THEN (
            SELECT max(turn) + 1 FROM job_lines WHERE fleet = NEW.fleet AND queue = NEW.queue
        ) ELSE turn END,
        state = CASE WHEN state IN (1, 3) THEN 0 ELSE state END
    WHERE fleet = NEW.fleet AND queue = NEW.queue AND limit_key = NEW.limit_key
        AND (state = 1 OR (NEW.state = 1 AND (state = 3 OR priority > NEW.priority)));
    INSERT INTO job_lines (fleet, queue, limit_key, state, priority, turn)
    SELECT NEW.fleet, NEW.queue, NEW.limit_key, 0, NEW.priority, (
        SELECT coalesce(max(turn), 0) + 1 FROM job_lines
        WHERE fleet = NEW.fleet AND queue = NEW.queue
    )
    WHERE NEW.state = 1 AND NOT EXISTS (
        SELECT 1 FROM job_lines
        WHERE fleet = NEW.fleet AND queue = NEW.queue AND limit_key = NEW.limit_key
    );
END;
