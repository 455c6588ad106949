-- A lease's token is a revision: greater than all before, even if the row was swept.
CREATE TABLE {schema}.leases (
    fleet integer NOT NULL REFERENCES {schema}.fleets (id),
    name text COLLATE "C" NOT NULL,
    token bigint NOT NULL,
    holder text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (fleet, name)
);

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
