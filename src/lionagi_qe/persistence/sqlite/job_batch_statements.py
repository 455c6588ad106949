"""The SQL of batches of jobs; see 0010_job_batches.sql."""

from __future__ import annotations

_BATCH = "fleet = :fleet AND queue = :queue AND id = :batch"

MAKE = """
INSERT INTO job_batches (fleet, queue, id, succeeded, keep_ms, pending, created_ms)
VALUES (:fleet, :queue, :id, :succeeded, :keep_ms, :jobs, :now)
"""
HOLD_CALLBACK = """
UPDATE jobs SET state = CASE WHEN :jobs > 0 THEN 7 ELSE state END, links = 8
WHERE fleet = :fleet AND id = :id
"""
GROW = f"""
UPDATE job_batches SET pending = pending + :adds
WHERE {_BATCH} AND EXISTS (
    SELECT 1 FROM jobs WHERE fleet = :fleet AND id = :batch AND state = 7
)
"""
ENTER = """
INSERT INTO job_batch_jobs (fleet, id, queue, batch) VALUES (:fleet, :id, :queue, :batch)
"""
LINK = """
UPDATE jobs SET links = links | 4 WHERE fleet = :fleet AND id = :id RETURNING state
"""

ENDED = """
UPDATE job_batch_jobs SET state = :ended, outcome = (
    SELECT outcome FROM jobs WHERE fleet = :fleet AND id = :id
)
WHERE fleet = :fleet AND id = :id AND state = 0
RETURNING batch
"""
COUNT_ENDED = f"""
UPDATE job_batches SET pending = pending - 1, done = done + (:ended = 3),
    dead = dead + (:ended = 4), cancelled = cancelled + (:ended = 5)
WHERE {_BATCH}
RETURNING pending, succeeded, done, dead, cancelled, keep_ms
"""
CALL = """
UPDATE jobs SET state = 1 WHERE fleet = :fleet AND id = :batch AND state = 7 RETURNING state
"""
REFUSE = """
UPDATE jobs SET state = :fallen, outcome = :reason, due_ms = :due,
    payload = CASE WHEN :fallen = 5 THEN x'' ELSE payload END
WHERE fleet = :fleet AND id = :batch AND state = 7
RETURNING links
"""
FORGET_AT = (
    "UPDATE job_batches SET until_ms = :due WHERE fleet = :fleet AND queue = :queue AND id = :id"
)

REVIVED = """
UPDATE job_batch_jobs SET state = 0, outcome = NULL
WHERE fleet = :fleet AND id = :id AND state = 4
RETURNING batch
"""
COUNT_REVIVED = f"UPDATE job_batches SET pending = pending + 1, dead = dead - 1 WHERE {_BATCH}"
# One that was never begun was refused by its batch.
WAIT_AGAIN = """
UPDATE jobs SET state = 7, outcome = NULL
WHERE fleet = :fleet AND id = :batch AND state = 4 AND attempts = 0
"""
MAY_CALL = """
SELECT CASE WHEN pending > 0 THEN 7 WHEN succeeded AND dead + cancelled > 0 THEN NULL ELSE 1 END
FROM job_batches WHERE fleet = :fleet AND queue = :queue AND id = :id
"""

FORGET_JOBS = """
DELETE FROM job_batch_jobs WHERE (fleet, id) IN (
    SELECT m.fleet, m.id FROM job_batches AS b INDEXED BY job_batches_until
        CROSS JOIN job_batch_jobs AS m INDEXED BY job_batch_jobs_of
    WHERE b.fleet = :fleet AND b.until_ms <= :now AND m.fleet = :fleet AND m.batch = b.id
    LIMIT :limit
)
"""
FORGET = """
DELETE FROM job_batches WHERE (fleet, queue, id) IN (
    SELECT fleet, queue, id FROM job_batches INDEXED BY job_batches_until
    WHERE fleet = :fleet AND until_ms <= :now AND NOT EXISTS (
        SELECT 1 FROM job_batch_jobs AS m INDEXED BY job_batch_jobs_of
        WHERE m.fleet = :fleet AND m.batch = job_batches.id
    ) LIMIT :limit
)
"""

_KEPT = "(b.until_ms IS NULL OR b.until_ms > :now)"
_COLUMNS = """b.id, CASE WHEN j.state = 2 AND j.cancel_ms IS NOT NULL THEN 6 ELSE j.state END,
    b.succeeded, b.pending, b.done, b.dead, b.cancelled, b.created_ms"""
_WITH_CALLBACK = "job_batches AS b JOIN jobs AS j ON j.fleet = :fleet AND j.id = b.id"
FIND = f"""
SELECT {_COLUMNS} FROM {_WITH_CALLBACK}
WHERE b.fleet = :fleet AND b.queue = :queue AND b.id = :id AND {_KEPT}
"""
LIST = f"""
SELECT {_COLUMNS} FROM {_WITH_CALLBACK}
WHERE b.fleet = :fleet AND b.queue = :queue AND b.id < :after AND {_KEPT}
ORDER BY b.id DESC LIMIT :limit
"""
JOBS = """
SELECT id, state, outcome FROM job_batch_jobs INDEXED BY job_batch_jobs_of
WHERE fleet = :fleet AND batch = :id AND queue = :queue AND id > :after
    AND (state = 0 OR NOT :pending)
ORDER BY id LIMIT :limit
"""
