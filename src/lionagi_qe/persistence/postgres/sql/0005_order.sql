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

-- Changes behind a transaction and a revision that one snapshot did not see but (if given) the
-- other did.
CREATE FUNCTION {schema}.page_by_change(
    p_fleet integer, p_seen text, p_target text, p_change text, p_revision bigint, p_limit integer
) RETURNS SETOF {schema}.entries LANGUAGE plpgsql STABLE
SET enable_sort = off SET enable_bitmapscan = off SET enable_seqscan = off AS $body$
BEGIN
    RETURN QUERY
    SELECT e.*
    FROM {schema}.entries AS e
    WHERE e.fleet + 0 = p_fleet AND (e.changed, e.revision) > (p_change::xid8, p_revision)
        AND NOT pg_visible_in_snapshot(e.changed, p_seen::pg_snapshot)
        AND (p_target IS NULL OR pg_visible_in_snapshot(e.changed, p_target::pg_snapshot))
    ORDER BY e.changed, e.revision LIMIT p_limit;
END
$body$;
