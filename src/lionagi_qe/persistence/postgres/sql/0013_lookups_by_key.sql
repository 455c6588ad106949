-- A look-up by a primary key that also says in which state the row is fits a partial index as well, whose first
-- columns it does not name: to a planner whose figures are from when that index was empty, both cost the same, and
-- the other one is read from end to end. As with "fleet + 0", "state + 0" means that no such index is meant. So the
-- functions as before, each but for these words.
DO $do$
DECLARE
    one text[];
    before text;
    after text;
BEGIN
    FOREACH one SLICE 1 IN ARRAY ARRAY[
        ['apply_jobs', 'j.id = figure AND j.state = 1', 'j.id = figure AND j.state + 0 = 1'],
        ['apply_jobs', 'AND j.state IN (0, 1, 2, 7)', 'AND j.state + 0 IN (0, 1, 2, 7)'],
        [
            'apply_jobs', 'j.claim = numbers[i] AND j.state = 2',
            'j.claim = numbers[i] AND j.state + 0 = 2'
        ],
        [
            'end_batch_jobs', 'j.id = ended_id AND j.state IN (3, 4, 5)',
            'j.id = ended_id AND j.state + 0 IN (3, 4, 5)'
        ],
        ['end_batch_jobs', 'j.id = ended.batch AND j.state = 7', 'j.id = ended.batch AND j.state + 0 = 7'],
        ['end_dependencies', 'j.id = gone.id AND j.state = 3', 'j.id = gone.id AND j.state + 0 = 3'],
        [
            'end_dependencies', 'd.before = link.before AND d.state = 0',
            'd.before = link.before AND d.state + 0 = 0'
        ],
        ['end_dependencies', 'j.id = link.dependant AND j.state = 7', 'j.id = link.dependant AND j.state + 0 = 7'],
        ['end_dependencies', 'j.id = ended AND j.state IN (3, 4, 5)', 'j.id = ended AND j.state + 0 IN (3, 4, 5)'],
        ['fall', 'j.id = dependant AND j.state = 7', 'j.id = dependant AND j.state + 0 = 7'],
        ['hold_job', 'j.id = before_id AND j.state IN (0, 1, 2, 7)', 'j.id = before_id AND j.state + 0 IN (0, 1, 2, 7)'],
        ['keep_job_key', 'k.until_at > moment', 'coalesce(k.until_at > moment, false)'],
        ['may_revive', 'j.id = p_id AND j.state = 4', 'j.id = p_id AND j.state + 0 = 4'],
        ['may_revive', 'j.id = its_batch AND j.state = 4', 'j.id = its_batch AND j.state + 0 = 4'],
        ['page_by_key', 'e.gone IS NULL', 'num_nonnulls(e.gone) = 0'],
        ['payloads_by_key', 'e.gone IS NULL', 'num_nonnulls(e.gone) = 0'],
        ['put_job', 'j.id = its_batch AND j.state = 7', 'j.id = its_batch AND j.state + 0 = 7'],
        ['put_single_job', 'k.until_at > moment', 'coalesce(k.until_at > moment, false)'],
        ['revive_jobs', 'o.queue = p_queue AND o.state = 4', 'o.queue = p_queue AND o.state + 0 = 4'],
        ['revive_jobs', 'j.queue = p_queue AND j.state = 4', 'j.queue = p_queue AND j.state + 0 = 4']
    ] LOOP
        before := pg_get_functiondef(('{schema}.' || one[1])::regproc);
        after := replace(before, one[2], one[3]);
        IF before = after THEN
            RAISE EXCEPTION '%: has no "%"', one[1], one[2];
        END IF;
        EXECUTE after;
    END LOOP;
END
$do$;

-- As the others that are called from without, whose plans are kept from when the tables were small; what they call is
-- planned within them.
ALTER FUNCTION {schema}.apply_jobs SET enable_seqscan = off;
ALTER FUNCTION {schema}.apply_operations SET enable_seqscan = off;
ALTER FUNCTION {schema}.apply_fenced_operations SET enable_seqscan = off;
ALTER FUNCTION {schema}.fire_schedule SET enable_seqscan = off;
ALTER FUNCTION {schema}.write_index SET enable_seqscan = off;
ALTER FUNCTION {schema}.remove_documents SET enable_seqscan = off;
ALTER FUNCTION {schema}.drop_index_data SET enable_seqscan = off;
