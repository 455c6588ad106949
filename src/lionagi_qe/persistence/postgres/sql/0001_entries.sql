CREATE TABLE {schema}.fleets (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    swept_at timestamptz NOT NULL DEFAULT '-infinity'
);

-- One counter for all fleets: each sees revisions that only grow, with gaps.
CREATE SEQUENCE {schema}.revisions CACHE 1;

-- A deleted or expired entry stays for a while as a tombstone: no value, "gone" says why
-- (1 deleted, 2 expired), expires_at when it goes for good. Besides telling watchers, it keeps a
-- key's revisions growing: a re-creation that raced the deletion updates the row it left.
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
    PRIMARY KEY (fleet, key)
);

-- Each query names the index that it means: "fleet = x" fits the primary key alone, "fleet + 0 = x"
-- only these. The planner would else believe, of a fleet newer than its statistics, that any index
-- which begins with the fleet finds one row, and read all of the fleet for each key.
CREATE INDEX entries_by_partition ON {schema}.entries ((fleet + 0), partition, key)
    WHERE gone IS NULL;
CREATE INDEX entries_by_expiry ON {schema}.entries ((fleet + 0), expires_at)
    WHERE expires_at IS NOT NULL;
CREATE INDEX entries_by_revision ON {schema}.entries ((fleet + 0), revision);

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
    numbers float8[] := ARRAY(SELECT n::float8 FROM json_array_elements_text(steps::json) AS n);
    q float8 := numbers[1];
    visits bigint := 0;
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
    FOR i IN 5 .. cardinality(numbers) LOOP
        q := q + greatest(numbers[4], numbers[2] / power((1 + visits)::float8, numbers[3]))
            * (numbers[i] - q);
        visits := visits + 1;
    END LOOP;
    RETURN '{"schema":1,"q":' || CASE WHEN q::text ~ '[.e]' THEN q::text ELSE q::text || '.0' END
        || ',"visits":' || visits || '}';
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$body$;

-- Applies operations in the order given (the caller sorts by key, so that concurrent batches lock
-- in one order). kinds: p put, d delete, a add, t touch, l learn. Statuses: ok, conflict,
-- not_a_number, overflow, not_learned; figure is the revision, the sum, the revision found, or null. With atomic, the first
-- that isn't ok raises AQE01 "position:status:figure" and nothing is applied.
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
BEGIN
    FOR i IN 1 .. cardinality(keys) LOOP
        status := 'ok';
        figure := NULL;
        payload := payloads[i];
        LOOP
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
                        updated_at = moment, expires_at = moment + {tombstone}
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
                    expires_at = CASE WHEN keeps[i] AND live THEN e.expires_at ELSE expiry END
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
        RETURN NEXT;
    END LOOP;
END
$body$;
