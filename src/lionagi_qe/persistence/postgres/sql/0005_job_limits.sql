-- limit_key: null, or the line that the job waits in; see contract/limits.py. limited: it was claimed while
-- its queue had limits or keys, so that somebody may wait for its end.
ALTER TABLE {schema}.jobs ADD COLUMN limit_key text COLLATE "C", ADD COLUMN limited boolean;

DROP INDEX {schema}.jobs_ready;
CREATE INDEX jobs_ready ON {schema}.jobs ((fleet + 0), queue, priority, seq)
    WHERE state = 1 AND limit_key IS NULL;
-- Of each key the ready ones in order, and the claimed ones, to be counted. "0 + fleet = x" means this one.
CREATE INDEX jobs_in_line ON {schema}.jobs ((0 + fleet), queue, limit_key, state, priority, seq)
    WHERE limit_key IS NOT NULL AND state IN (1, 2);
-- By state, so that the claimed ones can be counted without the delayed ones.
DROP INDEX {schema}.jobs_due;
CREATE INDEX jobs_due ON {schema}.jobs ((fleet + 0), queue, state, due_at) WHERE state IN (0, 2);

CREATE TABLE {schema}.job_limits (
    fleet integer NOT NULL,
    queue text COLLATE "C" NOT NULL,
    per text COLLATE "C" NOT NULL,
    concurrency integer,
    rate integer,
    period_ms bigint NOT NULL,
    burst integer NOT NULL,
    PRIMARY KEY (fleet, queue, per)
);

