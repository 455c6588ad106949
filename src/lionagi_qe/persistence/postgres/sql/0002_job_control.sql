-- cancel_ms: null, or the job is being cancelled and, once it is, kept for so long. progress: what its
-- worker noted last. replaced_by: the id of the put that replaced its payload, so that the same put
-- again does nothing. State 5 is cancelled; due_at then is as of a done job.
ALTER TABLE {schema}.jobs
    ADD COLUMN cancel_ms bigint,
    ADD COLUMN progress text COLLATE "C",
    ADD COLUMN replaced_by text COLLATE "C";

CREATE INDEX jobs_cancelled ON {schema}.jobs ((fleet + 0), queue, due_at) WHERE state = 5;
CREATE INDEX jobs_cancelled_due ON {schema}.jobs ((fleet + 0), due_at) WHERE state = 5;

-- A dead job keeps its key, in case it is tried again, but holds it no more.
DROP INDEX {schema}.jobs_dedupe;
CREATE UNIQUE INDEX jobs_dedupe ON {schema}.jobs ((fleet + 0), queue, dedupe)
    WHERE dedupe IS NOT NULL AND state IN (0, 1, 2);

-- Keys that outlive their jobs.
CREATE TABLE {schema}.job_keys (
    fleet integer NOT NULL,
    queue text COLLATE "C" NOT NULL,
    dedupe text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    until_at timestamptz NOT NULL,
    PRIMARY KEY (fleet, queue, dedupe)
);
CREATE INDEX job_keys_until ON {schema}.job_keys (fleet, until_at);

DROP FUNCTION {schema}.apply_jobs(
    integer, text[], text[], text[], text[], bigint[], bigint[], text[], integer[], text[], bigint[],
    boolean
);
DROP FUNCTION {schema}.claim_jobs(integer, text, integer, bigint, text);

-- Puts one job; returns its id or that of the one that has its key. See PutJob in contract/jobs.py.
CREATE FUNCTION {schema}.put_job(
    p_fleet integer, p_queue text, p_id text, p_payload text, p_priority integer, p_delay bigint,
    p_dedupe text, p_most integer, options jsonb, moment timestamptz
) RETURNS text
LANGUAGE plpgsql AS $body$
#variable_conflict use_column
DECLARE
    what text := coalesce(options ->> 'on_duplicate', 'keep');
    later timestamptz := moment + p_delay * interval '1 millisecond';
    found_id text;
    other {schema}.jobs;
BEGIN
    LOOP
        found_id := NULL;
        IF p_dedupe IS NOT NULL THEN
            SELECT k.id INTO found_id FROM {schema}.job_keys k
            WHERE k.fleet = p_fleet AND k.queue = p_queue AND k.dedupe = p_dedupe
                AND k.until_at > moment AND k.id <> p_id;
        END IF;
        IF found_id IS NULL THEN
            INSERT INTO {schema}.jobs AS j
                (fleet, queue, id, state, priority, max_attempts, payload, dedupe, created_at, due_at)
            VALUES (p_fleet, p_queue, p_id, (p_delay = 0)::int, p_priority, p_most, p_payload,
                p_dedupe, moment, later)
            ON CONFLICT DO NOTHING;
            IF FOUND THEN
                IF p_dedupe IS NULL OR {schema}.keep_job_key(
                    p_fleet, p_queue, p_dedupe, p_id, moment, (options ->> 'dedupe_ms')::bigint
                ) THEN
                    RETURN p_id;
                END IF;
                -- Somebody was quicker, and that one's job has ended already.
                DELETE FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = p_id;
                CONTINUE;
            END IF;
        END IF;
        IF what = 'keep' THEN
            SELECT j.* INTO other FROM {schema}.jobs j
            WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.dedupe = p_dedupe
                AND j.state IN (0, 1, 2);
        ELSE
            SELECT j.* INTO other FROM {schema}.jobs j
            WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.dedupe = p_dedupe
                AND j.state IN (0, 1, 2) FOR UPDATE;
        END IF;
        IF FOUND THEN
            IF what = 'keep' OR other.id = p_id OR other.replaced_by = p_id
                OR (what = 'earliest' AND other.state = 2) THEN
                RETURN other.id;
            ELSIF other.state = 2 THEN
                -- One that runs while its key goes to another is not tried again.
                UPDATE {schema}.jobs j SET dedupe = NULL, max_attempts = j.attempts
                WHERE j.fleet = p_fleet AND j.id = other.id;
                UPDATE {schema}.job_keys k SET id = p_id
                WHERE k.fleet = p_fleet AND k.queue = p_queue AND k.dedupe = p_dedupe;
                CONTINUE;
            ELSIF what = 'replace' THEN
                UPDATE {schema}.jobs j SET
                    state = (p_delay = 0)::int, priority = p_priority, attempts = 0,
                    max_attempts = p_most, payload = p_payload, outcome = NULL, progress = NULL,
                    created_at = moment, due_at = later, replaced_by = p_id
                WHERE j.fleet = p_fleet AND j.id = other.id;
            ELSE
                UPDATE {schema}.jobs j SET
                    state = CASE WHEN p_delay = 0 THEN 1 ELSE j.state END,
                    priority = least(j.priority, p_priority), due_at = least(j.due_at, later)
                WHERE j.fleet = p_fleet AND j.id = other.id;
            END IF;
            RETURN other.id;
        END IF;
        IF found_id IS NOT NULL THEN
            RETURN found_id;
        END IF;
        -- This very job, put before; or the other one ended meanwhile: then try again.
        PERFORM FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = p_id;
        IF FOUND THEN
            RETURN p_id;
        END IF;
    END LOOP;
