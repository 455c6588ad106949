-- To a planner that is told to do without a way of planning, a plan that needs it all the same costs ten thousand
-- million: enough to have its expressions compiled, which took 0.2 seconds of a claim that takes a millisecond. So no
-- function that tells it so has anything compiled, nor what it calls.
DO $do$
DECLARE
    one regprocedure;
BEGIN
    FOR one IN
        SELECT p.oid FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = '{schema}'::regnamespace
            AND EXISTS (SELECT FROM unnest(p.proconfig) AS setting WHERE setting LIKE 'enable\_%')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET jit = off', one);
    END LOOP;
END
$do$;
