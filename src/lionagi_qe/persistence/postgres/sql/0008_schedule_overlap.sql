-- As before; with p_dedupe a job is put only if no unended one has that key.
DROP FUNCTION {schema}.fire_schedule(integer, text, text, text, bigint, bigint, text[], text, integer, integer);
CREATE FUNCTION {schema}.fire_schedule(
    p_fleet integer, p_queue text, p_name text, p_version text, p_expected bigint, p_until bigint,
    ids text[], p_payload text, p_priority integer, p_most integer, p_dedupe text
) RETURNS boolean
LANGUAGE plpgsql AS $body$
DECLARE
    moment timestamptz;
BEGIN
    UPDATE {schema}.job_schedules s SET fired_to_ms = p_until
    WHERE s.fleet = p_fleet AND s.queue = p_queue AND s.name = p_name AND s.version = p_version
        AND s.fired_to_ms = p_expected AND p_until > p_expected AND p_until <= {schema}.clock_ms();
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    moment := clock_timestamp();
    INSERT INTO {schema}.jobs
        (fleet, queue, id, state, priority, max_attempts, payload, dedupe, created_at, due_at)
    SELECT p_fleet, p_queue, wanted.id, 1, p_priority, p_most, p_payload, p_dedupe, moment, moment
    FROM unnest(ids) WITH ORDINALITY AS wanted (id, place) ORDER BY wanted.place
    ON CONFLICT DO NOTHING;
    PERFORM pg_notify('aqe_jobs_' || p_fleet, p_queue);
    RETURN true;
END
$body$;
