CREATE TABLE {schema}.queues (
    fleet integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    PRIMARY KEY (fleet, name)
);

-- state: 0 delayed, 1 ready, 2 claimed, 3 done, 4 dead. due_at: when the delay or the claim ends,
-- when a result is forgotten; else when the state began. claim counts up whenever a job changes
-- hands, so that its number proves whose it is. outcome: the result, or the last error.
-- No foreign key to fleets: it would lock the fleet's row for each job.
CREATE TABLE {schema}.jobs (
    fleet integer NOT NULL,
    queue text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    state smallint NOT NULL,
    priority integer NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL,
    claim bigint NOT NULL DEFAULT 0,
    payload text COLLATE "C" NOT NULL,
    outcome text COLLATE "C",
    dedupe text COLLATE "C",
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (fleet, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- As with the entries, "fleet = x" means the primary key and "fleet + 0 = x" one of these, of which
-- the state picks one.
CREATE INDEX jobs_ready ON {schema}.jobs ((fleet + 0), queue, priority, seq) WHERE state = 1;
CREATE INDEX jobs_due ON {schema}.jobs ((fleet + 0), queue, due_at) WHERE state IN (0, 2);
CREATE INDEX jobs_done ON {schema}.jobs ((fleet + 0), due_at) WHERE state = 3;
CREATE INDEX jobs_dead ON {schema}.jobs ((fleet + 0), queue, id) WHERE state = 4;
-- A job gives its key back when it ends.
CREATE UNIQUE INDEX jobs_dedupe ON {schema}.jobs ((fleet + 0), queue, dedupe)
    WHERE dedupe IS NOT NULL;

-- Applies operations on jobs in order; see jobs.py for what they mean. The caller sorts endings by
-- id, and puts by dedupe key behind them, so that concurrent calls lock in one order.
-- kinds: put, ack, retry, bury, release, extend. numbers: the priority or the claim. Statuses: ok,
-- stale, lost; figure is the id of a put job, else the number of the state. With atomic, the first
-- that isn't ok raises AQE02 "position:status" and nothing is applied.
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
            LOOP
                INSERT INTO {schema}.jobs AS j
                    (fleet, queue, id, state, priority, max_attempts, payload, dedupe, created_at, due_at)
                VALUES (p_fleet, p_queues[i], ids[i], (milliseconds[i] = 0)::int, numbers[i],
                    most_attempts[i], payloads[i], dedupes[i], moment, later)
                ON CONFLICT DO NOTHING RETURNING j.id INTO figure;
                EXIT WHEN FOUND;
                SELECT j.id INTO figure FROM {schema}.jobs j
                WHERE j.fleet + 0 = p_fleet AND j.queue = p_queues[i] AND j.dedupe = dedupes[i];
                EXIT WHEN FOUND;
                -- This very job, put before; or the other one ended meanwhile: then try again.
                SELECT j.id INTO figure FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = ids[i];
                EXIT WHEN FOUND;
            END LOOP;
        ELSE
            UPDATE {schema}.jobs j SET
                state = CASE
                    WHEN kinds[i] = 'ack' THEN 3
                    WHEN kinds[i] = 'extend' THEN 2
                    WHEN kinds[i] = 'release' THEN 1
                    WHEN kinds[i] = 'bury' OR j.attempts >= j.max_attempts THEN 4
                    WHEN milliseconds[i] > 0 THEN 0
                    ELSE 1 END,
                attempts = j.attempts - (kinds[i] = 'release')::int,
                outcome = CASE WHEN kinds[i] IN ('ack', 'retry', 'bury') THEN payloads[i]
                    ELSE j.outcome END,
                -- A done job is kept for its result alone.
                payload = CASE WHEN kinds[i] = 'ack' THEN '' ELSE j.payload END,
                dedupe = CASE
                    WHEN kinds[i] IN ('extend', 'release') THEN j.dedupe
                    WHEN kinds[i] = 'retry' AND j.attempts < j.max_attempts THEN j.dedupe END,
                due_at = later
            WHERE j.fleet = p_fleet AND j.id = ids[i] AND j.claim = numbers[i] AND j.state = 2
                AND j.queue = p_queues[i]
            RETURNING j.state INTO figure;
            IF NOT FOUND THEN
                -- The same call again, after its answer was lost?
                SELECT j.state INTO figure FROM {schema}.jobs j
                WHERE j.fleet = p_fleet AND j.id = ids[i] AND j.claim = numbers[i] AND j.queue = p_queues[i]
                    AND CASE kinds[i] WHEN 'ack' THEN j.state = 3 WHEN 'extend' THEN false
                        WHEN 'bury' THEN j.state = 4 ELSE j.state IN (0, 1, 4) END;
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
        state = CASE WHEN j.state = 2 AND j.attempts >= j.max_attempts THEN 4 ELSE 1 END,
        claim = j.claim + (j.state = 2)::int,
        outcome = CASE WHEN j.state = 2 THEN p_lease_ended ELSE j.outcome END,
        dedupe = CASE WHEN j.state = 2 AND j.attempts >= j.max_attempts THEN NULL ELSE j.dedupe END,
        due_at = moment
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
