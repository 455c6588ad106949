-- Periodic jobs. rule: what says when; spec: what to put, in JSON; version: what changed it last;
-- fired_to_ms: all that was due by then is done with.
CREATE TABLE job_schedules (
    fleet INTEGER NOT NULL,
    queue TEXT NOT NULL,
    name TEXT NOT NULL,
    rule TEXT NOT NULL,
    spec TEXT NOT NULL,
    version TEXT NOT NULL,
    fired_to_ms INTEGER NOT NULL,
    PRIMARY KEY (fleet, queue, name)
) STRICT, WITHOUT ROWID;
