-- failures: the newest failed attempts, a JSON array of [attempt, when in ms, text]; see
-- contract.failed_attempts.
ALTER TABLE {schema}.jobs ADD COLUMN failures text COLLATE "C";

-- Who ends an attempt as failed sends "error newline text": the error is the outcome, the text is for the
-- history; if it is empty, the error is. JSON and what is sealed hold no newline. Where a claim has ended,
-- the reason is both. A job that gets a new payload has no history.
CREATE FUNCTION {schema}.note_failed_attempt() RETURNS trigger
LANGUAGE plpgsql AS $body$
DECLARE
    told text;
    noted jsonb;
BEGIN
    IF new.outcome IS NULL THEN
        new.failures := NULL;
        RETURN new;
    END IF;
    told := coalesce(nullif(split_part(new.outcome, E'\n', 2), ''), split_part(new.outcome, E'\n', 1));
    new.outcome := split_part(new.outcome, E'\n', 1);
    noted := coalesce(old.failures, '[]')::jsonb;
    IF jsonb_array_length(noted) >= 10 THEN
        noted := noted - 0;
    END IF;
    new.failures := noted || jsonb_build_array(
        jsonb_build_array(old.attempts, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, told)
    );
    RETURN new;
END
$body$;

CREATE TRIGGER note_failed_attempt BEFORE UPDATE OF outcome ON {schema}.jobs FOR EACH ROW
WHEN (
    old.state = 2 AND new.state IN (0, 1, 4, 5)
        AND (strpos(new.outcome, E'\n') > 0 OR new.claim <> old.claim)
    OR new.outcome IS NULL AND old.failures IS NOT NULL
)
EXECUTE FUNCTION {schema}.note_failed_attempt();
