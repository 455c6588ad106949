"""The SQL of limits, and of the lines of limit keys; see 0008_job_limits.sql."""

from __future__ import annotations

from lionagi_qe.persistence.sqlite.job_statements import CLAIMED_COLUMNS

# A queue with this line is one with limits or keys.
NOTE_LINES = """
INSERT OR IGNORE INTO job_lines (fleet, queue, limit_key, state, priority, turn)
VALUES (:fleet, :queue, '', 4, 0, 0)
"""
LIMIT = """
INSERT OR REPLACE INTO job_limits (fleet, queue, per, concurrency, rate, period_ms, burst)
VALUES (:fleet, :queue, :per, :concurrency, :rate, :period, :burst)
"""
LIFT = "DELETE FROM job_limits WHERE fleet = :fleet AND queue = :queue AND per = :per"
READ_LIMITS = """
SELECT per, concurrency, rate, period_ms, burst FROM job_limits
WHERE fleet = :fleet AND queue = :queue ORDER BY per DESC
"""
ALL_IN_TURN = """
UPDATE job_lines SET state = 0 WHERE fleet = :fleet AND queue = :queue AND state IN (1, 2)
"""

# A job that may be claimed (priority is its own) puts its line in turn, and so does the end of one
# that was claimed (priority is null).
_NEXT_TURN = """(
    SELECT coalesce(max(turn), 0) + 1 FROM job_lines WHERE fleet = :fleet AND queue = :queue
)"""
TOUCH = f"""
UPDATE job_lines SET
    priority = min(priority, coalesce(:priority, priority)),
    turn = CASE WHEN state IN (1, 3) THEN {_NEXT_TURN} ELSE turn END,
    state = CASE WHEN state IN (1, 3) THEN 0 ELSE state END
WHERE fleet = :fleet AND queue = :queue AND limit_key = :key
    AND (state = 1 OR (:priority IS NOT NULL AND (state = 3 OR priority > :priority)))
"""
ENTER = f"""
INSERT OR IGNORE INTO job_lines (fleet, queue, limit_key, state, priority, turn)
VALUES (:fleet, :queue, :key, 0, :priority, {_NEXT_TURN})
"""

_LINE = "WHERE fleet = :fleet AND queue = :queue AND limit_key = :key"
OWN_TAT = """
SELECT tat_ms FROM job_lines WHERE fleet = :fleet AND queue = :queue AND limit_key = ''
"""
CLAIMED = """
SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_claimed
    WHERE fleet = :fleet AND queue = :queue AND state = 2 LIMIT :most)
"""
CLAIMED_OF_LINE = f"""
SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_key_claimed
    {_LINE} AND state = 2 LIMIT :most)
"""
FREE_BY_TIME = """
UPDATE job_lines SET state = 0
WHERE fleet = :fleet AND queue = :queue AND state = 2 AND free_ms <= :now
"""
NEXT_FREE = """
SELECT max(free_ms - :now, 0) FROM job_lines INDEXED BY job_lines_free
WHERE fleet = :fleet AND queue = :queue AND state = 2 ORDER BY free_ms LIMIT 1
"""
NEXT_LINE = """
SELECT priority, turn, limit_key, tat_ms FROM job_lines INDEXED BY job_lines_in_turn
WHERE fleet = :fleet AND queue = :queue AND state = 0 ORDER BY priority, turn, limit_key LIMIT 1
"""
# Priority and turn of the queue's own line; nothing if no job without a key is ready.
OWN_NEXT = """
SELECT j.priority, l.turn FROM jobs AS j INDEXED BY jobs_ready
    JOIN job_lines AS l ON l.fleet = j.fleet AND l.queue = j.queue AND l.limit_key = ''
WHERE j.fleet = :fleet AND j.queue = :queue AND j.state = 1 AND j.limit_key IS NULL
ORDER BY j.priority, j.seq LIMIT 1
"""
NEXT_OF_LINE = f"""
SELECT seq, priority FROM jobs INDEXED BY jobs_key_ready
{_LINE} AND state = 1 ORDER BY priority, seq LIMIT 1
"""
CLAIM_ONE = f"""
UPDATE jobs SET
    state = 2, attempts = attempts + 1, claim = claim + 1, due_ms = :now + :lease
WHERE seq = :seq RETURNING {CLAIMED_COLUMNS}
"""
# tat: null leaves it as it is.
SERVED = f"""
UPDATE job_lines SET tat_ms = coalesce(:tat, tat_ms), turn = {_NEXT_TURN} {_LINE}
"""
WAIT_FOR_END = f"UPDATE job_lines SET state = 1 {_LINE}"
WAIT_FOR_RATE = f"""
UPDATE job_lines SET state = 2, free_ms = :now + :wait, tat_ms = :tat {_LINE}
"""
LOWER_LINE = f"UPDATE job_lines SET priority = :priority {_LINE}"
EMPTY_LINE = f"""
UPDATE job_lines SET state = 3, priority = 2147483647 {_LINE} AND tat_ms > :now
"""
REMOVE_LINE = f"DELETE FROM job_lines {_LINE} AND tat_ms <= :now"
FORGET_LINES = """
DELETE FROM job_lines WHERE (fleet, queue, limit_key) IN (
    SELECT fleet, queue, limit_key FROM job_lines INDEXED BY job_lines_empty
    WHERE fleet = :fleet AND state = 3 AND tat_ms <= :now ORDER BY tat_ms LIMIT :limit
)
"""
SET_OWN_TAT = """
UPDATE job_lines SET tat_ms = :tat WHERE fleet = :fleet AND queue = :queue AND limit_key = ''
"""
