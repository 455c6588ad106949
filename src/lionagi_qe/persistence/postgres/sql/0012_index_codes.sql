-- Vectors are found by their codes instead of by pairs of coordinates: what is indexed is made anew by
-- the next recall. place: counts up with each document that is written; see Written.
TRUNCATE {schema}.index_documents, {schema}.index_postings, {schema}.index_terms, {schema}.indexes;

ALTER TABLE {schema}.indexes ADD COLUMN place bigint NOT NULL DEFAULT 0;
ALTER TABLE {schema}.index_documents ADD COLUMN place bigint NOT NULL;

CREATE TABLE {schema}.index_codes (
    index_id integer NOT NULL,
    place bigint NOT NULL,
    number bigint NOT NULL,
    code bytea NOT NULL,
    PRIMARY KEY (index_id, place)
);

DROP FUNCTION {schema}.write_index(
    integer, text, text, text, bigint[], text[], bigint[], text[], bigint[], bigint[], integer[], bigint[]
);

-- Takes documents out of an index whose row is locked, with their postings; returns how many there
-- were. Each look-up is one of a key, however little the planner knows of tables that are new.
CREATE OR REPLACE FUNCTION {schema}.remove_documents(p_index integer, p_numbers bigint[]) RETURNS bigint
LANGUAGE plpgsql AS $body$
DECLARE
    old_numbers bigint[];
    old_terms bigint[];
    old_weights integer[];
    removed bigint;
BEGIN
    WITH gone AS (
        DELETE FROM {schema}.index_documents
        WHERE ctid = ANY (ARRAY (
            SELECT d.ctid FROM unnest(p_numbers) AS wanted (number) CROSS JOIN LATERAL (
                SELECT ctid FROM {schema}.index_documents
                WHERE index_id = p_index AND number = wanted.number LIMIT 1
            ) AS d
        ))
        RETURNING number, terms, weights, place
    ), uncoded AS (
        DELETE FROM {schema}.index_codes
        WHERE ctid = ANY (ARRAY (
            SELECT c.ctid FROM gone CROSS JOIN LATERAL (
                SELECT ctid FROM {schema}.index_codes
                WHERE index_id = p_index AND place = gone.place LIMIT 1
            ) AS c
        ))
    )
    SELECT (SELECT count(*) FROM gone), array_agg(gone.number), array_agg(p.term), array_agg(p.weight)
    INTO removed, old_numbers, old_terms, old_weights
    FROM gone CROSS JOIN LATERAL unnest(gone.terms, gone.weights) AS p (term, weight);
    DELETE FROM {schema}.index_postings
    WHERE ctid = ANY (ARRAY (
        SELECT p.ctid FROM unnest(old_numbers, old_terms, old_weights) AS old (number, term, weight)
        CROSS JOIN LATERAL (
            SELECT ctid FROM {schema}.index_postings
            WHERE index_id = p_index AND term = old.term AND lightness = -old.weight
                AND number = old.number LIMIT 1
        ) AS p
    ));
    UPDATE {schema}.index_terms t SET documents = t.documents - old.documents
    FROM (
        SELECT found.ctid, counted.documents
        FROM (
            SELECT term, count(*) AS documents FROM unnest(old_terms) AS o (term) GROUP BY term
        ) AS counted
        CROSS JOIN LATERAL (
            SELECT ctid FROM {schema}.index_terms
            WHERE index_id = p_index AND term = counted.term LIMIT 1
        ) AS found
    ) AS old
    WHERE t.ctid = old.ctid;
    DELETE FROM {schema}.index_terms
    WHERE ctid = ANY (ARRAY (
        SELECT found.ctid
        FROM (SELECT DISTINCT term FROM unnest(old_terms) AS o (term)) AS wanted
        CROSS JOIN LATERAL (
            SELECT ctid FROM {schema}.index_terms
            WHERE index_id = p_index AND term = wanted.term AND documents <= 0 LIMIT 1
        ) AS found
    ));
    RETURN removed;
END
$body$;

-- See IndexBackend.write. numbers, keys, revisions, vectors, codes (hexadecimal or null): of each
-- document;
-- owners, terms, weights: of each posting.
CREATE FUNCTION {schema}.write_index(
    p_fleet integer, p_name text, p_expected text, p_position text,
    numbers bigint[], keys text[], revisions bigint[], vectors text[], codes text[],
    owners bigint[], p_terms bigint[], p_weights integer[], gone bigint[]
) RETURNS boolean
LANGUAGE plpgsql AS $body$
DECLARE
    found_id integer;
    removed bigint;
    now_us bigint := extract(epoch FROM clock_timestamp()) * 1000000;
    last_place bigint;
BEGIN
    IF p_expected = '' THEN
        INSERT INTO {schema}.indexes (fleet, name) VALUES (p_fleet, p_name) ON CONFLICT DO NOTHING;
    END IF;
    SELECT i.id, greatest(i.place, now_us) INTO found_id, last_place FROM {schema}.indexes i
    WHERE i.fleet = p_fleet AND i.name = p_name AND i.position = p_expected FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    removed := {schema}.remove_documents(found_id, gone || numbers);
    INSERT INTO {schema}.index_documents
    SELECT found_id, d.number, d.key, d.revision, coalesce(p.terms, '{}'), coalesce(p.weights, '{}'),
        coalesce(decode(d.vector, 'hex'), ''), last_place + d.nth
    FROM unnest(numbers, keys, revisions, vectors) WITH ORDINALITY
        AS d (number, key, revision, vector, nth)
    LEFT JOIN (
        SELECT owner, array_agg(term) AS terms, array_agg(weight) AS weights
        FROM unnest(owners, p_terms, p_weights) AS u (owner, term, weight) GROUP BY owner
    ) AS p ON p.owner = d.number;
    INSERT INTO {schema}.index_codes
    SELECT found_id, last_place + c.nth, c.number, decode(c.code, 'hex')
    FROM unnest(numbers, codes) WITH ORDINALITY AS c (number, code, nth) WHERE c.code IS NOT NULL;
    INSERT INTO {schema}.index_postings
    SELECT found_id, term, -weight, owner
    FROM unnest(owners, p_terms, p_weights) AS u (owner, term, weight) ORDER BY 2, 3, 4;
    INSERT INTO {schema}.index_terms AS t
    SELECT found_id, term, count(*) FROM unnest(p_terms) AS u (term) GROUP BY term ORDER BY term
    ON CONFLICT (index_id, term) DO UPDATE SET documents = t.documents + excluded.documents;
    UPDATE {schema}.indexes i
    SET documents = i.documents - removed + cardinality(numbers), position = p_position,
        place = CASE WHEN cardinality(numbers) > 0 THEN last_place + cardinality(numbers) ELSE i.place END
    WHERE i.id = found_id;
    RETURN true;
END
$body$;