-- The lines of a queue that has limits or keys; the one with key '' is that of jobs without a key, and
-- its tat_ms that of the whole queue. state: 0 in turn, 1 waits for an end of one of its jobs, 2 waits
-- until free_ms for its rate, 3 empty and kept for its tat_ms, 4 the line with key ''. priority: not
-- above that of its next job. turn: the lower, the sooner. Times are in ms since 1970.
-- A claim of such a queue holds the lock ``line_lock`` alone. Whoever has changed what is in its lines
-- shares it, then puts them in turn: so a claim that didn't see the change is over by then, and the next
-- one sees both. That one waits while it holds jobs; a claim waits for no job.
CREATE TABLE {schema}.job_lines (
    fleet integer NOT NULL,
    queue text COLLATE "C" NOT NULL,
    limit_key text COLLATE "C" NOT NULL,
    state smallint NOT NULL,
    priority integer NOT NULL,
    turn bigint NOT NULL,
    free_ms double precision NOT NULL DEFAULT 0,
    tat_ms double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (fleet, queue, limit_key)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX job_lines_in_turn ON {schema}.job_lines ((fleet + 0), queue, priority, turn)
    WHERE state = 0;
CREATE INDEX job_lines_free ON {schema}.job_lines ((fleet + 0), queue, free_ms) WHERE state = 2;
CREATE INDEX job_lines_empty ON {schema}.job_lines ((fleet + 0), tat_ms) WHERE state = 3;
CREATE SEQUENCE {schema}.job_turns CACHE 1;

CREATE FUNCTION {schema}.line_lock(p_fleet integer, p_queue text) RETURNS bigint
LANGUAGE sql STABLE AS $body$
    SELECT hashtextextended(p_queue, '{schema}.job_lines'::regclass::oid::bigint << 32 | p_fleet)
$body$;

-- Puts lines in turn, in the order given: p_priorities are those of jobs that may be claimed by now, null
-- of one that was claimed and has ended. The last thing that a call does: nothing is waited for behind it.
CREATE FUNCTION {schema}.touch_lines(
    p_fleet integer, p_queues text[], p_keys text[], p_priorities integer[]
) RETURNS void
LANGUAGE plpgsql AS $body$
DECLARE
    turns bigint[] := ARRAY (
        SELECT nextval('{schema}.job_turns') FROM generate_series(1, cardinality(p_keys))
    );
    touched record;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(lock) FROM (
        SELECT DISTINCT {schema}.line_lock(p_fleet, name) AS lock FROM unnest(p_queues) AS name
        ORDER BY lock
    ) AS locks;
    FOR touched IN
        SELECT queue, key, min(priority) AS priority, turns[min(at)] AS turn
        FROM unnest(p_queues, p_keys, p_priorities) WITH ORDINALITY AS t (queue, key, priority, at)
        GROUP BY queue, key ORDER BY queue, key
    LOOP
        PERFORM FROM {schema}.job_lines l
        WHERE l.fleet = p_fleet AND l.queue = touched.queue AND l.limit_key = touched.key;
        IF NOT FOUND AND touched.priority IS NOT NULL THEN
            INSERT INTO {schema}.job_lines (fleet, queue, limit_key, state, priority, turn)
            VALUES (p_fleet, touched.queue, touched.key, 0, touched.priority, touched.turn)
            ON CONFLICT DO NOTHING;
        END IF;
        UPDATE {schema}.job_lines l SET
            priority = least(l.priority, touched.priority),
            turn = CASE WHEN l.state IN (1, 3) THEN touched.turn ELSE l.turn END,
            state = CASE WHEN l.state IN (1, 3) THEN 0 ELSE l.state END
        WHERE l.fleet = p_fleet AND l.queue = touched.queue AND l.limit_key = touched.key
            AND (l.state = 1 OR (touched.priority IS NOT NULL
                AND (l.state = 3 OR l.priority > touched.priority)));
    END LOOP;
END
$body$;

-- As before, with limit keys and dependencies (see 0006). Also the first job unknown of those that it comes
-- after; then nothing was put.
DROP FUNCTION {schema}.put_job(
    integer, text, text, text, integer, bigint, text, integer, jsonb, timestamptz
);
CREATE FUNCTION {schema}.put_job(
    p_fleet integer, p_queue text, p_id text, p_payload text, p_priority integer, p_delay bigint,
    p_dedupe text, p_most integer, options jsonb, moment timestamptz, OUT figure text, OUT unknown text
)
LANGUAGE plpgsql AS $body$
#variable_conflict use_column
DECLARE
    what text := coalesce(options ->> 'on_duplicate', 'keep');
    later timestamptz := moment + p_delay * interval '1 millisecond';
    found_id text;
    other {schema}.jobs;
BEGIN
    IF options ->> 'limit_key' IS NOT NULL THEN
        PERFORM FROM {schema}.job_lines l
        WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.limit_key = '';
        IF NOT FOUND THEN
            INSERT INTO {schema}.job_lines (fleet, queue, limit_key, state, priority, turn)
            VALUES (p_fleet, p_queue, '', 4, 0, 0) ON CONFLICT DO NOTHING;
        END IF;
    END IF;
    LOOP
        found_id := NULL;
        IF p_dedupe IS NOT NULL THEN
            SELECT k.id INTO found_id FROM {schema}.job_keys k
            WHERE k.fleet = p_fleet AND k.queue = p_queue AND k.dedupe = p_dedupe
                AND k.until_at > moment AND k.id <> p_id;
        END IF;
        IF found_id IS NULL THEN
            INSERT INTO {schema}.jobs AS j
                (fleet, queue, id, state, priority, max_attempts, payload, dedupe, limit_key,
                created_at, due_at)
            VALUES (p_fleet, p_queue, p_id, (p_delay = 0)::int, p_priority, p_most, p_payload,
                p_dedupe, options ->> 'limit_key', moment, later)
            ON CONFLICT DO NOTHING;
            IF FOUND THEN
                IF options -> 'after' IS NOT NULL THEN
                    unknown := {schema}.hold_job(p_fleet, p_queue, p_id, options -> 'after', moment);
                    IF unknown IS NOT NULL THEN
                        DELETE FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = p_id;
                        RETURN;
                    END IF;
                END IF;
                IF p_dedupe IS NULL OR {schema}.keep_job_key(
                    p_fleet, p_queue, p_dedupe, p_id, moment, (options ->> 'dedupe_ms')::bigint
                ) THEN
                    figure := p_id;
                    RETURN;
                END IF;
                -- Somebody was quicker, and that one's job has ended already.
                IF options -> 'after' IS NOT NULL THEN
                    DELETE FROM {schema}.job_dependencies d WHERE d.fleet = p_fleet AND d.id = p_id;
                END IF;
                DELETE FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = p_id;
                CONTINUE;
            END IF;
        END IF;
        IF what = 'keep' THEN
            SELECT j.* INTO other FROM {schema}.jobs j
            WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.dedupe = p_dedupe
                AND j.state IN (0, 1, 2, 7);
        ELSE
            SELECT j.* INTO other FROM {schema}.jobs j
            WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.dedupe = p_dedupe
                AND j.state IN (0, 1, 2, 7) FOR UPDATE;
        END IF;
        IF FOUND THEN
            IF what = 'keep' OR other.id = p_id OR other.replaced_by = p_id
                OR (what = 'earliest' AND other.state = 2) THEN
                figure := other.id;
                RETURN;
            ELSIF other.state = 2 THEN
                -- One that runs while its key goes to another is not tried again.
                UPDATE {schema}.jobs j SET dedupe = NULL, max_attempts = j.attempts
                WHERE j.fleet = p_fleet AND j.id = other.id;
                UPDATE {schema}.job_keys k SET id = p_id
                WHERE k.fleet = p_fleet AND k.queue = p_queue AND k.dedupe = p_dedupe;
                CONTINUE;
            ELSIF what = 'replace' THEN
                UPDATE {schema}.jobs j SET
                    state = CASE WHEN j.state = 7 THEN 7 ELSE (p_delay = 0)::int END,
                    priority = p_priority, attempts = 0,
                    max_attempts = p_most, payload = p_payload, outcome = NULL, progress = NULL,
                    created_at = moment, due_at = later, replaced_by = p_id,
                    limit_key = options ->> 'limit_key'
                WHERE j.fleet = p_fleet AND j.id = other.id;
            ELSE
                UPDATE {schema}.jobs j SET
                    state = CASE WHEN p_delay = 0 AND j.state <> 7 THEN 1 ELSE j.state END,
                    priority = least(j.priority, p_priority), due_at = least(j.due_at, later)
                WHERE j.fleet = p_fleet AND j.id = other.id;
            END IF;
            figure := other.id;
            RETURN;
        END IF;
        IF found_id IS NOT NULL THEN
            figure := found_id;
            RETURN;
        END IF;
        -- This very job, put before; or the other one ended meanwhile: then try again.
        PERFORM FROM {schema}.jobs j WHERE j.fleet = p_fleet AND j.id = p_id;
        IF FOUND THEN
            figure := p_id;
            RETURN;
        END IF;
    END LOOP;
END
$body$;

-- As before; what it does to lines is done at its end.
CREATE OR REPLACE FUNCTION {schema}.apply_jobs(
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
    is_plain boolean;
    ended {schema}.jobs;
    line_priority integer;
    touched_queues text[];
    touched_keys text[];
    touched_priorities integer[];
    linked text[];
    freed record;
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
                rung := rung || p_queues[i];
                INSERT INTO {schema}.queues VALUES (p_fleet, p_queues[i]) ON CONFLICT DO NOTHING;
                PERFORM pg_notify('aqe_jobs_' || p_fleet, p_queues[i]);
            END IF;
            IF dedupes[i] IS NULL AND options[i] IS NULL THEN
                -- The common case; it conflicts only with itself, put before.
                INSERT INTO {schema}.jobs
                    (fleet, queue, id, state, priority, max_attempts, payload, created_at, due_at)
                VALUES (p_fleet, p_queues[i], ids[i], (milliseconds[i] = 0)::int, numbers[i],
                    most_attempts[i], payloads[i], moment, later)
                ON CONFLICT DO NOTHING;
                figure := ids[i];
                RETURN NEXT;
                CONTINUE;
            END IF;
            SELECT p.figure, p.unknown INTO figure, ended.id FROM {schema}.put_job(
                p_fleet, p_queues[i], ids[i], payloads[i], numbers[i]::integer, milliseconds[i],
                dedupes[i], most_attempts[i], options[i]::jsonb, moment
            ) AS p;
            IF ended.id IS NOT NULL THEN
                status := 'unknown';
                figure := ended.id;
            ELSIF options[i] IS NOT NULL THEN
                SELECT j.limit_key, j.priority INTO ended.limit_key, line_priority
                FROM {schema}.jobs j
                WHERE j.fleet = p_fleet AND j.id = figure AND j.state = 1;
                IF ended.limit_key IS NOT NULL THEN
                    touched_queues := touched_queues || p_queues[i];
                    touched_keys := touched_keys || ended.limit_key;
                    touched_priorities := touched_priorities || line_priority;
                END IF;
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
                AND j.state IN (0, 1, 2, 7)
            RETURNING j.* INTO ended;
            IF FOUND THEN
                figure := CASE ended.state WHEN 2 THEN 6 ELSE ended.state END;
                IF ended.limit_key IS NOT NULL THEN
                    touched_queues := touched_queues || p_queues[i];
                    touched_keys := touched_keys || ended.limit_key;
                    touched_priorities := touched_priorities || NULL::integer;
                END IF;
                IF ended.links > 0 AND ended.state = 5 THEN
                    linked := linked || ids[i];
                END IF;
                IF ended.limited AND p_queues[i] <> ALL (rung) THEN
                    rung := rung || p_queues[i];
                    PERFORM pg_notify('aqe_jobs_' || p_fleet, p_queues[i]);
                END IF;
            ELSE
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
            RETURNING CASE WHEN j.state = 2 AND j.cancel_ms IS NOT NULL THEN 6 ELSE j.state END,
                j.state <> 1 AND j.links IS NULL AND j.limited IS NULL AND j.limit_key IS NULL
            INTO figure, is_plain;
            IF is_plain THEN
                -- The common case: nobody waits for more than this.
                IF kinds[i] = 'retry' AND p_queues[i] <> ALL (rung) THEN
                    rung := rung || p_queues[i];
                    PERFORM pg_notify('aqe_jobs_' || p_fleet, p_queues[i]);
                END IF;
                RETURN NEXT;
                CONTINUE;
            ELSIF is_plain IS NULL THEN
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
            ELSIF kinds[i] NOT IN ('extend', 'progress') THEN
                SELECT j.* INTO ended FROM {schema}.jobs j
                WHERE j.fleet = p_fleet AND j.id = ids[i];
                IF ended.limit_key IS NOT NULL THEN
                    touched_queues := touched_queues || p_queues[i];
                    touched_keys := touched_keys || ended.limit_key;
                    touched_priorities := touched_priorities
                        || CASE WHEN ended.state = 1 THEN ended.priority END;
                END IF;
                IF ended.links > 0 AND ended.state IN (3, 4, 5) THEN
                    linked := linked || ids[i];
                END IF;
                -- Where there are limits, who waits for a job may wait for the end of another.
                IF (ended.limited OR kinds[i] IN ('retry', 'release')) AND p_queues[i] <> ALL (rung) THEN
                    rung := rung || p_queues[i];
                    PERFORM pg_notify('aqe_jobs_' || p_fleet, p_queues[i]);
                END IF;
            END IF;
        END IF;
        IF atomic AND status <> 'ok' THEN
            RAISE EXCEPTION '%:%:%', i, status, coalesce(figure, '') USING ERRCODE = 'AQE02';
        END IF;
        RETURN NEXT;
    END LOOP;
    IF linked IS NOT NULL THEN
        FOR freed IN SELECT * FROM {schema}.end_links(p_fleet, linked) LOOP
            IF freed.limit_key IS NOT NULL THEN
                touched_queues := touched_queues || freed.queue;
                touched_keys := touched_keys || freed.limit_key;
                touched_priorities := touched_priorities || freed.priority;
            END IF;
        END LOOP;
    END IF;
    IF touched_keys IS NOT NULL THEN
        PERFORM {schema}.touch_lines(p_fleet, touched_queues, touched_keys, touched_priorities);
    END IF;
END
$body$;

-- Makes what is due ready, or dead if it was its last attempt; jobs with a key where p_keyed alone, since
-- their lines change by it. A plan is kept for as long as the connection lives: made while the table was small,
-- it would read all of it for ever, but for the setting.
CREATE FUNCTION {schema}.make_jobs_ready(
    p_fleet integer, p_queue text, p_count integer, p_lease_ended text, moment timestamptz,
    p_keyed boolean
) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
DECLARE
    touched record;
BEGIN
    WITH delayed AS (
        SELECT j.ctid FROM {schema}.jobs j
        WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state = 0 AND j.due_at <= moment
            AND (p_keyed OR j.limit_key IS NULL)
        ORDER BY j.due_at LIMIT greatest(p_count, 100) FOR UPDATE SKIP LOCKED
    ), ended AS (
        SELECT j.ctid FROM {schema}.jobs j
        WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state = 2 AND j.due_at <= moment
            AND (p_keyed OR j.limit_key IS NULL)
        ORDER BY j.due_at LIMIT greatest(p_count, 100) FOR UPDATE SKIP LOCKED
    ), changed AS (
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
        WHERE j.ctid = ANY (ARRAY (SELECT ctid FROM delayed UNION ALL SELECT ctid FROM ended))
        RETURNING j.limit_key, CASE j.state WHEN 1 THEN j.priority END AS priority, j.seq,
            CASE WHEN j.links > 0 AND j.state IN (4, 5) THEN j.id END AS linked
    )
    SELECT array_agg(c.limit_key ORDER BY c.seq) FILTER (WHERE c.limit_key IS NOT NULL) AS keys,
        array_agg(c.priority ORDER BY c.seq) FILTER (WHERE c.limit_key IS NOT NULL) AS priorities,
        array_agg(c.linked) FILTER (WHERE c.linked IS NOT NULL) AS linked
    INTO touched FROM changed c;
    IF touched.linked IS NOT NULL THEN
        PERFORM {schema}.end_links(p_fleet, touched.linked);
    END IF;
    IF touched.keys IS NOT NULL THEN
        PERFORM {schema}.touch_lines(
            p_fleet, array_fill(p_queue, ARRAY[cardinality(touched.keys)]), touched.keys,
            touched.priorities
        );
    END IF;
END
$body$;

-- In how many ms a delay or a claim ends next; null for never.
CREATE FUNCTION {schema}.next_due(p_fleet integer, p_queue text, moment timestamptz)
RETURNS bigint
LANGUAGE plpgsql AS $body$
BEGIN
    RETURN greatest(0, ceil(extract(epoch FROM least(
        (SELECT j.due_at FROM {schema}.jobs j
            WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state = 0
            ORDER BY j.due_at LIMIT 1),
        (SELECT j.due_at FROM {schema}.jobs j
            WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state = 2
            ORDER BY j.due_at LIMIT 1)
    ) - moment) * 1000));
END
$body$;

-- What is left of a rate: the time up to which jobs that began fill it, by the generic cell rate algorithm.
-- What a former, slower rate left counts up to one burst.
CREATE FUNCTION {schema}.filled_to(
    tat_ms double precision, now_ms double precision, spacing double precision, burst integer
) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $body$
    SELECT least(greatest(tat_ms, now_ms), now_ms + burst * spacing)
$body$;

-- Claims jobs of a queue that has limits or keys; as claim_jobs.
CREATE FUNCTION {schema}.claim_in_turn(
    p_fleet integer, p_queue text, p_count integer, p_lease bigint, p_lease_ended text, is_due boolean
) RETURNS TABLE (
    id text, payload text, priority integer, attempts integer, max_attempts integer, claim bigint,
    created_ms bigint, due_ms bigint
)
-- Each look is one of an index in its order: what statistics say in between changes no plan.
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_sort = off SET enable_bitmapscan = off AS $body$
#variable_conflict use_column
DECLARE
    most_passed CONSTANT integer := 1000;
    rounding CONSTANT double precision := 1e-6;
    moment timestamptz;
    now_ms double precision;
    of_queue {schema}.job_limits;
    of_key {schema}.job_limits;
    own {schema}.job_lines;
    line {schema}.job_lines;
    job record;
    spacing double precision;
    own_filled double precision;
    filled double precision;
    room integer := p_count;
    found_jobs integer := 0;
    claimed_now integer;
    passed integer := 0;
    wait_ms double precision;
    key_spacing double precision;
BEGIN
    PERFORM pg_advisory_xact_lock({schema}.line_lock(p_fleet, p_queue));
    moment := clock_timestamp();
    now_ms := extract(epoch FROM moment) * 1000;
    IF is_due THEN
        PERFORM {schema}.make_jobs_ready(p_fleet, p_queue, p_count, p_lease_ended, moment, true);
    END IF;
    SELECT l.* INTO of_queue FROM {schema}.job_limits l
    WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.per = 'queue';
    SELECT l.* INTO of_key FROM {schema}.job_limits l
    WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.per = 'key';
    SELECT l.* INTO own FROM {schema}.job_lines l
    WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.limit_key = '';
    IF of_queue.concurrency IS NOT NULL THEN
        room := least(room, of_queue.concurrency - (SELECT count(*) FROM (
            SELECT FROM {schema}.jobs j
            WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state = 2
            LIMIT of_queue.concurrency
        ) AS claimed));
    END IF;
    IF of_queue.rate IS NOT NULL THEN
        spacing := of_queue.period_ms::double precision / of_queue.rate;
        own_filled := {schema}.filled_to(own.tat_ms, now_ms, spacing, of_queue.burst);
        room := least(
            room, floor(of_queue.burst - (own_filled - now_ms) / spacing + rounding)::integer
        );
    END IF;
    key_spacing := of_key.period_ms::double precision / of_key.rate;
    IF room > 0 THEN
        UPDATE {schema}.job_lines l SET state = 0
        WHERE l.fleet + 0 = p_fleet AND l.queue = p_queue AND l.state = 2 AND l.free_ms <= now_ms;
    END IF;
    WHILE found_jobs < room LOOP
        SELECT l.* INTO line FROM {schema}.job_lines l
        WHERE l.fleet + 0 = p_fleet AND l.queue = p_queue AND l.state = 0
        ORDER BY l.priority, l.turn LIMIT 1;
        SELECT j.priority INTO job FROM {schema}.jobs j
        WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state = 1 AND j.limit_key IS NULL
        ORDER BY j.priority, j.seq LIMIT 1;
        EXIT WHEN line.fleet IS NULL AND NOT FOUND;
        IF line.fleet IS NULL OR (job.priority, own.turn) <= (line.priority, line.turn) THEN
            -- One without a key; all of them if there is no other line.
            RETURN QUERY
            WITH picked AS (
                SELECT j.ctid FROM {schema}.jobs j
                WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state = 1
                    AND j.limit_key IS NULL
                ORDER BY j.priority, j.seq
                LIMIT CASE WHEN line.fleet IS NULL THEN room - found_jobs ELSE 1 END
                FOR UPDATE SKIP LOCKED
            ), taken AS (
                UPDATE {schema}.jobs j SET
                    state = 2, attempts = j.attempts + 1, claim = j.claim + 1,
                    due_at = moment + p_lease * interval '1 millisecond', limited = true
                WHERE j.ctid = ANY (ARRAY (SELECT ctid FROM picked))
                RETURNING j.*
            )
            SELECT t.id, t.payload, t.priority, t.attempts, t.max_attempts, t.claim,
                (extract(epoch FROM t.created_at) * 1000)::bigint, NULL::bigint
            FROM taken t ORDER BY t.priority, t.seq;
            GET DIAGNOSTICS claimed_now = ROW_COUNT;
            found_jobs := found_jobs + claimed_now;
            own.turn := nextval('{schema}.job_turns');
            EXIT WHEN line.fleet IS NULL;
            CONTINUE;
        END IF;
        SELECT j.id, j.priority INTO job FROM {schema}.jobs j
        WHERE 0 + j.fleet = p_fleet AND j.queue = p_queue AND j.state = 1
            AND j.limit_key = line.limit_key
        ORDER BY j.priority, j.seq LIMIT 1 FOR UPDATE SKIP LOCKED;
        passed := passed + 1;
        IF NOT FOUND THEN
            IF line.tat_ms > now_ms THEN
                UPDATE {schema}.job_lines l SET state = 3, priority = 2147483647
                WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.limit_key = line.limit_key;
            ELSE
                DELETE FROM {schema}.job_lines l
                WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.limit_key = line.limit_key;
            END IF;
        ELSIF job.priority > line.priority THEN
            UPDATE {schema}.job_lines l SET priority = job.priority
            WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.limit_key = line.limit_key;
        ELSIF of_key.concurrency <= (SELECT count(*) FROM (
            SELECT FROM {schema}.jobs j
            WHERE 0 + j.fleet = p_fleet AND j.queue = p_queue AND j.state = 2
                AND j.limit_key = line.limit_key
            LIMIT of_key.concurrency
        ) AS claimed) THEN
            UPDATE {schema}.job_lines l SET state = 1
            WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.limit_key = line.limit_key;
        ELSE
            filled := {schema}.filled_to(line.tat_ms, now_ms, key_spacing, of_key.burst);
            IF filled - now_ms > (of_key.burst - 1 + rounding) * key_spacing THEN
                UPDATE {schema}.job_lines l SET state = 2, tat_ms = filled,
                    free_ms = ceil(filled - (of_key.burst - 1) * key_spacing)
                WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.limit_key = line.limit_key;
            ELSE
                passed := passed - 1;
                found_jobs := found_jobs + 1;
                RETURN QUERY UPDATE {schema}.jobs j SET
                    state = 2, attempts = j.attempts + 1, claim = j.claim + 1,
                    due_at = moment + p_lease * interval '1 millisecond', limited = true
                WHERE j.fleet = p_fleet AND j.id = job.id
                RETURNING j.id, j.payload, j.priority, j.attempts, j.max_attempts, j.claim,
                    (extract(epoch FROM j.created_at) * 1000)::bigint, NULL::bigint;
                UPDATE {schema}.job_lines l SET
                    turn = nextval('{schema}.job_turns'),
                    tat_ms = coalesce(filled + key_spacing, l.tat_ms)
                WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.limit_key = line.limit_key;
            END IF;
        END IF;
        IF passed > most_passed THEN
            wait_ms := 0;
            EXIT;
        END IF;
    END LOOP;
    IF of_queue.rate IS NOT NULL THEN
        own.tat_ms := own_filled + found_jobs * spacing;
        wait_ms := least(wait_ms, greatest(
            0, ceil(own.tat_ms - now_ms - (of_queue.burst - 1) * spacing - rounding * spacing)
        ));
        IF wait_ms = 0 AND passed <= most_passed THEN
            wait_ms := NULL;
        END IF;
    END IF;
    UPDATE {schema}.job_lines l SET turn = own.turn, tat_ms = own.tat_ms
    WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.limit_key = ''
        AND (l.turn, l.tat_ms) IS DISTINCT FROM (own.turn, own.tat_ms);
    IF found_jobs < p_count THEN
        PERFORM {schema}.fall_on(p_fleet, p_queue);
        RETURN QUERY SELECT NULL::text, NULL::text, NULL::integer, NULL::integer, NULL::integer,
            NULL::bigint, NULL::bigint, least(
                {schema}.next_due(p_fleet, p_queue, moment), wait_ms::bigint, (
                    SELECT greatest(0, ceil(l.free_ms - now_ms))::bigint FROM {schema}.job_lines l
                    WHERE l.fleet + 0 = p_fleet AND l.queue = p_queue AND l.state = 2
                    ORDER BY l.free_ms LIMIT 1
                )
            );
    END IF;
END
$body$;

-- Sets a limit in the place of the former, or takes it away; all lines are looked at anew.
CREATE FUNCTION {schema}.put_limit(
    p_fleet integer, p_queue text, p_per text, p_concurrency integer, p_rate integer,
    p_period bigint, p_burst integer
) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
BEGIN
    INSERT INTO {schema}.queues VALUES (p_fleet, p_queue) ON CONFLICT DO NOTHING;
    PERFORM pg_advisory_xact_lock({schema}.line_lock(p_fleet, p_queue));
    INSERT INTO {schema}.job_lines (fleet, queue, limit_key, state, priority, turn)
    VALUES (p_fleet, p_queue, '', 4, 0, 0) ON CONFLICT DO NOTHING;
    DELETE FROM {schema}.job_limits l
    WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.per = p_per;
    IF p_concurrency IS NOT NULL OR p_rate IS NOT NULL THEN
        INSERT INTO {schema}.job_limits
        VALUES (p_fleet, p_queue, p_per, p_concurrency, p_rate, p_period, p_burst);
    END IF;
    UPDATE {schema}.job_lines l SET state = 0
    WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.state IN (1, 2);
    UPDATE {schema}.jobs j SET limited = true WHERE j.ctid = ANY (ARRAY (
        SELECT c.ctid FROM {schema}.jobs c
        WHERE c.fleet + 0 = p_fleet AND c.queue = p_queue AND c.state = 2 AND c.limited IS NULL
        FOR UPDATE SKIP LOCKED
    ));
    PERFORM pg_notify('aqe_jobs_' || p_fleet, p_queue);
END
$body$;

-- As before, of queues without limits and keys.
CREATE OR REPLACE FUNCTION {schema}.claim_jobs(
    p_fleet integer, p_queue text, p_count integer, p_lease bigint, p_lease_ended text
) RETURNS TABLE (
    id text, payload text, priority integer, attempts integer, max_attempts integer, claim bigint,
    created_ms bigint, due_ms bigint
)
-- Plans kept from when the table was small would read all of it to find a row by its place.
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
#variable_conflict use_column
DECLARE
    moment timestamptz := clock_timestamp();
    found_jobs integer;
    is_lined boolean;
    is_due boolean;
BEGIN
    SELECT EXISTS (
        SELECT FROM {schema}.job_lines l
        WHERE l.fleet = p_fleet AND l.queue = p_queue AND l.limit_key = ''
    ), EXISTS (
        SELECT FROM {schema}.jobs j
        WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state = 0 AND j.due_at <= moment
    ) OR EXISTS (
        SELECT FROM {schema}.jobs j
        WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state = 2 AND j.due_at <= moment
    ) INTO is_lined, is_due;
    IF is_lined THEN
        RETURN QUERY SELECT * FROM {schema}.claim_in_turn(
            p_fleet, p_queue, p_count, p_lease, p_lease_ended, is_due
        );
        RETURN;
    END IF;
    IF is_due THEN
        PERFORM {schema}.make_jobs_ready(p_fleet, p_queue, p_count, p_lease_ended, moment, false);
    END IF;

    RETURN QUERY
    WITH picked AS (
        SELECT j.ctid FROM {schema}.jobs j
        WHERE j.fleet + 0 = p_fleet AND j.queue = p_queue AND j.state = 1
            AND j.limit_key IS NULL
        ORDER BY j.priority, j.seq LIMIT p_count FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE {schema}.jobs j SET
            state = 2, attempts = j.attempts + 1, claim = j.claim + 1,
            due_at = moment + p_lease * interval '1 millisecond'
        WHERE j.ctid = ANY (ARRAY (SELECT ctid FROM picked))
        RETURNING j.id, j.payload, j.priority, j.attempts, j.max_attempts, j.claim, j.created_at, j.seq
    )
    SELECT t.id, t.payload, t.priority, t.attempts, t.max_attempts, t.claim,
        (extract(epoch FROM t.created_at) * 1000)::bigint, NULL::bigint
    FROM taken t ORDER BY t.priority, t.seq;

    GET DIAGNOSTICS found_jobs = ROW_COUNT;
    IF found_jobs < p_count THEN
        PERFORM {schema}.fall_on(p_fleet, p_queue);
        RETURN QUERY SELECT NULL::text, NULL::text, NULL::integer, NULL::integer, NULL::integer,
            NULL::bigint, NULL::bigint, {schema}.next_due(p_fleet, p_queue, moment);
    END IF;
END
$body$;

-- As before, with limit keys.
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
        SELECT j.id, j.links FROM {schema}.jobs j
        WHERE j.fleet = p_fleet AND j.id = ANY (ids) AND j.queue = p_queue AND j.state = 4
        ORDER BY j.seq
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

-- As before, and lines that were kept for their rates.
CREATE OR REPLACE FUNCTION {schema}.forget_jobs(p_fleet integer, p_limit integer) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $body$
DECLARE
    done integer;
    cancelled integer;
    keys integer;
    lines integer;
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
    DELETE FROM {schema}.job_lines WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM {schema}.job_lines
        WHERE fleet + 0 = p_fleet AND state = 3 AND tat_ms <= {schema}.clock_ms()
        ORDER BY tat_ms LIMIT p_limit FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS lines = ROW_COUNT;
    RETURN greatest(done, cancelled, keys, lines) = p_limit;
END
$body$;
