-- Functions as before that look jobs up one by one: "id = ANY (...)" is a filter over all of the fleet to a
-- planner that does not know yet how many jobs there are, as where the first thousand has just been put.
CREATE OR REPLACE FUNCTION {schema}.hold_job(
    p_fleet integer, p_queue text, p_id text, p_after jsonb, moment timestamptz
) RETURNS text
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
#variable_conflict use_column
DECLARE
    befores CONSTANT text[] := ARRAY (
        SELECT b FROM jsonb_array_elements_text(p_after) AS b ORDER BY b COLLATE "C"
    );
    before_id text;
    one record;
    known text[] := '{}';
    fallen smallint;
    reason text;
    kept_until timestamptz;
    is_held boolean := false;
BEGIN
    FOREACH before_id IN ARRAY befores LOOP
        SELECT j.id, j.state, j.outcome, j.due_at INTO one FROM {schema}.jobs j
        WHERE j.fleet = p_fleet AND j.id = before_id AND j.queue = p_queue
            AND (j.state NOT IN (3, 5) OR j.due_at > moment)
        FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        known := known || one.id;
        IF one.state IN (4, 5) AND fallen IS NULL THEN
            fallen := one.state;
            reason := {schema}.fall_reason(one.id, one.state);
            kept_until := one.due_at;
        ELSIF one.state IN (0, 1, 2, 7) THEN
            is_held := true;
        END IF;
        INSERT INTO {schema}.job_dependencies (fleet, id, before, state, outcome) VALUES (
            p_fleet, p_id, one.id, CASE WHEN one.state = 3 THEN 1 WHEN one.state IN (4, 5) THEN 2 ELSE 0 END,
            CASE WHEN one.state = 3 THEN one.outcome END
        ) ON CONFLICT DO NOTHING;
    END LOOP;
    IF cardinality(known) < cardinality(befores) THEN
        DELETE FROM {schema}.job_dependencies d WHERE d.fleet = p_fleet AND d.id = p_id;
        RETURN (
            SELECT before FROM jsonb_array_elements_text(p_after) AS before WHERE before <> ALL (known) LIMIT 1
        );
    END IF;
    FOREACH before_id IN ARRAY befores LOOP
        UPDATE {schema}.jobs j SET links = coalesce(j.links, 0) | 1
        WHERE j.fleet = p_fleet AND j.id = before_id AND j.state IN (0, 1, 2, 7)
            AND coalesce(j.links, 0) & 1 = 0;
    END LOOP;
    UPDATE {schema}.jobs j SET
        links = 2, state = CASE WHEN fallen IS NOT NULL THEN fallen WHEN is_held THEN 7 ELSE j.state END,
        outcome = reason, due_at = coalesce(kept_until, j.due_at),
        payload = CASE WHEN fallen = 5 THEN '' ELSE j.payload END
    WHERE j.fleet = p_fleet AND j.id = p_id;
    IF fallen = 5 THEN
        DELETE FROM {schema}.job_dependencies d WHERE d.fleet = p_fleet AND d.id = p_id;
    END IF;
    RETURN NULL;
END
$body$;

CREATE OR REPLACE FUNCTION {schema}.end_dependencies(p_fleet integer, ids text[])
RETURNS TABLE (queue text, limit_key text, priority integer)
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
#variable_conflict use_column
DECLARE
    link record;
    fallen {schema}.job_falls[];
    freed {schema}.jobs;
    ended text;
    job record;
    over text[] := '{}';
