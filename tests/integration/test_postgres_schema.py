"""The one migration of PostgreSQL, and schemas that the eight before it made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from lionagi_qe import errors, open_memory
from lionagi_qe.persistence.server_support.migrations import load_migrations

pytestmark = pytest.mark.postgres

# What the package of before the first release made; docker/schema.sql as it was then.
EIGHT = Path(__file__).with_name("data") / "eight_migrations.sql"
SCHEMA = "lionagi_qe"
# All that makes a schema what it is, by name.
CATALOG = """
SELECT 'column', c.relname, a.attname, a.attnum::text, format_type(a.atttypid, a.atttypmod),
    a.attnotnull::text, coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attidentity::text,
    coalesce(l.collname, '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE c.relnamespace = $1::text::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'relation', c.relname, c.relkind::text, c.relpersistence::text,
    coalesce(c.reloptions::text, ''), coalesce(t.reloptions::text, ''), '', '', ''
FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
WHERE c.relnamespace = $1::text::regnamespace
UNION ALL
SELECT 'index', indexname, indexdef, '', '', '', '', '', ''
FROM pg_indexes WHERE schemaname = $1::text
UNION ALL
SELECT 'constraint', conname, pg_get_constraintdef(oid), '', '', '', '', '', ''
FROM pg_constraint WHERE connamespace = $1::text::regnamespace
UNION ALL
SELECT 'function', proname, pg_get_functiondef(oid), '', '', '', '', '', ''
FROM pg_proc WHERE pronamespace = $1::text::regnamespace
UNION ALL
SELECT 'trigger', tgname, pg_get_triggerdef(t.oid), '', '', '', '', '', ''
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = $1::text::regnamespace AND NOT tgisinternal
ORDER BY 1, 2, 3
"""
STORED = """
INSERT INTO lionagi_qe.fleets (name) VALUES ('default');
SELECT * FROM lionagi_qe.apply_operations(
    1, ARRAY['p', 'a'], ARRAY['aqe/kept', 'aqe/number'], ARRAY['{"by":"before"}', '7'],
    ARRAY['default', 'default'], ARRAY[NULL, NULL]::bigint[], ARRAY[NULL, NULL]::bigint[],
    ARRAY[false, true], false
);
"""


async def catalog(url: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(CATALOG, SCHEMA)
        return [tuple(row) for row in rows]
    finally:
        await connection.close()


async def run(url: str, *scripts: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        for script in scripts:
            await connection.execute(script)
        return [
            tuple(row)
            for row in await connection.fetch(
                "SELECT version, name FROM lionagi_qe.schema_migrations ORDER BY version"
            )
        ]
    finally:
        await connection.close()


@pytest.fixture
def url(postgres_server: Any) -> Any:
    with postgres_server.fresh_database() as fresh:
        yield fresh


@pytest.fixture
def other_url(postgres_server: Any) -> Any:
    with postgres_server.fresh_database() as fresh:
        yield fresh


async def test_a_schema_of_the_eight_migrations_is_that_of_the_one(
    url: str, other_url: str
) -> None:
    assert len(await run(url, EIGHT.read_text())) == 8
    # Brought up to today's alike.
    async with open_memory(url), open_memory(other_url):
        pass
    ours = await catalog(other_url)
    assert len(ours) > 100
    assert await catalog(url) == ours


async def test_a_database_of_before_is_opened_with_all_that_it_holds(url: str) -> None:
    assert len(await run(url, EIGHT.read_text(), STORED)) == 8
    # Who may not change it is told what it lacks, and changes nothing.
    unchanging = open_memory(url, migrate=False)
    with pytest.raises(errors.SchemaMissingError, match="lacks migration 0002"):
        await unchanging.open()
    await unchanging.close()
    assert len(await run(url)) == 8
    # Several processes of a new version at once.
    memories = [open_memory(url) for _ in range(4)]
    await asyncio.gather(*(memory.open() for memory in memories))
    known = load_migrations("lionagi_qe.persistence.postgres")
    assert await run(url) == [(step.version, step.name) for step in known]
    assert await memories[0].retrieve("aqe/kept") == {"by": "before"}
    assert sorted(
        await asyncio.gather(*(memory.increment("aqe/number") for memory in memories))
    ) == [8, 9, 10, 11]
    described = await memories[0].describe()
    assert "0001_schema, " in str(described)
    assert "(checksums match)" in str(described)
    for memory in memories:
        await memory.close()


async def test_a_database_of_before_that_lacks_a_step_is_told_what_to_do(url: str) -> None:
    step = "DELETE FROM lionagi_qe.schema_migrations WHERE version = 8"
    await run(url, EIGHT.read_text(), step)
    memory = open_memory(url)
    with pytest.raises(errors.SchemaError, match="lacks some of its 8 migrations"):
        await memory.open()
    await memory.close()
    assert len(await run(url)) == 7
