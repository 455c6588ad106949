-- State 7 is waiting; see contract/dependencies.py. links: null, or 1 others came after this job, 2 it comes
-- after others, 3 both; so that the end of any other job looks no further.
ALTER TABLE {schema}.jobs ADD COLUMN links smallint;

-- Waiting ones beside the dead, and one index for all that is to be forgotten: each costs every change of a job.
DROP INDEX {schema}.jobs_dead;
CREATE INDEX jobs_dead ON {schema}.jobs ((fleet + 0), queue, state, id) WHERE state IN (4, 7);
DROP INDEX {schema}.jobs_done, {schema}.jobs_cancelled, {schema}.jobs_cancelled_due;
CREATE INDEX jobs_ended ON {schema}.jobs ((fleet + 0), state, due_at) WHERE state IN (3, 5);
DROP INDEX {schema}.jobs_dedupe;
CREATE UNIQUE INDEX jobs_dedupe ON {schema}.jobs ((fleet + 0), queue, dedupe)
    WHERE dedupe IS NOT NULL AND state IN (0, 1, 2, 7);

-- That job id comes after job before. state: 0 waits, 1 that is done and outcome is its result, 2 that can't
-- be done any more. Kept until job id is done, cancelled or purged.
CREATE TABLE {schema}.job_dependencies (
    fleet integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    before text COLLATE "C" NOT NULL,
    state smallint NOT NULL,
    outcome text COLLATE "C",
    PRIMARY KEY (fleet, id, before)
);
CREATE INDEX job_dependencies_waiting ON {schema}.job_dependencies ((fleet + 0), before, id)
    WHERE state = 0;

-- Jobs that died (state 4) or were cancelled (5, kept until due_at) and whose dependants have not all fallen
-- with them yet.
CREATE TABLE {schema}.job_falls (
    fleet integer NOT NULL,
    queue text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    state smallint NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (fleet, queue, id)
);

-- Why a job isn't done, in JSON.
CREATE FUNCTION {schema}.fall_reason(p_before text, p_state integer) RETURNS text
LANGUAGE sql IMMUTABLE AS $body$
    SELECT to_json('comes after job ' || p_before || ', which is '
        || CASE p_state WHEN 4 THEN 'dead' ELSE 'cancelled' END)::text
$body$;

-- Lets a job that was just put wait for others, or fall with one of them. Returns the first that isn't known;
-- then nothing of it was kept. Those that it comes after are locked, so that none of them ends meanwhile.
CREATE FUNCTION {schema}.hold_job(
    p_fleet integer, p_queue text, p_id text, p_after jsonb, moment timestamptz
) RETURNS text
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
#variable_conflict use_column
DECLARE
    befores text[] := ARRAY (SELECT jsonb_array_elements_text(p_after));
    one record;
    known text[] := '{}';
    fallen smallint;
    reason text;
    kept_until timestamptz;
    is_held boolean := false;
BEGIN
    FOR one IN
        SELECT j.id, j.state, j.outcome, j.due_at FROM {schema}.jobs j
        WHERE j.fleet = p_fleet AND j.id = ANY (befores) AND j.queue = p_queue
            AND (j.state NOT IN (3, 5) OR j.due_at > moment)
        ORDER BY j.id FOR UPDATE
    LOOP
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
        RETURN (SELECT before FROM unnest(befores) AS before WHERE before <> ALL (known) LIMIT 1);
    END IF;
    UPDATE {schema}.jobs j SET links = coalesce(j.links, 0) | 1
    WHERE j.fleet = p_fleet AND j.id = ANY (befores) AND j.state IN (0, 1, 2, 7)
        AND coalesce(j.links, 0) & 1 = 0;
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

-- Lets what comes after these jobs fall with them, at most 1000 at once, and notes what is left.
CREATE FUNCTION {schema}.fall(p_fleet integer, first_fallen {schema}.job_falls[]) RETURNS void
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
            IF FOUND AND one.state = 5 THEN
                DELETE FROM {schema}.job_dependencies d WHERE d.fleet = p_fleet AND d.id = dependant;
            ELSE
                UPDATE {schema}.job_dependencies d SET state = 2
                WHERE d.fleet = p_fleet AND d.id = dependant AND d.before = one.id;
            END IF;
        END LOOP;
    END LOOP;
END
$body$;

-- Lets fall what was left of falls before.
CREATE FUNCTION {schema}.fall_on(p_fleet integer, p_queue text) RETURNS void
LANGUAGE plpgsql AS $body$
DECLARE
    noted {schema}.job_falls[];