BEGIN
    FOR link IN
        SELECT d.id AS dependant, done.id AS before FROM unnest(ids) AS gone (id) CROSS JOIN LATERAL (
            SELECT j.id FROM {schema}.jobs j
            WHERE j.fleet = p_fleet AND j.id = gone.id AND j.state = 3 AND j.links & 1 > 0 LIMIT 1
        ) AS done CROSS JOIN LATERAL (
            SELECT o.id FROM {schema}.job_dependencies o
            WHERE o.fleet + 0 = p_fleet AND o.before = done.id AND o.state = 0 LIMIT 1000000
        ) AS d ORDER BY d.id, done.id
    LOOP
        PERFORM FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = link.dependant FOR UPDATE;
        UPDATE {schema}.job_dependencies d SET state = 1, outcome = (
            SELECT j.outcome FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = link.before
        )
        WHERE d.fleet = p_fleet AND d.id = link.dependant AND d.before = link.before AND d.state = 0;
        UPDATE {schema}.jobs j SET state = (j.due_at <= clock_timestamp())::int
        WHERE j.fleet = p_fleet AND j.id = link.dependant AND j.state = 7 AND NOT EXISTS (
            SELECT FROM {schema}.job_dependencies d
            WHERE d.fleet = p_fleet AND d.id = link.dependant AND d.state <> 1
        )
        RETURNING j.* INTO freed;
        IF FOUND THEN
            PERFORM pg_notify('aqe_jobs_' || p_fleet, freed.queue);
            IF freed.state = 1 THEN
                queue := freed.queue;
                limit_key := freed.limit_key;
                priority := freed.priority;
                RETURN NEXT;
            END IF;
        END IF;
    END LOOP;
    FOREACH ended IN ARRAY ARRAY (SELECT i FROM unnest(ids) AS i ORDER BY i COLLATE "C") LOOP
        SELECT j.queue, j.id, j.state, j.due_at, j.links INTO job FROM {schema}.jobs j
        WHERE j.fleet = p_fleet AND j.id = ended AND j.state IN (3, 4, 5) AND j.links & 3 > 0;
        CONTINUE WHEN NOT FOUND;
        IF job.state <> 3 AND job.links & 1 > 0 THEN
            fallen := fallen || (p_fleet, job.queue, job.id, job.state, job.due_at)::{schema}.job_falls;
        END IF;
        IF job.state <> 4 AND job.links & 2 > 0 THEN
            over := over || job.id::text;
        END IF;
    END LOOP;
    PERFORM {schema}.fall(p_fleet, fallen);
    FOREACH ended IN ARRAY over LOOP
        DELETE FROM {schema}.job_dependencies d WHERE d.fleet = p_fleet AND d.id = ended;
    END LOOP;
END
$body$;

CREATE OR REPLACE FUNCTION {schema}.may_revive_dependant(p_fleet integer, p_id text) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
#variable_conflict use_column
DECLARE
    befores text[] := ARRAY (
        SELECT d.before FROM {schema}.job_dependencies d
        WHERE d.fleet = p_fleet AND d.id = p_id AND d.state <> 1 ORDER BY d.before
    );
    before_id text;
    before_state smallint;
    states smallint[] := '{}';
BEGIN
    FOREACH before_id IN ARRAY befores LOOP
        SELECT j.state INTO before_state FROM {schema}.jobs j
        WHERE j.fleet = p_fleet AND j.id = before_id
            AND (j.state NOT IN (3, 5) OR j.due_at > clock_timestamp())
        FOR UPDATE;
        IF FOUND THEN
            states := states || before_state;
        END IF;
    END LOOP;
    IF cardinality(states) < cardinality(befores) OR states && '{4,5}' THEN
        RETURN NULL;
    END IF;
    FOREACH before_id IN ARRAY befores LOOP
        UPDATE {schema}.jobs j SET links = coalesce(j.links, 0) | 1
        WHERE j.fleet = p_fleet AND j.id = before_id AND j.state <> 3;
    END LOOP;
    UPDATE {schema}.job_dependencies d SET (state, outcome) = (
        SELECT (j.state = 3)::int, CASE WHEN j.state = 3 THEN j.outcome END
        FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = d.before
    )
    WHERE d.fleet = p_fleet AND d.id = p_id AND d.state <> 1;
    RETURN CASE WHEN states && '{0,1,2,7}' THEN 7 ELSE 1 END;
END
$body$;