END
$body$;

-- Whether a key isn't kept for another job; with p_ms it is kept for this one from now on.
CREATE FUNCTION {schema}.keep_job_key(
    p_fleet integer, p_queue text, p_dedupe text, p_id text, moment timestamptz, p_ms bigint
) RETURNS boolean
LANGUAGE plpgsql AS $body$
BEGIN
    IF p_ms IS NULL THEN
        RETURN NOT EXISTS (
            SELECT FROM {schema}.job_keys k
            WHERE k.fleet = p_fleet AND k.queue = p_queue AND k.dedupe = p_dedupe
                AND k.until_at > moment AND k.id <> p_id
        );
    END IF;
    INSERT INTO {schema}.job_keys AS k (fleet, queue, dedupe, id, until_at)
    VALUES (p_fleet, p_queue, p_dedupe, p_id, moment + p_ms * interval '1 millisecond')
    ON CONFLICT (fleet, queue, dedupe) DO UPDATE SET id = excluded.id, until_at = excluded.until_at
    WHERE k.until_at <= moment OR k.id = p_id;
    RETURN FOUND;
END
$body$;

-- Applies operations on jobs in order; see jobs.py for what they mean. The caller sorts endings by
-- id, and puts by dedupe key behind them, so that concurrent calls lock in one order.
-- kinds: put, ack, retry, bury, release, extend, progress, cancel. numbers: the priority or the claim.
-- options: null, or of each put null or JSON. Statuses: ok, stale, lost; figure is the id of a put
-- job, else the number of the state (6: claimed, and to be cancelled), null of an unknown job. With
-- atomic, the first that isn't ok raises AQE02 "position:status" and nothing is applied.
CREATE FUNCTION {schema}.apply_jobs(
    p_fleet integer,
    kinds text[],
    p_queues text[],
    ids text[],
    payloads text[],
    numbers bigint[],
    milliseconds bigint[],
    dedupes text[],
    most_attempts integer[],
    options text[],
    fence_names text[],
    fence_tokens bigint[],
    atomic boolean
) RETURNS TABLE (status text, figure text)
LANGUAGE plpgsql AS $body$
#variable_conflict use_column
DECLARE
    fresh boolean[];
    moment timestamptz;
    later timestamptz;
    rung text[] := '{}';
