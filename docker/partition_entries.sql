-- Makes the table of the entries a partitioned one, by the hash of the keys: for a fleet that one table
-- is too large for (docs/capacity.md says when). For the schema's owner, while no process has the
-- memory open; everything in one transaction, which locks the entries and copies them:
--
--     psql --single-transaction -v ON_ERROR_STOP=1 -v schema=lionagi_qe -v parts=16 \
--         -f partition_entries.sql "$URL"
--
-- A unique key of a partitioned table has to hold what it is partitioned by, and (fleet, key) is the
-- entries' one. Calls on keys go to one part; searches, lists, sweeps and whoever watches look into each
-- part. Migrations of later releases that change the entries change all parts.

SET LOCAL search_path = :"schema", pg_catalog;
SET LOCAL aqe.parts = :parts;

DO $body$
DECLARE
    -- Functions that hand out entries are bound to the table: they go with it, and are made anew.
    bound record;
    definitions text[] := '{}';
    grants text[] := '{}';
BEGIN
    LOCK TABLE entries IN ACCESS EXCLUSIVE MODE;
    IF (SELECT relkind FROM pg_class WHERE oid = 'entries'::regclass) = 'p' THEN
        RAISE EXCEPTION 'the entries are partitioned already';
    END IF;
    IF EXISTS (SELECT FROM pg_policy WHERE polrelid = 'entries'::regclass)
        OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'entries'::regclass AND NOT tgisinternal)
    THEN
        RAISE EXCEPTION 'the entries have policies or triggers; drop them, and make them anew afterwards';
    END IF;
    SELECT coalesce(array_agg(format('GRANT %s ON entries TO %s', privilege_type,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)), '{}')
    INTO grants
    FROM pg_class, aclexplode(relacl)
    WHERE oid = 'entries'::regclass AND grantee <> relowner;

    FOR bound IN
        SELECT oid, proacl, proowner, oid::regprocedure::text AS name FROM pg_proc
        WHERE prorettype = 'entries'::regtype ORDER BY oid
    LOOP
        definitions := definitions || pg_get_functiondef(bound.oid);
        IF bound.proacl IS NOT NULL THEN
            definitions := definitions || format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', bound.name);
            SELECT grants || coalesce(array_agg(format('GRANT EXECUTE ON FUNCTION %s TO %s', bound.name,
                CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)), '{}')
            INTO grants FROM aclexplode(bound.proacl);
        END IF;
        EXECUTE format('DROP FUNCTION %s', bound.name);
    END LOOP;

    ALTER TABLE entries RENAME TO entries_whole;
    ALTER INDEX entries_pkey RENAME TO entries_whole_pkey;
    DROP INDEX entries_by_partition, entries_by_expiry;
    CREATE TABLE entries (LIKE entries_whole INCLUDING DEFAULTS INCLUDING COMMENTS) PARTITION BY HASH (key);
    FOR part IN 0 .. current_setting('aqe.parts')::int - 1 LOOP
        EXECUTE format(
            'CREATE TABLE entries_%s PARTITION OF entries FOR VALUES WITH (MODULUS %s, REMAINDER %s) '
            'WITH (fillfactor = 70)', part, current_setting('aqe.parts'), part);
    END LOOP;
    INSERT INTO entries SELECT * FROM entries_whole;
    DROP TABLE entries_whole;
    ALTER TABLE entries ADD CONSTRAINT entries_pkey PRIMARY KEY (fleet, key);
    ALTER TABLE entries ADD CONSTRAINT entries_fleet_fkey FOREIGN KEY (fleet) REFERENCES fleets (id);
    CREATE INDEX entries_by_partition ON entries ((fleet + 0), partition, key) WHERE gone IS NULL;
    CREATE INDEX entries_by_expiry ON entries ((fleet + 0), expires_at) WHERE expires_at IS NOT NULL;
    FOR at IN 1 .. cardinality(definitions) LOOP
        EXECUTE definitions[at];
    END LOOP;
    FOR at IN 1 .. cardinality(grants) LOOP
        EXECUTE grants[at];
    END LOOP;
END
$body$;

ANALYZE entries;
