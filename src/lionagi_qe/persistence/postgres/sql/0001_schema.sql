-- The whole schema. The package's statements are in statements.py, log_statements.py and queue.py.

-- Tables

-- forgotten: the newest change that is no longer kept: whoever read nothing since before it may have
-- missed a deletion. pruned: the newest change whose row of the log is gone; 1 is before all of them,
-- and where a watcher begins who has read nothing: the log is not for him.
CREATE TABLE {schema}.fleets (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    swept_at timestamptz NOT NULL DEFAULT '-infinity',
    forgotten xid8 NOT NULL DEFAULT '0',
    pruned xid8 NOT NULL DEFAULT '1'
);

-- One counter for all fleets: each sees revisions that only grow, with gaps.
CREATE SEQUENCE {schema}.revisions CACHE 1;

-- A deleted or expired entry stays for a while as a tombstone: no value, "gone" says why
-- (1 deleted, 2 expired), expires_at when it goes for good. Besides telling watchers, it keeps a
-- key's revisions growing: a re-creation that raced the deletion updates the row it left. changed: by
-- which transaction the entry's last change was made. Revisions become visible out of order,
-- transactions don't: a snapshot says which of them had committed.
-- A batch that is stored again changes all the rows that lie together on its pages, where none of the
-- old ones can be removed before it has ended: the new ones need room beside them.
CREATE TABLE {schema}.entries (
    fleet integer NOT NULL REFERENCES {schema}.fleets (id),
    key text COLLATE "C" NOT NULL,
    value text COLLATE "C",
    partition text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    expires_at timestamptz,
    gone smallint,
    changed xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (fleet, key)
) WITH (fillfactor = 70);

-- Each query names the index that it means: "fleet = x" fits the primary key alone, "fleet + 0 = x"
-- only these. The planner would else believe, of a fleet newer than its statistics, that any index
-- which begins with the fleet finds one row, and read all of the fleet for each key.
CREATE INDEX entries_by_partition ON {schema}.entries ((fleet + 0), partition, key)
    WHERE gone IS NULL;
CREATE INDEX entries_by_expiry ON {schema}.entries ((fleet + 0), expires_at)
    WHERE expires_at IS NOT NULL;

-- What a watcher reads: of each statement that changed entries one row, with their keys and the
-- transaction. An entry tells its last change itself, so rows of the log that no entry agrees with are
-- superseded and passed over. Unlike an index on the entries' changes this lets an update stay on its
-- page (HOT), which no index then learns of. keys: joined by the control character 1, which no key
-- holds; one that was not changed does no harm. No foreign key: it would lock the fleet's row.
CREATE TABLE {schema}.changes (
    fleet integer NOT NULL,
    changed xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    keys text COLLATE "C" NOT NULL,
    PRIMARY KEY (fleet, changed, id)
) WITH (
    -- Rows come at one end and go at the other.
    autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02
);

-- A lease's token is a revision: greater than all before, even if the row was swept.
CREATE TABLE {schema}.leases (
    fleet integer NOT NULL REFERENCES {schema}.fleets (id),
    name text COLLATE "C" NOT NULL,
    token bigint NOT NULL,
    holder text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (fleet, name)
);

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

-- Copies under way. steps: how often one arranged. gone_arranged, gone_revision: null, or of a copy that
-- is over how far its places are deleted.
CREATE TABLE {schema}.copies (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fleet integer NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now(),
    steps integer NOT NULL DEFAULT 0,
    gone_arranged integer,
    gone_revision bigint
);
-- The entries that a round of a copy is to tell, in that order; a round is named by its first step.
-- Logged as all else: a crash that emptied it would take entries from the copy.
CREATE TABLE {schema}.copy_places (
    copy integer NOT NULL,
    arranged integer NOT NULL,
    revision bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    PRIMARY KEY (copy, arranged, revision, key)
);

-- Entries

