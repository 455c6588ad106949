-- See contract/job_batches.py. In jobs.links: 4 a job of a batch, 8 the callback of one.
-- id: of the callback. succeeded: it is called if all of them are done, else once they have ended. until_at:
-- null, or when it is forgotten together with its callback. Whoever changes a row has locked the callback's job
-- before, as do those who cancel or end that.
CREATE TABLE {schema}.job_batches (
    fleet integer NOT NULL,
    queue text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    succeeded boolean NOT NULL,
    keep_ms bigint NOT NULL,
    pending integer NOT NULL,
    done integer NOT NULL DEFAULT 0,
    dead integer NOT NULL DEFAULT 0,
    cancelled integer NOT NULL DEFAULT 0,
    created_ms bigint NOT NULL,
    until_at timestamptz,
    PRIMARY KEY (fleet, queue, id)
) WITH (fillfactor = 50);

CREATE INDEX job_batches_until ON {schema}.job_batches ((fleet + 0), until_at) WHERE until_at IS NOT NULL;

-- state: 0 pending, or as in jobs what the job has ended in; outcome is then its result or its last error.
CREATE TABLE {schema}.job_batch_jobs (
    fleet integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    batch text COLLATE "C" NOT NULL,
    state smallint NOT NULL DEFAULT 0,
    outcome text COLLATE "C",
    PRIMARY KEY (fleet, id)
);

CREATE INDEX job_batch_jobs_of ON {schema}.job_batch_jobs ((fleet + 0), batch, id);