CREATE OR REPLACE FUNCTION {schema}.end_batch_jobs(p_fleet integer, ids text[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
#variable_conflict use_column
DECLARE
    ended_id text;
    job record;
    member {schema}.job_batch_jobs;
    changed {schema}.job_batch_jobs[] := '{}';
    ended record;
    of_batch {schema}.job_batches;
    callback {schema}.jobs;
    fallen smallint;
BEGIN
    FOREACH ended_id IN ARRAY ids LOOP
        SELECT j.queue, j.state, j.outcome, j.due_at, j.links INTO job FROM {schema}.jobs j
        WHERE j.fleet = p_fleet AND j.id = ended_id AND j.state IN (3, 4, 5) AND j.links & 12 > 0;
        CONTINUE WHEN NOT FOUND;
        IF job.links & 8 > 0 AND job.state <> 4 THEN
            UPDATE {schema}.job_batches b SET until_at = job.due_at
            WHERE b.fleet = p_fleet AND b.queue = job.queue AND b.id = ended_id;
        END IF;
        IF job.links & 4 > 0 THEN
            UPDATE {schema}.job_batch_jobs m SET state = job.state, outcome = job.outcome
            WHERE m.fleet = p_fleet AND m.id = ended_id AND m.state = 0
            RETURNING m.* INTO member;
            IF FOUND THEN
                changed := changed || member;
            END IF;
        END IF;
    END LOOP;
    FOR ended IN
        SELECT c.queue, c.batch, count(*) AS jobs, count(*) FILTER (WHERE c.state = 3) AS done,
            count(*) FILTER (WHERE c.state = 4) AS dead, count(*) FILTER (WHERE c.state = 5) AS cancelled
        FROM unnest(changed) AS c GROUP BY c.queue, c.batch ORDER BY c.batch
    LOOP
        PERFORM FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = ended.batch FOR UPDATE;
        UPDATE {schema}.job_batches b SET pending = b.pending - ended.jobs, done = b.done + ended.done,
            dead = b.dead + ended.dead, cancelled = b.cancelled + ended.cancelled
        WHERE b.fleet = p_fleet AND b.queue = ended.queue AND b.id = ended.batch
        RETURNING b.* INTO of_batch;
        CONTINUE WHEN NOT FOUND OR of_batch.pending > 0;
        IF NOT of_batch.succeeded OR of_batch.dead + of_batch.cancelled = 0 THEN
            UPDATE {schema}.jobs j SET state = 1
            WHERE j.fleet = p_fleet AND j.id = ended.batch AND j.state = 7;
            IF FOUND THEN
                PERFORM pg_notify('aqe_jobs_' || p_fleet, ended.queue);
            END IF;
            CONTINUE;
        END IF;
        fallen := CASE WHEN of_batch.dead > 0 THEN 4 ELSE 5 END;
        UPDATE {schema}.jobs j SET
            state = fallen, payload = CASE WHEN fallen = 5 THEN '' ELSE j.payload END,
            outcome = to_json(format('of the jobs of its batch %s are dead, %s cancelled, %s done',
                of_batch.dead, of_batch.cancelled, of_batch.done))::text,
            due_at = clock_timestamp() + of_batch.keep_ms * interval '1 millisecond'
        WHERE j.fleet = p_fleet AND j.id = ended.batch AND j.state = 7
        RETURNING j.* INTO callback;
        IF FOUND THEN
            IF fallen = 5 THEN
                UPDATE {schema}.job_batches b SET until_at = callback.due_at
                WHERE b.fleet = p_fleet AND b.queue = ended.queue AND b.id = ended.batch;
            END IF;
            IF callback.links & 1 > 0 THEN
                PERFORM {schema}.fall(p_fleet, ARRAY[
                    (p_fleet, callback.queue, callback.id, callback.state, callback.due_at)::{schema}.job_falls
                ]);
            END IF;
        END IF;
    END LOOP;
END
$body$;

CREATE OR REPLACE FUNCTION {schema}.revive_jobs(p_fleet integer, p_queue text, ids text[]) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
DECLARE
    one text;
    its_links smallint;
    new_state integer;
    revived integer := 0;
    line_key text;
    line_priority integer;
    keys text[] := '{}';
    priorities integer[] := '{}';
BEGIN
    -- In the order of their putting: one that another comes after is before it.
    FOR one, its_links IN
        SELECT j.id, j.links FROM unnest(ids) AS wanted (id) CROSS JOIN LATERAL (
            SELECT o.id, o.links, o.seq FROM {schema}.jobs o
            WHERE o.fleet = p_fleet AND o.id = wanted.id AND o.queue = p_queue AND o.state = 4 LIMIT 1
        ) AS j ORDER BY j.seq
    LOOP
        new_state := 1;
        IF its_links > 0 THEN
            new_state := {schema}.may_revive(p_fleet, one);
            CONTINUE WHEN new_state IS NULL;
        END IF;
        BEGIN
            UPDATE {schema}.jobs j SET
                state = new_state, attempts = 0, due_at = clock_timestamp()
            WHERE j.fleet = p_fleet AND j.id = one AND j.queue = p_queue AND j.state = 4
            RETURNING j.limit_key, j.priority INTO line_key, line_priority;
            revived := revived + FOUND::int;
            IF line_key IS NOT NULL AND new_state = 1 THEN
                keys := keys || line_key;
                priorities := priorities || line_priority;
            END IF;
        EXCEPTION WHEN unique_violation THEN
            NULL;
        END;
    END LOOP;
    IF keys <> '{}' THEN
        PERFORM {schema}.touch_lines(
            p_fleet, array_fill(p_queue, ARRAY[cardinality(keys)]), keys, priorities
        );
    END IF;
    PERFORM pg_notify('aqe_jobs_' || p_fleet, p_queue);
    RETURN revived;
END
$body$;
