"""The SQL of the work queues; ``:now`` is the host's clock in milliseconds since 1970.

The indexes are named, since the planner has no statistics to choose by.
"""

from __future__ import annotations

# A claimed job that is being cancelled is told as 6.
_SHOWN = "CASE WHEN state = 2 AND cancel_ms IS NOT NULL THEN 6 ELSE state END"
COLUMNS = f"""id, {_SHOWN}, priority, attempts, max_attempts, payload, outcome, created_ms,
    progress, limit_key"""
# Appends to the newest failed attempts, see contract.failed_attempts; a BLOB is no JSON text.
_KEPT_FAILURES = "CAST(coalesce(failures, x'5b5d') AS TEXT)"
_AND_FAILURE = f"""CAST(json_insert(
        CASE WHEN json_array_length({_KEPT_FAILURES}) < 10 THEN {_KEPT_FAILURES}
            ELSE json_remove({_KEPT_FAILURES}, '$[0]') END,
        '$[#]', json_array(attempts, :now, CAST({{text}} AS TEXT))) AS BLOB)"""
CLAIMED_COLUMNS = "seq, id, payload, priority, attempts, max_attempts, claim, created_ms"

NOTE_QUEUE = "INSERT OR IGNORE INTO queues (fleet, name) VALUES (:fleet, :queue)"
QUEUES = "SELECT name FROM queues WHERE fleet = :fleet ORDER BY name"

PUT = """
INSERT INTO jobs
    (fleet, queue, id, state, priority, max_attempts, payload, dedupe, limit_key, created_ms,
    due_ms)
VALUES (:fleet, :queue, :id, :delay = 0, :priority, :max_attempts, :payload, :dedupe, :limit_key,
    :now, :now + :delay)
ON CONFLICT DO NOTHING
"""
# The unended job that has the key.
HOLDER = """
SELECT id, state, replaced_by FROM jobs INDEXED BY jobs_dedupe
WHERE fleet = :fleet AND queue = :queue AND dedupe = :dedupe
    AND state IN (0, 1, 2, 7)
"""
KEPT_KEY = """
SELECT id FROM job_keys
WHERE fleet = :fleet AND queue = :queue AND dedupe = :dedupe AND until_ms > :now
"""
KEEP_KEY = """
INSERT INTO job_keys (fleet, queue, dedupe, id, until_ms)
VALUES (:fleet, :queue, :dedupe, :id, :now + :dedupe_ms)
ON CONFLICT DO UPDATE SET id = excluded.id, until_ms = excluded.until_ms
"""
MOVE_KEY = """
UPDATE job_keys SET id = :id WHERE fleet = :fleet AND queue = :queue AND dedupe = :dedupe
"""
FORGET_KEYS = """
DELETE FROM job_keys WHERE (fleet, queue, dedupe) IN (
    SELECT fleet, queue, dedupe FROM job_keys INDEXED BY job_keys_until
    WHERE fleet = :fleet AND until_ms <= :now ORDER BY until_ms LIMIT :limit
)
"""
REPLACE = """
UPDATE jobs SET
    state = CASE WHEN state = 7 THEN 7 ELSE :delay = 0 END, priority = :priority,
    attempts = 0, max_attempts = :max_attempts,
    payload = :payload, outcome = NULL, progress = NULL, failures = NULL, created_ms = :now,
    due_ms = :now + :delay,
    replaced_by = :id, limit_key = :limit_key
WHERE fleet = :fleet AND id = :holder
RETURNING state, limit_key, priority
"""
HASTEN = """
UPDATE jobs SET
    state = CASE WHEN :delay = 0 AND state <> 7 THEN 1 ELSE state END,
    priority = min(priority, :priority),
    due_ms = min(due_ms, :now + :delay)
WHERE fleet = :fleet AND id = :holder
RETURNING state, limit_key, priority
"""
# One that runs while its key goes to another is not tried again.
DETACH = """
UPDATE jobs SET dedupe = NULL, max_attempts = attempts WHERE fleet = :fleet AND id = :holder
"""

