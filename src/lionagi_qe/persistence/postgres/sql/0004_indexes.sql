-- What recall searches in, made from the entries. position: how far it has come with them. Whoever
-- changes an index locks its row first. No foreign key to fleets: it would lock the fleet's row.
CREATE TABLE {schema}.indexes (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fleet integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    documents bigint NOT NULL DEFAULT 0,
    position text COLLATE "C" NOT NULL DEFAULT '',
    UNIQUE (fleet, name)
);

-- terms, weights: what the document has and what each weighs in it. vector: 32-bit floats,
-- little-endian.
CREATE TABLE {schema}.index_documents (
    index_id integer NOT NULL,
    number bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    terms bigint[] NOT NULL,
    weights integer[] NOT NULL,
    vector bytea NOT NULL,
    PRIMARY KEY (index_id, number)
);

-- lightness: the weight, negative, so that the heaviest documents of a term come first.
CREATE TABLE {schema}.index_postings (
    index_id integer NOT NULL,
    term bigint NOT NULL,
    lightness integer NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (index_id, term, lightness, number)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE {schema}.index_terms (
    index_id integer NOT NULL,
    term bigint NOT NULL,
    documents bigint NOT NULL,
    PRIMARY KEY (index_id, term)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Takes documents out of an index whose row is locked, with their postings; returns how many there
-- were. Each look-up is one of a key, however little the planner knows of tables that are new.
CREATE FUNCTION {schema}.remove_documents(p_index integer, p_numbers bigint[]) RETURNS bigint
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
        RETURNING number, terms, weights
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
        FROM (SELECT term, count(*) AS documents FROM unnest(old_terms) AS o (term) GROUP BY term)
            AS counted
        CROSS JOIN LATERAL (
            SELECT ctid FROM {schema}.index_terms
            WHERE index_id = p_index AND term = counted.term LIMIT 1
        ) AS found
    ) AS old
    WHERE t.ctid = old.ctid;
    DELETE FROM {schema}.index_terms
    WHERE ctid = ANY (ARRAY (
        SELECT found.ctid FROM (SELECT DISTINCT term FROM unnest(old_terms) AS o (term)) AS wanted
        CROSS JOIN LATERAL (
            SELECT ctid FROM {schema}.index_terms
            WHERE index_id = p_index AND term = wanted.term AND documents <= 0 LIMIT 1
        ) AS found
    ));
    RETURN removed;
END
$body$;

-- See IndexBackend.write. numbers, keys, revisions, vectors (hexadecimal or null): of each document;
-- owners, terms, weights: of each posting.
CREATE FUNCTION {schema}.write_index(
    p_fleet integer, p_name text, p_expected text, p_position text,
    numbers bigint[], keys text[], revisions bigint[], vectors text[],
    owners bigint[], p_terms bigint[], p_weights integer[], gone bigint[]
) RETURNS boolean
LANGUAGE plpgsql AS $body$
DECLARE
    found_id integer;
    removed bigint;
BEGIN
    IF p_expected = '' THEN
        INSERT INTO {schema}.indexes (fleet, name) VALUES (p_fleet, p_name) ON CONFLICT DO NOTHING;
    END IF;
    SELECT i.id INTO found_id FROM {schema}.indexes i
    WHERE i.fleet = p_fleet AND i.name = p_name AND i.position = p_expected FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    removed := {schema}.remove_documents(found_id, gone || numbers);
    INSERT INTO {schema}.index_documents
    SELECT found_id, d.number, d.key, d.revision, coalesce(p.terms, '{}'), coalesce(p.weights, '{}'),
        coalesce(decode(d.vector, 'hex'), '')
    FROM unnest(numbers, keys, revisions, vectors) AS d (number, key, revision, vector)
    LEFT JOIN (
        SELECT owner, array_agg(term) AS terms, array_agg(weight) AS weights
        FROM unnest(owners, p_terms, p_weights) AS u (owner, term, weight) GROUP BY owner
    ) AS p ON p.owner = d.number;
    INSERT INTO {schema}.index_postings
    SELECT found_id, term, -weight, owner
    FROM unnest(owners, p_terms, p_weights) AS u (owner, term, weight) ORDER BY 2, 3, 4;
    INSERT INTO {schema}.index_terms AS t
    SELECT found_id, term, count(*) FROM unnest(p_terms) AS u (term) GROUP BY term ORDER BY term
    ON CONFLICT (index_id, term) DO UPDATE SET documents = t.documents + excluded.documents;
    UPDATE {schema}.indexes i
    SET documents = i.documents - removed + cardinality(numbers), position = p_position
    WHERE i.id = found_id;
    RETURN true;
END
$body$;

-- See IndexBackend.drop.
CREATE FUNCTION {schema}.drop_index_data(p_fleet integer, p_name text, p_limit integer)
RETURNS boolean
LANGUAGE plpgsql AS $body$
DECLARE
    found_id integer;
    found_numbers bigint[];
BEGIN
    SELECT i.id INTO found_id FROM {schema}.indexes i
    WHERE i.fleet = p_fleet AND i.name = p_name FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    found_numbers := ARRAY (
        SELECT number FROM {schema}.index_documents WHERE index_id = found_id
        ORDER BY number LIMIT p_limit
    );
    UPDATE {schema}.indexes i
    SET position = '', documents = i.documents - {schema}.remove_documents(found_id, found_numbers)
    WHERE i.id = found_id;
    IF cardinality(found_numbers) = p_limit THEN
        RETURN true;
    END IF;
    DELETE FROM {schema}.indexes i WHERE i.id = found_id;
    RETURN false;
END
$body$;