BEGIN
    IF fence_names IS NOT NULL THEN
        fresh := {schema}.check_fences(p_fleet, fence_names, fence_tokens);
    END IF;
    FOR i IN 1 .. cardinality(ids) LOOP
        status := 'ok';
        figure := NULL;
        moment := clock_timestamp();
        later := moment + milliseconds[i] * interval '1 millisecond';
        IF NOT fresh[i] THEN
            status := 'stale';
        ELSIF kinds[i] = 'put' THEN
            IF p_queues[i] <> ALL (rung) THEN
                INSERT INTO {schema}.queues VALUES (p_fleet, p_queues[i]) ON CONFLICT DO NOTHING;
            END IF;
            IF dedupes[i] IS NULL AND options[i] IS NULL THEN
                -- The common case; it conflicts only with itself, put before.
                INSERT INTO {schema}.jobs
                    (fleet, queue, id, state, priority, max_attempts, payload, created_at, due_at)
                VALUES (p_fleet, p_queues[i], ids[i], (milliseconds[i] = 0)::int, numbers[i],
                    most_attempts[i], payloads[i], moment, later)
                ON CONFLICT DO NOTHING;
                figure := ids[i];
            ELSE
                figure := {schema}.put_job(
                    p_fleet, p_queues[i], ids[i], payloads[i], numbers[i]::integer, milliseconds[i],
                    dedupes[i], most_attempts[i], options[i]::jsonb, moment
                );
            END IF;
        ELSIF kinds[i] = 'cancel' THEN
            -- A claim that has ended holds nobody back.
            UPDATE {schema}.jobs j SET
                state = CASE WHEN j.state = 2 AND j.due_at > moment THEN 2 ELSE 5 END,
                claim = j.claim + (j.state = 2 AND j.due_at <= moment)::int,
                cancel_ms = milliseconds[i],
                payload = CASE WHEN j.state = 2 AND j.due_at > moment THEN j.payload ELSE '' END,
                due_at = CASE WHEN j.state = 2 AND j.due_at > moment THEN j.due_at ELSE later END
            WHERE j.fleet = p_fleet AND j.id = ids[i] AND j.queue = p_queues[i]
                AND j.state IN (0, 1, 2)
            RETURNING CASE j.state WHEN 2 THEN 6 ELSE j.state END INTO figure;
            IF NOT FOUND THEN
                SELECT j.state INTO figure FROM {schema}.jobs j
                WHERE j.fleet = p_fleet AND j.id = ids[i] AND j.queue = p_queues[i]
                    AND (j.state NOT IN (3, 5) OR j.due_at > moment);
            END IF;
        ELSE
            UPDATE {schema}.jobs j SET
                state = CASE
                    WHEN kinds[i] = 'ack' THEN 3
                    WHEN kinds[i] IN ('extend', 'progress') THEN 2
                    WHEN j.cancel_ms IS NOT NULL THEN 5
                    WHEN kinds[i] = 'release' THEN 1
                    WHEN kinds[i] = 'bury' OR j.attempts >= j.max_attempts THEN 4
                    WHEN milliseconds[i] > 0 THEN 0
                    ELSE 1 END,
                attempts = j.attempts - (kinds[i] = 'release' AND j.cancel_ms IS NULL)::int,
                outcome = CASE WHEN kinds[i] IN ('ack', 'retry', 'bury') THEN payloads[i]
                    ELSE j.outcome END,
                progress = CASE WHEN kinds[i] = 'progress' THEN payloads[i] ELSE j.progress END,
                -- A done or cancelled job is kept for its outcome alone.
                payload = CASE
                    WHEN kinds[i] IN ('extend', 'progress') THEN j.payload
                    WHEN kinds[i] = 'ack' OR j.cancel_ms IS NOT NULL THEN '' ELSE j.payload END,
                due_at = CASE
                    WHEN kinds[i] = 'progress' THEN j.due_at
                    WHEN kinds[i] IN ('ack', 'extend') OR j.cancel_ms IS NULL THEN later
                    ELSE moment + j.cancel_ms * interval '1 millisecond' END
            WHERE j.fleet = p_fleet AND j.id = ids[i] AND j.claim = numbers[i] AND j.state = 2
                AND j.queue = p_queues[i]
            RETURNING CASE WHEN j.state = 2 AND j.cancel_ms IS NOT NULL THEN 6 ELSE j.state END
            INTO figure;
            IF NOT FOUND THEN
                -- The same call again, after its answer was lost?
                SELECT j.state INTO figure FROM {schema}.jobs j
                WHERE j.fleet = p_fleet AND j.id = ids[i] AND j.claim = numbers[i] AND j.queue = p_queues[i]
                    AND CASE WHEN kinds[i] = 'ack' THEN j.state = 3
                        WHEN kinds[i] IN ('extend', 'progress') THEN false
                        WHEN kinds[i] = 'bury' THEN j.state IN (4, 5)
                        ELSE j.state IN (0, 1, 4, 5) END;
                IF NOT FOUND THEN
                    status := 'lost';
                END IF;
            END IF;
        END IF;
        IF atomic AND status <> 'ok' THEN
            RAISE EXCEPTION '%:%', i, status USING ERRCODE = 'AQE02';
        END IF;
        IF kinds[i] IN ('put', 'retry', 'release') AND p_queues[i] <> ALL (rung) THEN
            rung := rung || p_queues[i];
            PERFORM pg_notify('aqe_jobs_' || p_fleet, p_queues[i]);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$body$;

