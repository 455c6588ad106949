-- The statements that store say themselves by which transaction; the trigger is for those that
-- don't, and costs the others nothing but a comparison.
DROP TRIGGER note_change ON {schema}.entries;
CREATE TRIGGER note_change BEFORE UPDATE OF revision ON {schema}.entries
    FOR EACH ROW WHEN (NEW.changed = OLD.changed) EXECUTE FUNCTION {schema}.note_change();

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