END = f"""
UPDATE jobs SET
    state = CASE
        WHEN :ending = 'ack' THEN 3
        WHEN :ending IN ('extend', 'progress') THEN 2
        WHEN cancel_ms IS NOT NULL THEN 5
        WHEN :ending = 'release' THEN 1
        WHEN :ending = 'bury' OR attempts >= max_attempts THEN 4
        WHEN :ms > 0 THEN 0
        ELSE 1 END,
    attempts = attempts - (:ending = 'release' AND cancel_ms IS NULL),
    outcome = CASE WHEN :ending IN ('ack', 'retry', 'bury') THEN :payload ELSE outcome END,
    failures = CASE WHEN :ending IN ('retry', 'bury') THEN {_AND_FAILURE.format(text=":detail")}
        ELSE failures END,
    progress = CASE WHEN :ending = 'progress' THEN :payload ELSE progress END,
    -- A done or cancelled job is kept for its outcome alone.
    payload = CASE
        WHEN :ending IN ('extend', 'progress') THEN payload
        WHEN :ending = 'ack' OR cancel_ms IS NOT NULL THEN x'' ELSE payload END,
    due_ms = CASE
        WHEN :ending = 'progress' THEN due_ms
        WHEN :ending IN ('ack', 'extend') THEN :now + :ms
        ELSE :now + coalesce(cancel_ms, :ms) END
WHERE fleet = :fleet AND id = :id AND claim = :claim AND state = 2 AND queue = :queue
RETURNING CASE WHEN state = 2 AND cancel_ms IS NOT NULL THEN 6 ELSE state END, limit_key, priority,
    links, due_ms
"""
# The same call again, after its answer was lost?
ENDED = """
SELECT state FROM jobs
WHERE fleet = :fleet AND id = :id AND claim = :claim AND queue = :queue
    AND CASE WHEN :ending = 'ack' THEN state = 3 WHEN :ending IN ('extend', 'progress') THEN 0
        WHEN :ending = 'bury' THEN state IN (4, 5) ELSE state IN (0, 1, 4, 5) END
"""
# A claim that has ended holds nobody back.
CANCEL = """
UPDATE jobs SET
    state = CASE WHEN state = 2 AND due_ms > :now THEN 2 ELSE 5 END,
    claim = claim + (state = 2 AND due_ms <= :now),
    cancel_ms = :ms,
    payload = CASE WHEN state = 2 AND due_ms > :now THEN payload ELSE x'' END,
    due_ms = CASE WHEN state = 2 AND due_ms > :now THEN due_ms ELSE :now + :ms END
WHERE fleet = :fleet AND id = :id AND queue = :queue
    AND state IN (0, 1, 2, 7)
RETURNING CASE state WHEN 2 THEN 6 ELSE state END, limit_key, links, due_ms
"""
STATE = """
SELECT state FROM jobs
WHERE fleet = :fleet AND id = :id AND queue = :queue AND (state NOT IN (3, 5) OR due_ms > :now)
"""

