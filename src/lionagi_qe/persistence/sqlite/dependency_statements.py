"""The SQL of jobs that come after others; see 0009_job_dependencies.sql."""

from __future__ import annotations

_LINK = "fleet = :fleet AND id = :id"

IS_PUT = "SELECT 1 FROM jobs WHERE fleet = :fleet AND id = :id"
BEFORE = """
SELECT state, outcome, due_ms FROM jobs
WHERE fleet = :fleet AND id = :before AND queue = :queue
    AND (state NOT IN (3, 5) OR due_ms > :now)
"""
DEPEND = """
INSERT OR REPLACE INTO job_dependencies (fleet, id, before, state, outcome)
VALUES (:fleet, :id, :before, :link, :outcome)
"""
AWAIT = "UPDATE jobs SET links = links | 1 WHERE fleet = :fleet AND id = :before"
# As it is put: it waits, or has fallen already.
HOLD = """
UPDATE jobs SET state = coalesce(:fallen, :held), links = 2,
    outcome = CASE WHEN :fallen IS NULL THEN NULL ELSE :reason END,
    payload = CASE WHEN :fallen = 5 THEN x'' ELSE payload END,
    due_ms = CASE WHEN :fallen IS NULL THEN due_ms ELSE :due END
WHERE fleet = :fleet AND id = :id
"""

# Of a job that is done.
MEET = """
UPDATE job_dependencies SET state = 1, outcome = :payload
WHERE fleet = :fleet AND before = :id AND state = 0
RETURNING id
"""
# What comes after it and has nothing else to wait for.
FREE = """
UPDATE jobs SET state = due_ms <= :now
WHERE fleet = :fleet AND id = :dependant AND state = 7 AND NOT EXISTS (
    SELECT 1 FROM job_dependencies AS d
    WHERE d.fleet = :fleet AND d.id = :dependant AND d.state <> 1
)
RETURNING state, limit_key, priority
"""
FORGET_LINKS = f"DELETE FROM job_dependencies WHERE {_LINK}"

# Of a job that can't be done any more.
DEPENDANTS = """
SELECT id FROM job_dependencies INDEXED BY job_dependencies_waiting
WHERE fleet = :fleet AND before = :before AND state = 0 ORDER BY id LIMIT :limit
"""
UNMEET = """
UPDATE job_dependencies SET state = 2
WHERE fleet = :fleet AND before = :before AND id = :id
"""
FALL = """
UPDATE jobs SET
    state = :fallen, outcome = :reason, cancel_ms = NULL, due_ms = :due,
    payload = CASE WHEN :fallen = 5 THEN x'' ELSE payload END
WHERE fleet = :fleet AND id = :id AND state = 7
RETURNING links
"""
NOTE_FALL = """
INSERT OR IGNORE INTO job_falls (fleet, queue, id, state, due_ms)
VALUES (:fleet, :queue, :before, :fallen, :due)
"""
FALLS = """
DELETE FROM job_falls WHERE (fleet, queue, id) IN (
    SELECT fleet, queue, id FROM job_falls WHERE fleet = :fleet AND queue = :queue LIMIT 1000
)
RETURNING id, state, due_ms
"""

# Of a dead job that is to be ready again: what it waits for, as that is now.
UNMET = """
SELECT d.before, j.state, j.outcome FROM job_dependencies AS d
    LEFT JOIN jobs AS j ON j.fleet = d.fleet AND j.id = d.before
        AND (j.state NOT IN (3, 5) OR j.due_ms > :now)
WHERE d.fleet = :fleet AND d.id = :id AND d.state <> 1
"""
RESULTS = f"""
SELECT before, outcome FROM job_dependencies WHERE {_LINK} AND state = 1 AND EXISTS (
    SELECT 1 FROM jobs WHERE {_LINK} AND queue = :queue
) ORDER BY before
"""
