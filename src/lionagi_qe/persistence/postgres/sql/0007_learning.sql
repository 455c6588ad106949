-- Learning, faster: a list of numbers is read as an array, a step is one assignment, and a value that
-- is there is looked at and changed in one go. And operations say themselves by which transaction they
-- changed an entry, so that the trigger has nothing to do.

-- As before, see 0001.
CREATE OR REPLACE FUNCTION {schema}.learn(stored text, steps text) RETURNS text
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

-- As before, see 0001.
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
        RETURN NEXT;
    END LOOP;
END
$body$;