# Whether jobs are due or fall with others, and whether the queue has limits or keys.
BEFORE_CLAIM = """
SELECT EXISTS (
    SELECT 1 FROM job_falls WHERE fleet = :fleet AND queue = :queue
), EXISTS (
    SELECT 1 FROM jobs INDEXED BY jobs_delayed
    WHERE fleet = :fleet AND queue = :queue AND state = 0 AND due_ms <= :now
) OR EXISTS (
    SELECT 1 FROM jobs INDEXED BY jobs_claimed
    WHERE fleet = :fleet AND queue = :queue AND state = 2 AND due_ms <= :now
), EXISTS (
    SELECT 1 FROM job_lines WHERE fleet = :fleet AND queue = :queue AND limit_key = ''
)
"""
DUE = f"""
UPDATE jobs SET
    state = CASE
        WHEN state = 0 THEN 1
        WHEN cancel_ms IS NOT NULL THEN 5
        WHEN attempts >= max_attempts THEN 4
        ELSE 1 END,
    claim = claim + (state = 2),
    outcome = CASE WHEN state = 2 THEN :lease_ended ELSE outcome END,
    failures = CASE WHEN state = 2 THEN {_AND_FAILURE.format(text=":lease_ended")}
        ELSE failures END,
    payload = CASE WHEN cancel_ms IS NULL THEN payload ELSE x'' END,
    due_ms = :now + coalesce(cancel_ms, 0)
WHERE seq IN (
    SELECT seq FROM (
        SELECT seq FROM jobs INDEXED BY jobs_delayed
        WHERE fleet = :fleet AND queue = :queue AND state = 0 AND due_ms <= :now
        ORDER BY due_ms LIMIT max(:count, 100)
    ) UNION ALL SELECT seq FROM (
        SELECT seq FROM jobs INDEXED BY jobs_claimed
        WHERE fleet = :fleet AND queue = :queue AND state = 2 AND due_ms <= :now
        ORDER BY due_ms LIMIT max(:count, 100)
    )
)
RETURNING id, state, limit_key, priority, links, due_ms
"""
CLAIM = f"""
UPDATE jobs SET
    state = 2, attempts = attempts + 1, claim = claim + 1, due_ms = :now + :lease
WHERE seq IN (
    SELECT seq FROM jobs INDEXED BY jobs_ready
    WHERE fleet = :fleet AND queue = :queue AND state = 1 AND limit_key IS NULL
    ORDER BY priority, seq LIMIT :count
)
RETURNING {CLAIMED_COLUMNS}
"""
_NEXT_DELAYED = """
SELECT due_ms - :now FROM jobs INDEXED BY jobs_delayed
WHERE fleet = :fleet AND queue = :queue AND state = 0 ORDER BY due_ms LIMIT 1
"""
_NEXT_ENDED = """
SELECT due_ms - :now FROM jobs INDEXED BY jobs_claimed
WHERE fleet = :fleet AND queue = :queue AND state = 2 ORDER BY due_ms LIMIT 1
"""
NEXT_DUE = f"""
SELECT min(wait) FROM (SELECT ({_NEXT_DELAYED}) AS wait UNION ALL SELECT ({_NEXT_ENDED}))
"""
# In how many milliseconds a claim may find something; null for never.
FINDS_IN = f"""
SELECT CASE
    WHEN EXISTS (
        SELECT 1 FROM jobs INDEXED BY jobs_ready
        WHERE fleet = :fleet AND queue = :queue AND state = 1 AND limit_key IS NULL
    ) OR EXISTS (
        SELECT 1 FROM job_lines INDEXED BY job_lines_in_turn
        WHERE fleet = :fleet AND queue = :queue AND state = 0
    ) THEN 0
    ELSE (
        SELECT max(min(wait), 0) FROM (
            SELECT ({_NEXT_DELAYED}) AS wait UNION ALL SELECT ({_NEXT_ENDED}) UNION ALL SELECT (
                SELECT free_ms - :now FROM job_lines INDEXED BY job_lines_free
                WHERE fleet = :fleet AND queue = :queue AND state = 2 ORDER BY free_ms LIMIT 1
            )
        )
    ) END
"""

# Not beside an unended job with the same key.
REVIVE = """
UPDATE OR IGNORE jobs SET state = :revived, attempts = 0, due_ms = :now
WHERE fleet = :fleet AND id = :id AND queue = :queue AND state = 4
RETURNING limit_key, priority
"""
# In the order of their putting: one that another comes after is before it.
DEAD_LINKS = """
SELECT seq, links FROM jobs WHERE fleet = :fleet AND id = :id AND queue = :queue AND state = 4
"""
PURGE = """
DELETE FROM jobs WHERE fleet = :fleet AND id = :id AND queue = :queue AND state = 4
RETURNING links
"""
FORGET = """
DELETE FROM jobs WHERE seq IN (
    SELECT seq FROM jobs INDEXED BY jobs_done
    WHERE fleet = :fleet AND state = 3 AND due_ms <= :now ORDER BY due_ms LIMIT :limit
)
"""

