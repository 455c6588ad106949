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
DROP FUNCTION {schema}.page_by_change(integer, text, text, text, bigint, integer);
DROP INDEX {schema}.entries_by_change;
-- A batch that is stored again changes all the rows that lie together on its pages, where none of the
-- old ones can be removed before it has ended: the new ones need room beside them.
ALTER TABLE {schema}.entries SET (fillfactor = 70);

-- All statements say "changed" themselves now, and a row of the log is theirs to write anyway.
DROP TRIGGER note_change ON {schema}.entries;
DROP FUNCTION {schema}.note_change();

-- The newest change whose row of the log is gone. 1 is before all of them, and where a watcher begins
-- who has read nothing: the log is not for him. For fleets that are there already it begins here.
ALTER TABLE {schema}.fleets ADD COLUMN pruned xid8 NOT NULL DEFAULT '1';
UPDATE {schema}.fleets SET pruned = pg_current_xact_id();

-- Looks at up to p_limit changes that snapshot p_seen did not see but (if given) p_target did. They
-- come in the order of (change, key), behind (p_change, p_key): the log's. Where it no longer reaches
-- back so far, all entries are looked at in the order of their keys, behind p_passed (null: that hasn't
-- begun), which again leaves out what the log had told up to (p_change, p_key).
-- hit: the entry is there and its last change is this one. more: further ones may follow.
-- STABLE: all that it asks sees what the statement sees. Settings: see 0005; and what is made to look dear
-- must not be compiled for that.
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

-- As before (see 0001 and 0007), and at the end one row of the log.
CREATE OR REPLACE FUNCTION {schema}.apply_operations(
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