-- Counts jobs that have ended in their batches, and decides on the callbacks of those that are over. Of jobs
-- that are callbacks, notes until when their batches are kept.
CREATE FUNCTION {schema}.end_batch_jobs(p_fleet integer, ids text[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
#variable_conflict use_column
DECLARE
    ended record;
    of_batch {schema}.job_batches;
    callback {schema}.jobs;
    fallen smallint;
BEGIN
    UPDATE {schema}.job_batches b SET until_at = j.due_at FROM {schema}.jobs j
    WHERE j.fleet = p_fleet AND j.id = ANY (ids) AND j.links & 8 > 0 AND j.state IN (3, 5)
        AND b.fleet = p_fleet AND b.queue = j.queue AND b.id = j.id;
    FOR ended IN
        WITH changed AS (
            UPDATE {schema}.job_batch_jobs m SET state = j.state, outcome = j.outcome
            FROM {schema}.jobs j
            WHERE j.fleet = p_fleet AND j.id = ANY (ids) AND j.links & 4 > 0 AND j.state IN (3, 4, 5)
                AND m.fleet = p_fleet AND m.id = j.id AND m.state = 0
            RETURNING m.queue, m.batch, m.state
        )
        SELECT c.queue, c.batch, count(*) AS jobs, count(*) FILTER (WHERE c.state = 3) AS done,
            count(*) FILTER (WHERE c.state = 4) AS dead, count(*) FILTER (WHERE c.state = 5) AS cancelled
        FROM changed c GROUP BY c.queue, c.batch ORDER BY c.batch
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

-- As before, and what falls counts in its batch.
CREATE OR REPLACE FUNCTION {schema}.fall(p_fleet integer, first_fallen {schema}.job_falls[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
#variable_conflict use_column
DECLARE
    fallen {schema}.job_falls[] := first_fallen;
    one {schema}.job_falls;
    at integer := 1;
    room integer := 1000;
    dependants text[];
    dependant text;
    its_links smallint;
    in_batches text[];
BEGIN
    WHILE at <= cardinality(fallen) LOOP
        one := fallen[at];
        IF room = 0 THEN
            INSERT INTO {schema}.job_falls VALUES (one.*) ON CONFLICT DO NOTHING;
            at := at + 1;
            CONTINUE;
        END IF;
        dependants := ARRAY (
            SELECT d.id FROM {schema}.job_dependencies d
            WHERE d.fleet + 0 = p_fleet AND d.before = one.id AND d.state = 0 ORDER BY d.id LIMIT room
        );
        IF cardinality(dependants) < room THEN
            at := at + 1;
        END IF;
        room := room - cardinality(dependants);
        FOREACH dependant IN ARRAY dependants LOOP
            UPDATE {schema}.jobs j SET
                state = one.state, outcome = {schema}.fall_reason(one.id, one.state), cancel_ms = NULL,
                due_at = one.due_at, payload = CASE WHEN one.state = 5 THEN '' ELSE j.payload END
            WHERE j.fleet = p_fleet AND j.id = dependant AND j.state = 7
            RETURNING j.links INTO its_links;
            IF FOUND AND its_links & 1 > 0 THEN
                fallen := fallen || (p_fleet, one.queue, dependant, one.state, one.due_at)::{schema}.job_falls;
            END IF;
            IF FOUND AND its_links & 4 > 0 THEN
                in_batches := in_batches || dependant;
            END IF;
            IF FOUND AND one.state = 5 THEN
                DELETE FROM {schema}.job_dependencies d WHERE d.fleet = p_fleet AND d.id = dependant;
            ELSE
                UPDATE {schema}.job_dependencies d SET state = 2
                WHERE d.fleet = p_fleet AND d.id = dependant AND d.before = one.id;
            END IF;
        END LOOP;
    END LOOP;
    IF in_batches IS NOT NULL THEN
        PERFORM {schema}.end_batch_jobs(p_fleet, in_batches);
    END IF;
END
$body$;

-- What follows from the end of jobs with links: as before, then in their batches.
ALTER FUNCTION {schema}.end_links(integer, text[]) RENAME TO end_dependencies;
CREATE FUNCTION {schema}.end_links(p_fleet integer, ids text[])
RETURNS TABLE (queue text, limit_key text, priority integer)
LANGUAGE plpgsql AS $body$
BEGIN
    RETURN QUERY SELECT * FROM {schema}.end_dependencies(p_fleet, ids);
    PERFORM {schema}.end_batch_jobs(p_fleet, ids);
END
$body$;

-- Puts a job as before, which may be one of a batch or make one. Also what isn't known: a job that it comes
-- after, or the batch.
ALTER FUNCTION {schema}.put_job(
    integer, text, text, text, integer, bigint, text, integer, jsonb, timestamptz
) RENAME TO put_single_job;
CREATE FUNCTION {schema}.put_job(
    p_fleet integer, p_queue text, p_id text, p_payload text, p_priority integer, p_delay bigint,
    p_dedupe text, p_most integer, options jsonb, moment timestamptz, OUT figure text, OUT unknown text
)
LANGUAGE plpgsql AS $body$
#variable_conflict use_column
DECLARE
    its_batch CONSTANT text := options ->> 'batch';
    makes CONSTANT jsonb := options -> 'makes';
    its_state smallint;
BEGIN
    IF its_batch IS NOT NULL THEN
        PERFORM FROM {schema}.job_batch_jobs m WHERE m.fleet = p_fleet AND m.id = p_id;
        IF NOT FOUND THEN
            -- Its batch may be forgotten.
            PERFORM FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = p_id;
        END IF;
        IF FOUND THEN
            figure := p_id;
            RETURN;
        END IF;
        IF options -> 'adds' IS NOT NULL THEN
            PERFORM FROM {schema}.jobs j
            WHERE j.fleet = p_fleet AND j.id = its_batch AND j.state = 7 FOR UPDATE;
            IF FOUND THEN
                UPDATE {schema}.job_batches b SET pending = b.pending + (options ->> 'adds')::integer
                WHERE b.fleet = p_fleet AND b.queue = p_queue AND b.id = its_batch;
            END IF;
            IF NOT FOUND THEN
                unknown := its_batch;
                RETURN;
            END IF;
        END IF;
    ELSIF makes IS NOT NULL THEN
        INSERT INTO {schema}.job_batches (fleet, queue, id, succeeded, pending, keep_ms, created_ms)
        VALUES (p_fleet, p_queue, p_id, (makes ->> 0)::integer = 1, (makes ->> 1)::integer,
            (makes ->> 2)::bigint, floor(extract(epoch FROM moment) * 1000))
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            figure := p_id;
            RETURN;
        END IF;
    END IF;
    SELECT p.figure, p.unknown INTO figure, unknown FROM {schema}.put_single_job(
        p_fleet, p_queue, p_id, p_payload, p_priority, p_delay, p_dedupe, p_most, options, moment
    ) AS p;
    IF unknown IS NOT NULL THEN
        RETURN;
    ELSIF its_batch IS NOT NULL THEN
        INSERT INTO {schema}.job_batch_jobs (fleet, id, queue, batch) VALUES (p_fleet, p_id, p_queue, its_batch);
        UPDATE {schema}.jobs j SET links = coalesce(j.links, 0) | 4
        WHERE j.fleet = p_fleet AND j.id = p_id RETURNING j.state INTO its_state;
        IF its_state IN (4, 5) THEN
            -- It fell with what it comes after.
            PERFORM {schema}.end_batch_jobs(p_fleet, ARRAY[p_id]);
        END IF;
    ELSIF makes IS NOT NULL THEN
        UPDATE {schema}.jobs j SET links = 8, state = CASE WHEN (makes ->> 1)::integer > 0 THEN 7 ELSE j.state END
        WHERE j.fleet = p_fleet AND j.id = p_id;
    END IF;
END
$body$;

-- The state that a dead job gets when it is revived: 1, 7 if it has to wait again, null if it stays dead. One of
-- a batch counts as pending again, and a callback that its batch had die, so that it was never begun, waits.
ALTER FUNCTION {schema}.may_revive(integer, text) RENAME TO may_revive_dependant;
CREATE FUNCTION {schema}.may_revive(p_fleet integer, p_id text) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
#variable_conflict use_column
DECLARE
    its_links smallint;
    its_queue text;
    its_batch text;
    new_state integer;
BEGIN
    SELECT j.links, j.queue INTO its_links, its_queue FROM {schema}.jobs j
    WHERE j.fleet = p_fleet AND j.id = p_id AND j.state = 4 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF its_links & 8 > 0 THEN
        RETURN (
            SELECT CASE WHEN b.pending > 0 THEN 7 WHEN b.succeeded AND b.dead + b.cancelled > 0 THEN NULL
                ELSE 1 END
            FROM {schema}.job_batches b WHERE b.fleet = p_fleet AND b.queue = its_queue AND b.id = p_id
        );
    END IF;
    new_state := {schema}.may_revive_dependant(p_fleet, p_id);
    IF new_state IS NOT NULL AND its_links & 4 > 0 THEN
        UPDATE {schema}.job_batch_jobs m SET state = 0, outcome = NULL
        WHERE m.fleet = p_fleet AND m.id = p_id AND m.state = 4 RETURNING m.batch INTO its_batch;
        PERFORM FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = its_batch FOR UPDATE;
        UPDATE {schema}.job_batches b SET pending = b.pending + 1, dead = b.dead - 1
        WHERE b.fleet = p_fleet AND b.queue = its_queue AND b.id = its_batch;
        UPDATE {schema}.jobs j SET state = 7, outcome = NULL
        WHERE j.fleet = p_fleet AND j.id = its_batch AND j.state = 4 AND j.attempts = 0;
    END IF;
    RETURN new_state;
END
$body$;

-- Deletes batches that were kept long enough, p_limit of their jobs at most; returns whether more is due.
CREATE FUNCTION {schema}.forget_batches(p_fleet integer, p_limit integer) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
DECLARE
    forgotten integer;
BEGIN
    DELETE FROM {schema}.job_batch_jobs WHERE (fleet, id) IN (
        SELECT m.fleet, m.id FROM {schema}.job_batches b CROSS JOIN LATERAL (
            SELECT o.fleet, o.id FROM {schema}.job_batch_jobs o
            WHERE o.fleet + 0 = p_fleet AND o.batch = b.id ORDER BY o.id LIMIT p_limit
        ) AS m
        WHERE b.fleet + 0 = p_fleet AND b.until_at <= now() LIMIT p_limit
    );
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    DELETE FROM {schema}.job_batches b
    WHERE b.fleet + 0 = p_fleet AND b.until_at <= now() AND NOT EXISTS (
        SELECT FROM {schema}.job_batch_jobs m WHERE m.fleet + 0 = p_fleet AND m.batch = b.id
    );
    RETURN forgotten = p_limit;
END
$body$;