-- Claims up to p_count jobs after making ready what is due. If there were fewer, a last row with id
-- null tells in how many ms (null: never) more may be due.
CREATE FUNCTION {schema}.claim_jobs(
    p_fleet integer, p_queue text, p_count integer, p_lease bigint, p_lease_ended text
) RETURNS TABLE (
    id text, payload text, priority integer, attempts integer, max_attempts integer, claim bigint,
    created_ms bigint, due_ms bigint
)
LANGUAGE plpgsql AS $body$
#variable_conflict use_column
DECLARE
    moment timestamptz := clock_timestamp();
    found_jobs integer;
BEGIN
    WITH due AS (
        SELECT j.ctid FROM {schema}.jobs j
        WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state IN (0, 2)
            AND j.due_at <= moment
        ORDER BY j.due_at LIMIT greatest(p_count, 100) FOR UPDATE SKIP LOCKED
    )
    UPDATE {schema}.jobs j SET
        state = CASE
            WHEN j.state = 0 THEN 1
            WHEN j.cancel_ms IS NOT NULL THEN 5
            WHEN j.attempts >= j.max_attempts THEN 4
            ELSE 1 END,
        claim = j.claim + (j.state = 2)::int,
        outcome = CASE WHEN j.state = 2 THEN p_lease_ended ELSE j.outcome END,
        payload = CASE WHEN j.cancel_ms IS NULL THEN j.payload ELSE '' END,
        due_at = moment + coalesce(j.cancel_ms, 0) * interval '1 millisecond'
    WHERE j.ctid = ANY (ARRAY (SELECT ctid FROM due));

    RETURN QUERY
    WITH picked AS (
        SELECT j.ctid FROM {schema}.jobs j
        WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state = 1
        ORDER BY j.priority, j.seq LIMIT p_count FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE {schema}.jobs j SET
            state = 2, attempts = j.attempts + 1, claim = j.claim + 1,
            due_at = moment + p_lease * interval '1 millisecond'
        WHERE j.ctid = ANY (ARRAY (SELECT ctid FROM picked))
        RETURNING j.*
    )
    SELECT t.id, t.payload, t.priority, t.attempts, t.max_attempts, t.claim,
        (extract(epoch FROM t.created_at) * 1000)::bigint, NULL::bigint
    FROM taken t ORDER BY t.priority, t.seq;

    GET DIAGNOSTICS found_jobs = ROW_COUNT;
    IF found_jobs < p_count THEN
        RETURN QUERY SELECT NULL::text, NULL::text, NULL::integer, NULL::integer, NULL::integer,
            NULL::bigint, NULL::bigint, (
                SELECT greatest(0, ceil(extract(epoch FROM j.due_at - moment) * 1000))::bigint
                FROM {schema}.jobs j
                WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state IN (0, 2)
                ORDER BY j.due_at LIMIT 1
            );
    END IF;
END
$body$;

-- Makes dead jobs ready, in the order given, with all their attempts; not beside an unended job with
-- the same key. Returns how many.
CREATE FUNCTION {schema}.revive_jobs(p_fleet integer, p_queue text, ids text[]) RETURNS integer
LANGUAGE plpgsql AS $body$
DECLARE
    one text;
    revived integer := 0;
BEGIN
    FOREACH one IN ARRAY ids LOOP
        BEGIN
            UPDATE {schema}.jobs j SET state = 1, attempts = 0, due_at = clock_timestamp()
            WHERE j.fleet = p_fleet AND j.id = one AND j.queue = p_queue AND j.state = 4;
            revived := revived + FOUND::int;
        EXCEPTION WHEN unique_violation THEN
            NULL;
        END;
    END LOOP;
    PERFORM pg_notify('aqe_jobs_' || p_fleet, p_queue);
    RETURN revived;
END
$body$;

-- Deletes ended jobs and keys that were kept long enough, up to p_limit of each; returns whether there
-- may be more.
CREATE FUNCTION {schema}.forget_jobs(p_fleet integer, p_limit integer) RETURNS boolean
LANGUAGE plpgsql AS $body$
DECLARE
    done integer;
    cancelled integer;
    keys integer;
BEGIN
    DELETE FROM {schema}.jobs WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM {schema}.jobs
        WHERE fleet + 0 = p_fleet AND state = 3 AND due_at <= now()
        ORDER BY due_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS done = ROW_COUNT;
    DELETE FROM {schema}.jobs WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM {schema}.jobs
        WHERE fleet + 0 = p_fleet AND state = 5 AND due_at <= now()
        ORDER BY due_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS cancelled = ROW_COUNT;
    DELETE FROM {schema}.job_keys WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM {schema}.job_keys
        WHERE fleet = p_fleet AND until_at <= now()
        ORDER BY until_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS keys = ROW_COUNT;
    RETURN greatest(done, cancelled, keys) = p_limit;
END
$body$;
