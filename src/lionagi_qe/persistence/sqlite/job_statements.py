"""The SQL of the work queues; ``:now`` is the host's clock in milliseconds since 1970.

The indexes are named, since the planner has no statistics to choose by.
"""

from __future__ import annotations

COLUMNS = "id, state, priority, attempts, max_attempts, payload, outcome, created_ms"

NOTE_QUEUE = "INSERT OR IGNORE INTO queues (fleet, name) VALUES (:fleet, :queue)"
QUEUES = "SELECT name FROM queues WHERE fleet = :fleet ORDER BY name"

PUT = """
INSERT INTO jobs
    (fleet, queue, id, state, priority, max_attempts, payload, dedupe, created_ms, due_ms)
VALUES (:fleet, :queue, :id, :delay = 0, :priority, :max_attempts, :payload, :dedupe, :now,
    :now + :delay)
ON CONFLICT DO NOTHING
"""
FIND_DEDUPE = """
SELECT id FROM jobs WHERE fleet = :fleet AND queue = :queue AND dedupe = :dedupe
"""

END = """
UPDATE jobs SET
    state = CASE
        WHEN :ending = 'ack' THEN 3
        WHEN :ending = 'extend' THEN 2
        WHEN :ending = 'release' THEN 1
        WHEN :ending = 'bury' OR attempts >= max_attempts THEN 4
        WHEN :ms > 0 THEN 0
        ELSE 1 END,
    attempts = attempts - (:ending = 'release'),
    outcome = CASE WHEN :ending IN ('ack', 'retry', 'bury') THEN :payload ELSE outcome END,
    -- A done job is kept for its result alone.
    payload = CASE WHEN :ending = 'ack' THEN x'' ELSE payload END,
    dedupe = CASE
        WHEN :ending IN ('extend', 'release') THEN dedupe
        WHEN :ending = 'retry' AND attempts < max_attempts THEN dedupe END,
    due_ms = :now + :ms
WHERE fleet = :fleet AND id = :id AND claim = :claim AND state = 2 AND queue = :queue
RETURNING state
"""
# The same call again, after its answer was lost?
ENDED = """
SELECT state FROM jobs
WHERE fleet = :fleet AND id = :id AND claim = :claim AND queue = :queue
    AND CASE :ending WHEN 'ack' THEN state = 3 WHEN 'extend' THEN 0
        WHEN 'bury' THEN state = 4 ELSE state IN (0, 1, 4) END
"""

DUE = """
UPDATE jobs SET
    state = CASE WHEN state = 2 AND attempts >= max_attempts THEN 4 ELSE 1 END,
    claim = claim + (state = 2),
    outcome = CASE WHEN state = 2 THEN :lease_ended ELSE outcome END,
    dedupe = CASE WHEN state = 2 AND attempts >= max_attempts THEN NULL ELSE dedupe END,
    due_ms = :now
WHERE seq IN (
    SELECT seq FROM jobs INDEXED BY jobs_due
    WHERE fleet = :fleet AND queue = :queue AND state IN (0, 2) AND due_ms <= :now
    ORDER BY due_ms LIMIT max(:count, 100)
)
"""
CLAIM = """
UPDATE jobs SET
    state = 2, attempts = attempts + 1, claim = claim + 1, due_ms = :now + :lease
WHERE seq IN (
    SELECT seq FROM jobs INDEXED BY jobs_ready
    WHERE fleet = :fleet AND queue = :queue AND state = 1
    ORDER BY priority, seq LIMIT :count
)
RETURNING seq, id, payload, priority, attempts, max_attempts, claim, created_ms
"""
NEXT_DUE = """
SELECT due_ms - :now FROM jobs INDEXED BY jobs_due
WHERE fleet = :fleet AND queue = :queue AND state IN (0, 2) ORDER BY due_ms LIMIT 1
"""
# In how many milliseconds a claim would find something; null for never.
FINDS_IN = """
SELECT CASE
    WHEN EXISTS (
        SELECT 1 FROM jobs INDEXED BY jobs_ready
        WHERE fleet = :fleet AND queue = :queue AND state = 1
    ) THEN 0
    ELSE (
        SELECT max(due_ms - :now, 0) FROM jobs INDEXED BY jobs_due
        WHERE fleet = :fleet AND queue = :queue AND state IN (0, 2) ORDER BY due_ms LIMIT 1
    ) END
"""

REVIVE = """
UPDATE jobs SET state = 1, attempts = 0, due_ms = :now
WHERE fleet = :fleet AND id = :id AND queue = :queue AND state = 4
"""
PURGE = "DELETE FROM jobs WHERE fleet = :fleet AND id = :id AND queue = :queue AND state = 4"
FORGET = """
DELETE FROM jobs WHERE seq IN (
    SELECT seq FROM jobs INDEXED BY jobs_done
    WHERE fleet = :fleet AND state = 3 AND due_ms <= :now ORDER BY due_ms LIMIT :limit
)
"""

FIND = f"""
SELECT {COLUMNS} FROM jobs
WHERE fleet = :fleet AND id = :id AND queue = :queue AND (state <> 3 OR due_ms > :now)
"""
LIST_DEAD = f"""
SELECT {COLUMNS} FROM jobs INDEXED BY jobs_dead
WHERE fleet = :fleet AND queue = :queue AND state = 4 AND id > :after ORDER BY id LIMIT :limit
"""
COUNT = """
SELECT
    (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_ready
        WHERE fleet = :fleet AND queue = :queue AND state = 1 LIMIT :limit)),
    count(*) FILTER (WHERE state = 0),
    count(*) FILTER (WHERE state = 2),
    (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_done
        WHERE fleet = :fleet AND queue = :queue AND state = 3 AND due_ms > :now LIMIT :limit)),
    (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_dead
        WHERE fleet = :fleet AND queue = :queue AND state = 4 LIMIT :limit))
FROM (SELECT state FROM jobs INDEXED BY jobs_due
    WHERE fleet = :fleet AND queue = :queue AND state IN (0, 2) LIMIT :limit)
"""