FORGET_CANCELLED = """
DELETE FROM jobs WHERE seq IN (
    SELECT seq FROM jobs INDEXED BY jobs_cancelled_due
    WHERE fleet = :fleet AND state = 5 AND due_ms <= :now ORDER BY due_ms LIMIT :limit
)
"""

FIND = f"""
SELECT {COLUMNS}, failures FROM jobs
WHERE fleet = :fleet AND id = :id AND queue = :queue AND (state NOT IN (3, 5) OR due_ms > :now)
"""
LIST_DEAD = f"""
SELECT {COLUMNS} FROM jobs INDEXED BY jobs_dead
WHERE fleet = :fleet AND queue = :queue AND state = 4 AND id > :after ORDER BY id LIMIT :limit
"""
COUNT = """
SELECT
    (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_ready
        WHERE fleet = :fleet AND queue = :queue AND state = 1 AND limit_key IS NULL LIMIT :limit))
    + (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_key_ready
        WHERE fleet = :fleet AND queue = :queue AND state = 1 AND limit_key IS NOT NULL
        LIMIT :limit)),
    (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_delayed
        WHERE fleet = :fleet AND queue = :queue AND state = 0 LIMIT :limit)),
    (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_claimed
        WHERE fleet = :fleet AND queue = :queue AND state = 2 LIMIT :limit)),
    (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_done
        WHERE fleet = :fleet AND queue = :queue AND state = 3 AND due_ms > :now LIMIT :limit)),
    (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_dead
        WHERE fleet = :fleet AND queue = :queue AND state = 4 LIMIT :limit)),
    (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_cancelled
        WHERE fleet = :fleet AND queue = :queue AND state = 5 AND due_ms > :now LIMIT :limit)),
    (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_waiting
        WHERE fleet = :fleet AND queue = :queue AND state = 7 LIMIT :limit))
"""

# Pages of jobs: those of an index from its beginning, and from its end.
_PAGE = f"""
SELECT {COLUMNS}, {{due}}, {{place}} FROM jobs INDEXED BY {{index}}
WHERE fleet = :fleet AND queue = :queue AND {{which}} AND ({{place}}) {{sign}} (:first, :second)
ORDER BY {{order}} LIMIT :limit
"""
_DUE_PAGE = _PAGE.format(
    due="due_ms",
    place="due_ms, seq",
    index="{index}",
    which="state = {state}",
    sign=">",
    order="due_ms, seq",
)
_ENDED_PAGE = _PAGE.format(
    due="NULL",
    place="due_ms, seq",
    index="{index}",
    which="state = {state} AND due_ms > :now",
    sign="<",
    order="due_ms DESC, seq DESC",
)
PAGES_UP = {
    "ready": _PAGE.format(
        due="NULL",
        place="priority, seq",
        index="jobs_ready",
        which="state = 1 AND limit_key IS NULL",
        sign=">",
        order="priority, seq",
    ),
    "delayed": _DUE_PAGE.format(index="jobs_delayed", state=0),
    "claimed": _DUE_PAGE.format(index="jobs_claimed", state=2),
    "waiting": _PAGE.format(
        due="NULL",
        place="0, seq",
        index="jobs_waiting",
        which="state = 7",
        sign=">",
        order="seq",
    ),
}
PAGES_DOWN = {
    "done": _ENDED_PAGE.format(index="jobs_done", state=3),
    "cancelled": _ENDED_PAGE.format(index="jobs_cancelled", state=5),
}
PAGE_OF_LINES = f"""
SELECT {COLUMNS}, NULL, priority, seq FROM jobs INDEXED BY jobs_key_ready
WHERE fleet = :fleet AND queue = :queue AND state = 1 AND limit_key IS NOT NULL
    AND (limit_key, priority, seq) > (:key, :first, :second)
ORDER BY limit_key, priority, seq LIMIT :limit
"""
PAGE_OF_DEAD = f"""
SELECT {COLUMNS}, NULL, 0, id FROM jobs INDEXED BY jobs_dead
WHERE fleet = :fleet AND queue = :queue AND state = 4 AND id < :id ORDER BY id DESC LIMIT :limit
"""
