"""The SQL that looks at roles, privileges and policies before they are changed; see ``grants``."""

from __future__ import annotations

ROLE_ID = "SELECT oid FROM pg_roles WHERE rolname = $1::text"
_OURS = "c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1::text)"
# Whether we have the rights of whoever owns the relations $2 of schema $1.
MAY_GRANT = f"""
SELECT bool_and(pg_has_role(c.relowner, 'USAGE')) FROM pg_class c
WHERE {_OURS} AND c.relname = ANY ($2)
"""
# Why policies would not hold for role $1 in schema $2, whose tables $3 they are to be on; $4 begins
# the names of our own; relations $5 and functions $6 of the schema are ours. "member": by SET ROLE
# too.
UNBOUND = """
WITH me AS (SELECT oid, rolname FROM pg_roles WHERE rolname = $1::text),
place AS (SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = $2::text),
tables AS (
    SELECT c.* FROM pg_class c JOIN place ON c.relnamespace = place.oid
    WHERE c.relname = ANY ($5)
),
owners AS (
    SELECT relowner AS oid FROM tables UNION SELECT nspowner FROM place
    UNION SELECT proowner FROM pg_proc JOIN place ON pronamespace = place.oid
        AND proname = ANY ($6)
    UNION SELECT datdba FROM pg_database WHERE datname = current_database()
),
bound AS (
    SELECT unnest(p.polroles) AS oid FROM pg_policy p
    WHERE p.polrelid IN (SELECT oid FROM tables) AND starts_with(p.polname, $4)
),
given AS (
    SELECT t.relname, a.grantee FROM tables t, aclexplode(t.relacl) a
    WHERE a.grantee <> t.relowner
    UNION
    SELECT t.relname, a.grantee
    FROM tables t JOIN pg_attribute c ON c.attrelid = t.oid, aclexplode(c.attacl) a
    WHERE a.grantee <> t.relowner
)
SELECT CASE WHEN r.oid = me.oid THEN 'it is ' ELSE 'it is a member of ' || r.rolname || ', '
        END || CASE WHEN r.rolsuper THEN 'a superuser' WHEN r.rolbypassrls THEN 'BYPASSRLS'
        WHEN r.rolcreaterole THEN 'CREATEROLE' WHEN r.rolreplication THEN 'REPLICATION'
        ELSE 'an owner of the database, the schema or its tables' END
FROM pg_roles r, me WHERE pg_has_role(me.oid, r.oid, 'MEMBER') AND (r.rolsuper OR r.rolbypassrls
    OR r.rolcreaterole OR r.rolreplication OR r.oid IN (SELECT oid FROM owners))
    AND (r.oid = me.oid OR NOT EXISTS (SELECT FROM pg_roles s WHERE s.oid = me.oid AND s.rolsuper))
UNION ALL
SELECT 'it is a member of ' || r.rolname FROM pg_roles r, me
WHERE r.rolname IN ('pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files',
        'pg_write_server_files', 'pg_execute_server_program')
    AND NOT EXISTS (SELECT FROM pg_roles s WHERE s.oid = me.oid AND s.rolsuper)
    AND pg_has_role(me.oid, r.oid, 'MEMBER')
UNION ALL
SELECT 'PUBLIC has privileges on ' || string_agg(DISTINCT relname, ', ')
    || ' (REVOKE them)' FROM given WHERE grantee = 0 HAVING count(*) > 0
UNION ALL
SELECT 'it is a member of ' || r.rolname || ', which has privileges on the tables by hand'
FROM pg_roles r, me WHERE r.oid IN (SELECT grantee FROM given) AND r.oid <> me.oid
    AND r.oid NOT IN (SELECT oid FROM bound) AND pg_has_role(me.oid, r.oid, 'MEMBER')
UNION ALL
-- What it makes there could be called in the place of what statements of the owner mean.
SELECT 'it may create in schema ' || n.nspname || ' (REVOKE CREATE ON SCHEMA '
    || quote_ident(n.nspname) || ' FROM PUBLIC, or from it)'
FROM pg_namespace n, me
WHERE (n.nspname = ANY (current_schemas(false)) OR n.nspname = $2::text)
    AND n.nspowner <> me.oid
    AND NOT EXISTS (SELECT FROM pg_roles s WHERE s.oid = me.oid AND s.rolsuper)
    AND has_schema_privilege(me.oid, n.oid, 'CREATE')
UNION ALL
SELECT 'it may create schemas (REVOKE CREATE ON DATABASE)' FROM me
WHERE has_database_privilege(me.oid, current_database(), 'CREATE')
    AND NOT EXISTS (SELECT FROM pg_roles s WHERE s.oid = me.oid AND s.rolsuper)
UNION ALL
SELECT 'policy ' || p.polname || ' on ' || t.relname || ' shows it rows'
FROM pg_policy p JOIN tables t ON t.oid = p.polrelid, me
WHERE t.relname = ANY ($3) AND p.polpermissive AND NOT starts_with(p.polname, $4)
    AND EXISTS (SELECT FROM unnest(p.polroles) AS r (oid)
        WHERE r.oid = 0 OR pg_has_role(me.oid, r.oid, 'MEMBER'))
UNION ALL
SELECT 'new tables are given to '
    || CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
    || ' (ALTER DEFAULT PRIVILEGES ... REVOKE)'
FROM pg_default_acl d, aclexplode(d.defaclacl) a, me
WHERE d.defaclobjtype = 'r' AND d.defaclrole IN (SELECT relowner FROM tables)
    AND d.defaclnamespace IN (SELECT 0::oid UNION SELECT oid FROM place)
    AND a.grantee <> d.defaclrole
    AND CASE WHEN a.grantee = 0 THEN true ELSE pg_has_role(me.oid, a.grantee, 'MEMBER') END
"""
# Tables $2 of schema $1 without row-level security, and who has privileges there beside role $3.
UNPROTECTED = f"""
SELECT c.relname, ARRAY (
    SELECT DISTINCT r.rolname FROM pg_roles r WHERE r.oid <> $3 AND r.oid <> c.relowner
        AND r.oid IN (
            SELECT a.grantee FROM aclexplode(c.relacl) a UNION
            SELECT b.grantee FROM pg_attribute t, aclexplode(t.attacl) b WHERE t.attrelid = c.oid
        )
    ORDER BY 1
)
FROM pg_class c WHERE {_OURS} AND c.relname = ANY ($2) AND NOT c.relrowsecurity
ORDER BY array_position($2::text[], c.relname::text)
"""
HAS_PRIVILEGES = f"""
SELECT EXISTS (
    SELECT FROM pg_class c, aclexplode(c.relacl) a
    WHERE {_OURS} AND a.grantee = $2 AND c.relname = ANY ($3)
)
"""
# Whether others than relations $2 lie in schema $1.
IS_SHARED = f"""
SELECT EXISTS (
    SELECT FROM pg_class c
    WHERE {_OURS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname <> ALL ($2)
)
"""
OWN_POLICIES = f"""
SELECT EXISTS (
    SELECT FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
    WHERE {_OURS} AND $2 = ANY (p.polroles) AND starts_with(p.polname, $3)
)
"""
OWN_POLICY_NAMES = f"""
SELECT p.polname, c.relname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE {_OURS} AND p.polroles = ARRAY[$2]::oid[] AND starts_with(p.polname, $3)
"""
GRANTS = f"""
SELECT r.rolname, d.description
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
    JOIN pg_roles r ON p.polroles = ARRAY[r.oid]
    JOIN pg_description d ON d.objoid = p.oid AND d.classoid = 'pg_policy'::regclass
WHERE {_OURS} AND c.relname = 'fleets' AND starts_with(p.polname, $2)
ORDER BY r.rolname
"""