BEGIN
    PERFORM FROM {schema}.job_falls f WHERE f.fleet = p_fleet AND f.queue = p_queue LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WITH chosen AS (
        SELECT f.fleet, f.queue, f.id FROM {schema}.job_falls f
        WHERE f.fleet = p_fleet AND f.queue = p_queue LIMIT 1000 FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM {schema}.job_falls f USING chosen c
        WHERE f.fleet = c.fleet AND f.queue = c.queue AND f.id = c.id RETURNING f.*
    )
    SELECT array_agg(g::{schema}.job_falls) INTO noted FROM gone g;
    PERFORM {schema}.fall(p_fleet, noted);
END
$body$;

-- Does what follows from the end of jobs with links. Returns those that became ready by it, whose lines are
-- still to be touched; who waits for jobs is told. Dependants are locked in one order before their
-- dependencies are counted, since others may end at the same moment what they come after as well.
CREATE FUNCTION {schema}.end_links(p_fleet integer, ids text[])
RETURNS TABLE (queue text, limit_key text, priority integer)
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
#variable_conflict use_column
DECLARE
    dependants text[];
    dependant text;
    fallen {schema}.job_falls[];
    freed {schema}.jobs;
BEGIN
    dependants := ARRAY (
        SELECT DISTINCT d.id FROM unnest(ids) AS ended (id) CROSS JOIN LATERAL (
            SELECT j.id FROM {schema}.jobs j
            WHERE j.fleet = p_fleet AND j.id = ended.id AND j.state = 3 AND j.links & 1 > 0 LIMIT 1
        ) AS done CROSS JOIN LATERAL (
            SELECT o.id FROM {schema}.job_dependencies o
            WHERE o.fleet + 0 = p_fleet AND o.before = done.id AND o.state = 0 LIMIT 1000000
        ) AS d ORDER BY d.id
    );
    FOREACH dependant IN ARRAY dependants LOOP
        PERFORM FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = dependant FOR UPDATE;
        UPDATE {schema}.job_dependencies d SET state = 1, outcome = (
            SELECT j.outcome FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = d.before
        )
        WHERE d.fleet = p_fleet AND d.id = dependant AND d.before = ANY (ids) AND d.state = 0 AND EXISTS (
            SELECT FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = d.before AND j.state = 3
        );
        UPDATE {schema}.jobs j SET state = (j.due_at <= clock_timestamp())::int
        WHERE j.fleet = p_fleet AND j.id = dependant AND j.state = 7 AND NOT EXISTS (
            SELECT FROM {schema}.job_dependencies d
            WHERE d.fleet = p_fleet AND d.id = dependant AND d.state <> 1
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
    SELECT array_agg((p_fleet, j.queue, j.id, j.state, j.due_at)::{schema}.job_falls ORDER BY j.id) INTO fallen
    FROM {schema}.jobs j
    WHERE j.fleet = p_fleet AND j.id = ANY (ids) AND j.state IN (4, 5) AND j.links & 1 > 0;
    PERFORM {schema}.fall(p_fleet, fallen);
    DELETE FROM {schema}.job_dependencies d
    WHERE d.fleet = p_fleet AND d.id = ANY (ARRAY (
        SELECT j.id FROM {schema}.jobs j
        WHERE j.fleet = p_fleet AND j.id = ANY (ids) AND j.state IN (3, 5) AND j.links & 2 > 0
    ));
END
$body$;

-- The state that a dead job gets when it is revived: 1, 7 if it has to wait again, null if it stays dead.
-- What it comes after and is done by now is met.
CREATE FUNCTION {schema}.may_revive(p_fleet integer, p_id text) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
#variable_conflict use_column
DECLARE
    befores text[] := ARRAY (
        SELECT d.before FROM {schema}.job_dependencies d
        WHERE d.fleet = p_fleet AND d.id = p_id AND d.state <> 1
    );
    states smallint[];
BEGIN
    states := ARRAY (
        SELECT j.state FROM {schema}.jobs j
        WHERE j.fleet = p_fleet AND j.id = ANY (befores)
            AND (j.state NOT IN (3, 5) OR j.due_at > clock_timestamp())
        ORDER BY j.id FOR UPDATE
    );
    IF cardinality(states) < cardinality(befores) OR states && '{4,5}' THEN
        RETURN NULL;
    END IF;
    UPDATE {schema}.jobs j SET links = coalesce(j.links, 0) | 1
    WHERE j.fleet = p_fleet AND j.id = ANY (befores) AND j.state <> 3;
    UPDATE {schema}.job_dependencies d SET (state, outcome) = (
        SELECT (j.state = 3)::int, CASE WHEN j.state = 3 THEN j.outcome END
        FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = d.before
    )
    WHERE d.fleet = p_fleet AND d.id = p_id AND d.state <> 1;
    RETURN CASE WHEN states && '{0,1,2,7}' THEN 7 ELSE 1 END;
END
$body$;
