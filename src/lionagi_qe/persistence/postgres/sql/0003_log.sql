-- What a watcher reads: each entry's last change, by the transaction that made it. Revisions become
-- visible out of order, transactions don't: a snapshot says which of them had committed.
ALTER TABLE {schema}.entries ADD COLUMN changed xid8 NOT NULL DEFAULT pg_current_xact_id();
DROP INDEX {schema}.entries_by_revision;
CREATE INDEX entries_by_change ON {schema}.entries ((fleet + 0), changed, revision);

-- The newest change that is no longer kept: whoever read nothing since before it may have missed
-- a deletion.
ALTER TABLE {schema}.fleets ADD COLUMN forgotten xid8 NOT NULL DEFAULT '0';

-- A trigger, so that no statement can forget it.
CREATE FUNCTION {schema}.note_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.changed := pg_current_xact_id();
    RETURN NEW;
END
$body$;
CREATE TRIGGER note_change BEFORE UPDATE OF revision ON {schema}.entries
    FOR EACH ROW EXECUTE FUNCTION {schema}.note_change();
