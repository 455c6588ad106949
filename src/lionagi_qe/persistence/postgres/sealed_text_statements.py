"""The SQL of exchanging sealed texts; see ``statements``."""

from __future__ import annotations

from lionagi_qe.persistence.postgres.columns import array

# What others hold is left for the next pass, so that nobody waits for anybody. Claims leave what is
# held here: so their workers are woken.
_JOB = f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest({array("$3")}, {array("$4")}, {array("$5")}) AS a (id, old, new)
), held AS MATERIALIZED (
    SELECT j.id, asked.new FROM asked CROSS JOIN LATERAL (
        SELECT jobs.id FROM {{schema}}.jobs
        WHERE fleet = $1 AND jobs.id = asked.id AND queue = $2 AND {{text}} = asked.old
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS j
), exchanged AS (
    UPDATE {{schema}}.jobs j SET {{text}} = held.new FROM held
    WHERE j.fleet = $1 AND j.id = held.id RETURNING 1
)
SELECT (SELECT count(*) FROM exchanged), pg_notify('aqe_jobs_' || $1, $2)
"""
SEALED_TEXTS = {
    **{
        f"exchange_{text}": _JOB.replace("{text}", text)
        for text in ("payload", "outcome", "progress", "failures")
    },
    "exchange_before": f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest({array("$3")}, {array("$4")}, {array("$5")}, {array("$6")})
        AS a (id, old, new, before)
), exchanged AS (
    UPDATE {{schema}}.job_dependencies d SET outcome = asked.new FROM asked
    WHERE d.fleet = $1 AND d.id = asked.id AND d.before = asked.before AND d.state = 1
        AND d.outcome = asked.old AND $2 <> '' RETURNING 1
)
SELECT count(*) FROM exchanged
""",
    "exchange_member": f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest({array("$3")}, {array("$4")}, {array("$5")}, {array("$6")})
        AS a (id, old, new, batch)
), held AS MATERIALIZED (
    SELECT m.id, asked.new FROM asked CROSS JOIN LATERAL (
        SELECT k.id FROM {{schema}}.job_batch_jobs k
        WHERE k.fleet = $1 AND k.id = asked.id AND k.queue = $2 AND k.batch = asked.batch
            AND k.outcome = asked.old
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS m
), exchanged AS (
    UPDATE {{schema}}.job_batch_jobs m SET outcome = held.new FROM held
    WHERE m.fleet = $1 AND m.id = held.id RETURNING 1
)
SELECT count(*) FROM exchanged
""",
    "results_kept": f"""
SELECT d.id, d.before, d.outcome FROM unnest({array("$2")}) AS wanted (id)
    JOIN {{schema}}.job_dependencies d ON d.fleet = $1 AND d.id = wanted.id AND d.state = 1
""",
    "exchange_spec": """
UPDATE {schema}.job_schedules SET spec = $5
WHERE fleet = $1 AND queue = $2 AND name = $3 AND spec = $4 RETURNING 1
""",
    "exchange_holder": """
UPDATE {schema}.leases SET holder = $4
WHERE fleet = $1 AND name = $2 AND holder = $3 AND expires_at > clock_timestamp() RETURNING 1
""",
}