-- Adds JSON numbers given as text. Null when the sum fits neither 64 bits nor a float.
CREATE FUNCTION {schema}.add_numbers(a text, b text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $body$
DECLARE
    total text;
BEGIN
    IF a !~ '[.eE]' AND b !~ '[.eE]' THEN
        IF a::numeric <= 9223372036854775807 AND a::numeric + b::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
            RETURN (a::numeric + b::numeric)::text;
        END IF;
        RETURN NULL;
    END IF;
    total := (a::float8 + b::float8)::text;
    -- A float stays one: 3 would come back as an integer.
    RETURN CASE WHEN total ~ '[.e]' THEN total ELSE total || '.0' END;
EXCEPTION WHEN numeric_value_out_of_range THEN
    RETURN NULL;
END
$body$;

-- Takes the steps of a learned value {"schema": 1, "q": ..., "visits": ...}: a JSON list of start,
-- initial rate, power, floor and targets. Null if what is stored is no learned value.
CREATE FUNCTION {schema}.learn(stored text, steps text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $body$
DECLARE
    -- start, initial rate, power, floor, targets
    numbers float8[] := translate(steps, '[]', '{}')::float8[];
    initial float8 := numbers[2];
    decay float8 := numbers[3];
    least_rate float8 := numbers[4];
    q float8 := numbers[1];
    visits bigint := 0;
    target float8;
BEGIN
    IF stored IS NOT NULL THEN
        IF length(stored) > 512 OR stored !~ '^\{.*"schema":1[,}]' THEN
            RETURN NULL;
        END IF;
        q := (stored::json ->> 'q')::float8;
        visits := (stored::json ->> 'visits')::bigint;
        IF q IS NULL OR visits IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    FOREACH target IN ARRAY numbers[5:] LOOP
        visits := visits + 1;
        q := q + greatest(least_rate, initial / power(visits::float8, decay)) * (target - q);
    END LOOP;
    RETURN '{"schema":1,"q":' || CASE WHEN q::text ~ '[.e]' THEN q::text ELSE q::text || '.0' END
        || ',"visits":' || visits || '}';
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$body$;

-- Applies operations in the order given (the caller sorts by key, so that concurrent batches lock
-- in one order). kinds: p put, d delete, a add, t touch, l learn. Statuses: ok, conflict,
-- not_a_number, overflow, not_learned; figure is the revision, the sum, the revision found, or null.
-- With atomic, the first that isn't ok raises AQE01 "position:status:figure" and nothing is applied.
-- At the end it writes one row of the log.
CREATE FUNCTION {schema}.apply_operations(
    p_fleet integer,
    kinds text[],
    keys text[],
    payloads text[],
    partitions text[],
    ttls bigint[],
    expected bigint[],
    keeps boolean[],
    atomic boolean
) RETURNS TABLE (status text, figure text)
LANGUAGE plpgsql AS $body$
#variable_conflict use_column
DECLARE
    entry {schema}.entries;
    live boolean;
    found_row boolean;
    moment timestamptz;
    payload text;
    expiry timestamptz;
    new_revision bigint;
    logged text[] := '{}';
BEGIN
    FOR i IN 1 .. cardinality(keys) LOOP
        status := 'ok';
        figure := NULL;
        payload := payloads[i];
        LOOP
            IF kinds[i] = 'l' AND atomic THEN
                -- No look before: the update sees the newest state of the row that it locks, and
                -- what must not have happened is undone with all the rest.
                UPDATE {schema}.entries e
                SET value = {schema}.learn(CASE WHEN e.gone IS NULL AND (e.expires_at IS NULL OR e.expires_at > clock_timestamp()) THEN e.value END, payloads[i]),
                    gone = NULL,
                    revision = nextval('{schema}.revisions'),
                    partition = CASE WHEN e.gone IS NULL AND (e.expires_at IS NULL OR e.expires_at > clock_timestamp()) THEN e.partition ELSE partitions[i] END,
                    created_at = CASE WHEN e.gone IS NULL AND (e.expires_at IS NULL OR e.expires_at > clock_timestamp()) THEN e.created_at ELSE clock_timestamp() END,
                    updated_at = clock_timestamp(),
                    expires_at = CASE WHEN e.gone IS NULL AND (e.expires_at IS NULL OR e.expires_at > clock_timestamp()) THEN e.expires_at END,
                    changed = pg_current_xact_id()
                WHERE e.fleet = p_fleet AND e.key = keys[i]
                RETURNING e.value INTO figure;
                IF FOUND THEN
                    IF figure IS NULL THEN
                        status := 'not_learned';
                    END IF;
                    EXIT;
                END IF;
            END IF;

            SELECT e.* INTO entry FROM {schema}.entries e
            WHERE e.fleet = p_fleet AND e.key = keys[i] FOR UPDATE;
            found_row := FOUND;
            moment := clock_timestamp();
            expiry := moment + ttls[i] * interval '1 millisecond';
            live := found_row AND entry.gone IS NULL
                AND (entry.expires_at IS NULL OR entry.expires_at > moment);

            IF expected[i] IS NOT NULL AND (
                (live AND entry.revision <> expected[i])
                OR (NOT live AND (expected[i] <> 0 OR kinds[i] = 'd'))
            ) THEN
                status := 'conflict';
                figure := CASE WHEN live THEN entry.revision END;
                EXIT;
            END IF;

            IF kinds[i] IN ('d', 't') THEN
                figure := live::int;
                IF live AND kinds[i] = 'd' THEN
                    UPDATE {schema}.entries e
                    SET value = NULL, gone = 1, revision = nextval('{schema}.revisions'),
                        updated_at = moment, expires_at = moment + {tombstone},
                        changed = pg_current_xact_id()
                    WHERE e.fleet = p_fleet AND e.key = keys[i];
                ELSIF live THEN
                    UPDATE {schema}.entries e SET expires_at = expiry
                    WHERE e.fleet = p_fleet AND e.key = keys[i];
                END IF;
                EXIT;
            END IF;

            IF kinds[i] = 'a' AND live THEN
                IF length(entry.value) > 64 OR entry.value !~ '^-?[0-9]' THEN
                    status := 'not_a_number';
                    EXIT;
                END IF;
                payload := {schema}.add_numbers(entry.value, payloads[i]);
                IF payload IS NULL THEN
                    status := 'overflow';
                    EXIT;
                END IF;
            END IF;

            IF kinds[i] = 'l' THEN
                payload := {schema}.learn(CASE WHEN live THEN entry.value END, payloads[i]);
                IF payload IS NULL THEN
                    status := 'not_learned';
                    EXIT;
                END IF;
            END IF;

            IF found_row THEN
                UPDATE {schema}.entries e
                SET value = payload,
                    gone = NULL,
                    revision = nextval('{schema}.revisions'),
                    partition = CASE WHEN keeps[i] AND live THEN e.partition ELSE partitions[i] END,
                    created_at = CASE WHEN live THEN e.created_at ELSE moment END,
                    updated_at = moment,
                    expires_at = CASE WHEN keeps[i] AND live THEN e.expires_at ELSE expiry END,
                    changed = pg_current_xact_id()
                WHERE e.fleet = p_fleet AND e.key = keys[i]
                RETURNING e.revision INTO new_revision;
            ELSE
                INSERT INTO {schema}.entries AS e
                VALUES (p_fleet, keys[i], payload, partitions[i], nextval('{schema}.revisions'),
                        moment, moment, expiry, NULL)
                ON CONFLICT DO NOTHING
                RETURNING e.revision INTO new_revision;
                -- Somebody else created it meanwhile: look again.
                CONTINUE WHEN NOT FOUND;
            END IF;
            figure := CASE WHEN kinds[i] IN ('a', 'l') THEN payload ELSE new_revision::text END;
            EXIT;
        END LOOP;
        IF atomic AND status <> 'ok' THEN
            RAISE EXCEPTION '%:%:%', i, status, coalesce(figure, '') USING ERRCODE = 'AQE01';
        END IF;
        IF status = 'ok' AND kinds[i] <> 't' AND (kinds[i] <> 'd' OR live)
            AND keys[i] IS DISTINCT FROM logged[cardinality(logged)]
        THEN
            logged := logged || keys[i];
        END IF;
        RETURN NEXT;
    END LOOP;
    IF cardinality(logged) > 0 THEN
        INSERT INTO {schema}.changes (fleet, keys)
        VALUES (p_fleet, array_to_string(logged, E'\x01'));
    END IF;
END
$body$;

-- Tells of each fence (null: none) whether its token is current and not expired. The leases stay
-- locked against a takeover until this transaction ends; all of them are locked first and in one
-- order, so that nobody who holds an entry waits for a lease.
CREATE FUNCTION {schema}.check_fences(p_fleet integer, names text[], tokens bigint[])
RETURNS boolean[]
LANGUAGE plpgsql AS $body$
DECLARE
    fresh boolean[] := array_fill(true, ARRAY[cardinality(names)]);
    lease text;
    current_token bigint;
BEGIN
    FOR lease IN SELECT DISTINCT n COLLATE "C" FROM unnest(names) AS n WHERE n IS NOT NULL ORDER BY 1 LOOP
        current_token := NULL;
        SELECT CASE WHEN l.expires_at > clock_timestamp() THEN l.token END INTO current_token
        FROM {schema}.leases l WHERE l.fleet = p_fleet AND l.name = lease FOR SHARE;
        FOR i IN 1 .. cardinality(names) LOOP
            IF names[i] = lease AND tokens[i] IS DISTINCT FROM current_token THEN
                fresh[i] := false;
            END IF;
        END LOOP;
    END LOOP;
    RETURN fresh;
END
$body$;

-- apply_operations for operations of which some carry a fence; those whose fence is stale come to
-- the status "stale" (with atomic: AQE01) and change nothing.
CREATE FUNCTION {schema}.apply_fenced_operations(
    p_fleet integer,
    kinds text[],
    keys text[],
    payloads text[],
    partitions text[],
    ttls bigint[],
    expected bigint[],
    keeps boolean[],
    fence_names text[],
    fence_tokens bigint[],
    atomic boolean
) RETURNS TABLE (status text, figure text)
LANGUAGE plpgsql AS $body$
#variable_conflict use_column
DECLARE
    fresh boolean[] := {schema}.check_fences(p_fleet, fence_names, fence_tokens);
BEGIN
    FOR i IN 1 .. cardinality(keys) LOOP
        IF NOT fresh[i] THEN
            IF atomic THEN
                RAISE EXCEPTION '%:stale:', i USING ERRCODE = 'AQE01';
            END IF;
            -- A delete of a revision that no entry has changes nothing.
            kinds[i] := 'd';
            expected[i] := -1;
        END IF;
    END LOOP;
    RETURN QUERY
    SELECT CASE WHEN fresh[a.at] THEN a.status ELSE 'stale' END, a.figure
    FROM {schema}.apply_operations(
        p_fleet, kinds, keys, payloads, partitions, ttls, expected, keeps, atomic
    ) WITH ORDINALITY AS a (status, figure, at);
END
$body$;

-- Pages in the order of an index. Of a fleet newer than its statistics the planner believes that
-- few rows follow, and would fetch and sort all of them for each page; so sorting is made to look
-- dear, which only a function can do behind a pooler. STABLE: they see what the statement sees.

CREATE FUNCTION {schema}.page_by_key(
    p_fleet integer, p_first text, p_before text, p_limit integer, p_values boolean
) RETURNS SETOF {schema}.entries LANGUAGE plpgsql STABLE
SET enable_sort = off SET enable_bitmapscan = off SET enable_seqscan = off AS $body$
BEGIN
    RETURN QUERY
    SELECT e.fleet, e.key, CASE WHEN p_values THEN e.value END, e.partition, e.revision,
        e.created_at, e.updated_at, e.expires_at, e.gone, e.changed
    FROM {schema}.entries AS e
    WHERE e.fleet = p_fleet AND e.key >= p_first AND e.key < p_before
        AND e.gone IS NULL AND (e.expires_at IS NULL OR e.expires_at > now())
    ORDER BY e.key LIMIT p_limit;
END
$body$;

CREATE FUNCTION {schema}.page_by_partition(
    p_fleet integer, p_first text, p_before text, p_limit integer, p_values boolean,
    p_partition text
) RETURNS SETOF {schema}.entries LANGUAGE plpgsql STABLE
SET enable_sort = off SET enable_bitmapscan = off SET enable_seqscan = off AS $body$
BEGIN
    RETURN QUERY
    SELECT e.fleet, e.key, CASE WHEN p_values THEN e.value END, e.partition, e.revision,
        e.created_at, e.updated_at, e.expires_at, e.gone, e.changed
    FROM {schema}.entries AS e
    WHERE e.fleet + 0 = p_fleet AND e.partition = p_partition
        AND e.key >= p_first AND e.key < p_before
        AND e.gone IS NULL AND (e.expires_at IS NULL OR e.expires_at > now())
    ORDER BY e.key LIMIT p_limit;
END
$body$;

-- What searches read: keys and values alone, up to so many bytes of values (the last row may go
-- beyond). The size of a compressed or moved-out value is known without reading it.

CREATE FUNCTION {schema}.payloads_by_key(
    p_fleet integer, p_first text, p_before text, p_limit integer, p_bytes bigint
) RETURNS TABLE (key text, value text) LANGUAGE plpgsql STABLE
SET enable_sort = off SET enable_bitmapscan = off SET enable_seqscan = off AS $body$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT page.key, page.value FROM (
        SELECT e.key, e.value,
            sum(octet_length(e.value)) OVER (ORDER BY e.key ROWS UNBOUNDED PRECEDING)
                - octet_length(e.value) AS before
        FROM {schema}.entries AS e
        WHERE e.fleet = p_fleet AND e.key >= p_first AND e.key < p_before
            AND e.gone IS NULL AND (e.expires_at IS NULL OR e.expires_at > now())
        ORDER BY e.key LIMIT p_limit
    ) AS page WHERE before < p_bytes ORDER BY page.key;
END
$body$;

CREATE FUNCTION {schema}.payloads_by_partition(
    p_fleet integer, p_first text, p_before text, p_limit integer, p_bytes bigint,
    p_partition text
) RETURNS TABLE (key text, value text) LANGUAGE plpgsql STABLE
SET enable_sort = off SET enable_bitmapscan = off SET enable_seqscan = off AS $body$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT page.key, page.value FROM (
        SELECT e.key, e.value,
            sum(octet_length(e.value)) OVER (ORDER BY e.key ROWS UNBOUNDED PRECEDING)
                - octet_length(e.value) AS before
        FROM {schema}.entries AS e
        WHERE e.fleet + 0 = p_fleet AND e.partition = p_partition
            AND e.key >= p_first AND e.key < p_before
            AND e.gone IS NULL AND (e.expires_at IS NULL OR e.expires_at > now())
        ORDER BY e.key LIMIT p_limit
    ) AS page WHERE before < p_bytes ORDER BY page.key;
END
$body$;

-- The log of changes

-- Looks at up to p_limit changes that snapshot p_seen did not see but (if given) p_target did. They
-- come in the order of (change, key), behind (p_change, p_key): the log's. Where it no longer reaches
-- back so far, all entries are looked at in the order of their keys, behind p_passed (null: that hasn't
-- begun), which again leaves out what the log had told up to (p_change, p_key).
-- hit: the entry is there and its last change is this one. more: further ones may follow.
-- STABLE: all that it asks sees what the statement sees. Settings: as of page_by_key; and what is made
-- to look dear must not be compiled for that.
CREATE FUNCTION {schema}.page_of_changes(
    p_fleet integer, p_seen pg_snapshot, p_target pg_snapshot, p_change xid8, p_key text,
    p_passed text, p_limit integer
) RETURNS TABLE (
    at bigint, more boolean, by_key boolean, hit boolean, change xid8, key text, value text,
    revision bigint, partition text, created_at timestamptz, updated_at timestamptz,
    expires_at timestamptz, gone smallint
)
LANGUAGE plpgsql STABLE
SET enable_sort = off SET enable_bitmapscan = off SET enable_seqscan = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
    p_pruned xid8 := (SELECT f.pruned FROM {schema}.fleets f WHERE f.id = p_fleet);
    first xid8;
    last xid8;
    logged xid8;
    its_keys text;
    seen_changes xid8[] := '{}';
    seen_keys text[] := '{}';
    looked bigint := 0;
    cut boolean := false;
BEGIN
    IF p_passed IS NOT NULL
        OR p_pruned >= greatest(p_change, pg_snapshot_xmin(p_seen))
    THEN
        RETURN QUERY
        SELECT row_number() OVER (ORDER BY e.key), count(*) OVER () = p_limit, true,
            NOT pg_visible_in_snapshot(e.changed, p_seen)
                AND (e.changed, e.key) > (p_change, p_key COLLATE "C")
                AND (
                    p_target IS NULL OR pg_visible_in_snapshot(e.changed, p_target)
                    -- Another server's transaction (see start_log): the log knows nothing of it.
                    OR (e.changed > p_pruned AND (
                        SELECT true FROM {schema}.changes c
                        WHERE c.fleet = p_fleet AND c.changed = e.changed LIMIT 1
                    ) IS NULL)
                ),
            e.changed, e.key, e.value, e.revision, e.partition, e.created_at, e.updated_at,
            e.expires_at, e.gone
        FROM (
            SELECT * FROM {schema}.entries
            WHERE entries.fleet = p_fleet AND entries.key > coalesce(p_passed, '')
            ORDER BY entries.key LIMIT p_limit
        ) AS e;
        RETURN;
    END IF;

    -- Not seen is what ran then and what came later: what lies between is not even passed, however
    -- long ago the oldest that ran had begun.
    <<ranges>>
    FOR first, last IN
        SELECT running, running FROM pg_snapshot_xip(p_seen) AS running WHERE running >= p_change
        UNION ALL
        SELECT greatest(pg_snapshot_xmax(p_seen), p_change),
            coalesce(pg_snapshot_xmax(p_target), '18446744073709551615')
        ORDER BY 1
    LOOP
        FOR logged, its_keys IN
            SELECT c.changed, c.keys FROM {schema}.changes c
            WHERE c.fleet = p_fleet AND c.changed >= first AND c.changed <= last
                AND (p_target IS NULL OR pg_visible_in_snapshot(c.changed, p_target))
            ORDER BY c.changed, c.id
        LOOP
            -- Between transactions only: the keys of one are put in order below.
            cut := looked >= p_limit AND logged > seen_changes[cardinality(seen_changes)];
            EXIT ranges WHEN cut;
            seen_changes := seen_changes || logged;
            seen_keys := seen_keys || its_keys;
            IF logged > p_change THEN
                looked := looked + cardinality(string_to_array(its_keys, E'\x01'));
            ELSE
                looked := looked + (
                    SELECT count(*) FROM unnest(string_to_array(its_keys, E'\x01')) AS k (key)
                    WHERE k.key > p_key COLLATE "C"
                );
            END IF;
        END LOOP;
    END LOOP;

    RETURN QUERY
    SELECT k.at, cut OR k.total > p_limit, false, e.key IS NOT NULL, k.change, k.key, e.value,
        e.revision, e.partition, e.created_at, e.updated_at, e.expires_at, e.gone
    FROM (
        SELECT d.change, d.key, row_number() OVER (ORDER BY d.change, d.key) AS at,
            count(*) OVER () AS total
        FROM (
            SELECT DISTINCT l.change, k.key COLLATE "C" AS key
            FROM unnest(seen_changes, seen_keys) AS l (change, keys)
                CROSS JOIN unnest(string_to_array(l.keys, E'\x01')) AS k (key)
            WHERE (l.change, k.key) > (p_change, p_key COLLATE "C")
        ) AS d
    ) AS k
    LEFT JOIN LATERAL (
        SELECT * FROM {schema}.entries
        WHERE entries.fleet = p_fleet AND entries.key = k.key AND entries.changed = k.change
        LIMIT 1
    ) AS e ON true
    WHERE k.at <= p_limit;
END
$body$;

-- Takes up to p_limit rows from the old end of the log, and returns how many. Those of five minutes
-- stay, and those since the oldest transaction that still runs: a position may wait for its end. From
-- the last pruned one on, as what the table still holds of older ones is dead (if that one is of a
-- transaction to come, it is another server's, see start_log); up to the first that has to stay, so
-- that none is passed over. The fleet's row makes it the work of one at a time.
CREATE FUNCTION {schema}.prune_changes(p_fleet integer, p_limit integer) RETURNS bigint
LANGUAGE plpgsql
SET enable_sort = off SET enable_bitmapscan = off SET enable_seqscan = off SET jit = off AS $body$
DECLARE
    begin_at xid8 := (
        SELECT CASE WHEN f.pruned < pg_snapshot_xmax(pg_current_snapshot()) THEN f.pruned ELSE '0' END
        FROM {schema}.fleets f WHERE f.id = p_fleet
    );
    newest xid8;
    number bigint;
BEGIN
    -- A look at the oldest, which mostly is young.
    IF (
        (
            SELECT c.at FROM {schema}.changes c WHERE c.fleet = p_fleet AND c.changed >= begin_at
            ORDER BY c.changed, c.id LIMIT 1
        ) < now() - {tombstone}
    ) IS NOT TRUE THEN
        RETURN 0;
    END IF;
    PERFORM FROM {schema}.fleets f WHERE f.id = p_fleet FOR NO KEY UPDATE;
    WITH oldest AS (
        SELECT c.ctid AS place,
            bool_and(c.at < now() - {tombstone}) OVER (ORDER BY c.changed, c.id) AS old
        FROM {schema}.changes c
        WHERE c.fleet = p_fleet AND c.changed >= begin_at
            AND c.changed < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY c.changed, c.id LIMIT p_limit
    ), taken AS (
        DELETE FROM {schema}.changes c
        WHERE c.ctid = ANY (ARRAY (SELECT o.place FROM oldest o WHERE o.old))
        RETURNING c.changed
    )
    SELECT (SELECT t.changed FROM taken t ORDER BY t.changed DESC LIMIT 1),
        (SELECT count(*) FROM taken)
    INTO newest, number;
    IF number > 0 THEN
        UPDATE {schema}.fleets f SET pruned = greatest(f.pruned, newest) WHERE f.id = p_fleet;
    END IF;
    RETURN number;
END
$body$;

-- Copies

-- Looks at up to p_limit entries that a round of a copy has arranged, behind (p_revision, p_key).
-- hit: it is there and still at that revision. Columns as those of page_of_changes.
CREATE FUNCTION {schema}.page_of_copy(
    p_fleet integer, p_copy integer, p_arranged integer, p_revision bigint, p_key text,
    p_limit integer
) RETURNS TABLE (
    at bigint, more boolean, by_key boolean, hit boolean, change xid8, key text, value text,
    revision bigint, partition text, created_at timestamptz, updated_at timestamptz,
    expires_at timestamptz, gone smallint
)
LANGUAGE plpgsql STABLE
SET enable_sort = off SET enable_bitmapscan = off SET enable_seqscan = off SET jit = off AS $body$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT row_number() OVER (ORDER BY p.revision, p.key), count(*) OVER () = p_limit, false,
        e.key IS NOT NULL, e.changed, p.key, e.value, p.revision, e.partition, e.created_at,
        e.updated_at, e.expires_at, e.gone
    FROM (
        SELECT c.revision, c.key FROM {schema}.copy_places c
        WHERE c.copy = p_copy AND c.arranged = p_arranged
            AND (c.revision, c.key) > (p_revision, p_key COLLATE "C")
        ORDER BY c.revision, c.key LIMIT p_limit
    ) AS p
    LEFT JOIN LATERAL (
        SELECT * FROM {schema}.entries
        WHERE entries.fleet = p_fleet AND entries.key = p.key AND entries.revision = p.revision
        LIMIT 1
    ) AS e ON true;
END
$body$;

-- Takes up to p_limit places of copy p_copy, or (null) of one that is over or was not used for a week,
-- and at last the copy itself. Returns whether there was one. From the copy's row on nobody arranges for
-- it any more; each statement here sees what was arranged before.
CREATE FUNCTION {schema}.forget_copy(p_fleet integer, p_copy integer, p_limit integer)
RETURNS boolean LANGUAGE plpgsql
SET enable_sort = off SET enable_bitmapscan = off SET enable_seqscan = off SET jit = off AS $body$
DECLARE
    its {schema}.copies;
    number bigint;
BEGIN
    IF p_copy IS NULL THEN
        SELECT c.* INTO its FROM {schema}.copies c
        WHERE c.fleet = p_fleet
            AND (c.gone_arranged IS NOT NULL OR c.used_at < now() - interval '7 days')
        ORDER BY c.id LIMIT 1 FOR UPDATE SKIP LOCKED;
    ELSE
        SELECT c.* INTO its FROM {schema}.copies c
        WHERE c.fleet = p_fleet AND c.id = p_copy FOR UPDATE;
    END IF;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- From the last deleted one on, as what the table still holds of those before is dead.
    WITH doomed AS (
        SELECT p.ctid AS place, p.arranged, p.revision FROM {schema}.copy_places p
        WHERE p.copy = its.id AND (p.arranged, p.revision)
            >= (coalesce(its.gone_arranged, 0), coalesce(its.gone_revision, 0))
        ORDER BY p.arranged, p.revision, p.key LIMIT p_limit
    ), gone AS (
        DELETE FROM {schema}.copy_places p WHERE p.ctid = ANY (ARRAY (SELECT place FROM doomed))
    ), last AS (
        SELECT d.arranged, d.revision FROM doomed d ORDER BY d.arranged DESC, d.revision DESC LIMIT 1
    )
    SELECT (SELECT count(*) FROM doomed), (SELECT l.arranged FROM last l), (SELECT l.revision FROM last l)
    INTO number, its.gone_arranged, its.gone_revision;
    IF number < p_limit THEN
        DELETE FROM {schema}.copies c WHERE c.id = its.id;
    ELSE
        UPDATE {schema}.copies c
        SET gone_arranged = its.gone_arranged, gone_revision = its.gone_revision
        WHERE c.id = its.id;
    END IF;
    RETURN true;
END
$body$;

-- Jobs

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
