-- Periodic jobs. rule: what says when; spec: what to put, in JSON; version: what changed it last;
-- fired_to_ms: all that was due by then is done with.
CREATE TABLE {schema}.job_schedules (
    fleet integer NOT NULL,
    queue text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    spec text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    fired_to_ms bigint NOT NULL,
    PRIMARY KEY (fleet, queue, name)
);

CREATE FUNCTION {schema}.clock_ms() RETURNS bigint
LANGUAGE sql VOLATILE AS $body$
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$body$;

CREATE FUNCTION {schema}.put_schedule(
    p_fleet integer, p_queue text, p_name text, p_rule text, p_spec text, p_version text
) RETURNS void
LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO {schema}.queues VALUES (p_fleet, p_queue) ON CONFLICT DO NOTHING;
    INSERT INTO {schema}.job_schedules AS s
        (fleet, queue, name, rule, spec, version, fired_to_ms)
    VALUES (p_fleet, p_queue, p_name, p_rule, p_spec, p_version, {schema}.clock_ms())
    ON CONFLICT (fleet, queue, name) DO UPDATE SET
        rule = excluded.rule, spec = excluded.spec, version = excluded.version,
        fired_to_ms = CASE WHEN s.rule = excluded.rule THEN s.fired_to_ms
            ELSE greatest(s.fired_to_ms, {schema}.clock_ms()) END
    WHERE s.rule <> excluded.rule OR s.spec <> excluded.spec;
END
$body$;

-- Puts the jobs that a schedule is due for, unless somebody did, or it was changed.
CREATE FUNCTION {schema}.fire_schedule(
    p_fleet integer, p_queue text, p_name text, p_version text, p_expected bigint, p_until bigint,
    ids text[], p_payload text, p_priority integer, p_most integer
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
        (fleet, queue, id, state, priority, max_attempts, payload, created_at, due_at)
    SELECT p_fleet, p_queue, wanted.id, 1, p_priority, p_most, p_payload, moment, moment
    FROM unnest(ids) WITH ORDINALITY AS wanted (id, place) ORDER BY wanted.place
    ON CONFLICT DO NOTHING;
    PERFORM pg_notify('aqe_jobs_' || p_fleet, p_queue);
    RETURN true;
END
$body$;
