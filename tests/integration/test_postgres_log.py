"""The log of changes on PostgreSQL: what it saves, how far it reaches, what is read before it."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.integration.behind_postgres import Behind

from lionagi_qe import PostgresMemory, errors
from lionagi_qe.persistence.postgres.statements import Statements
from lionagi_qe.testing.conformance.base import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lionagi_qe.persistence.watch import Change, Watch

pytestmark = [pytest.mark.integration, pytest.mark.postgres]

END = "aqe/~end"


class Store(Behind):
    """A look at the log."""

    async def logged(self) -> int:
        return await self.ask("SELECT count(*) FROM lionagi_qe.changes WHERE fleet = FLEET")


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    async with Store.open(postgres_url) as store:
        yield store


async def read(watch: Watch, *, count: int | None = None) -> list[Change]:
    """Return the next ``count`` changes, or those before END's."""
    changes: list[Change] = []
    async with asyncio.timeout(30):
        while count is None or len(changes) < count:
            change = await anext(watch)
            if change.key == END:
                break
            changes.append(change)
    return changes


def by_key(changes: list[Change]) -> dict[str, Any]:
    """Return each key's value; fails on a key that came twice."""
    states = {change.key: change.value for change in changes}
    assert len(states) == len(changes), "a key came twice"
    return states


def goes_through_entries(cursor: str | None) -> bool:
    return (cursor or "").count(";") == 7


async def test_a_new_value_stays_on_its_page_and_no_index_learns_of_it(postgres_url: str) -> None:
    schema = f"hot_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres_url)
    async with PostgresMemory(postgres_url, schema=schema, cleanup_interval=None) as memory:
        # So few that all their versions fit on one page: nothing depends on old ones being freed.
        for value in range(3):
            await memory.store_many({f"aqe/{at}": value for at in range(10)})
        await memory.store("aqe/0", 3)
        await memory.increment("aqe/0")
        await memory.update("aqe/1", lambda old: old + 1)

    # The server counts by and by, and at the latest when a connection ends.
    async def is_counted() -> bool:
        counted = await connection.fetchrow(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables "
            "WHERE schemaname = $1 AND relname = 'entries'",
            schema,
        )
        return tuple(counted) == (23, 23)

    await until(is_counted)
    await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    await connection.close()


async def test_a_statement_writes_one_row_of_the_log_and_none_if_it_changes_nothing(
    store: Store,
) -> None:
    memory = store.memory
    await memory.store_many({f"aqe/{at}": at for at in range(100)})
    await memory.delete_many(["aqe/1", "aqe/2", "aqe/none"])
    await memory.clear_partition("default")
    assert await store.logged() == 3
    await memory.store("aqe/a", 1)
    await memory.store("aqe/b", 1, if_revision=0)
    assert await store.logged() == 5
    await asyncio.gather(
        *(memory.store("aqe/b", 1, if_revision=0) for _ in range(5)), return_exceptions=True
    )
    await memory.delete("aqe/none")
    await memory.touch("aqe/a", 1000)
    await memory.clear_partition("none")
    await memory.cleanup_expired()
    assert await store.logged() == 5


@pytest.mark.parametrize("page", [1, 7, 500])
async def test_a_watcher_from_before_the_log_gets_each_change_once_while_others_write(
    store: Store, page: int
) -> None:
    memory = store.memory
    await memory.store_many({f"aqe/{at:02}": 0 for at in range(40)})
    watch = await memory.watch(page_size=page, poll=0.01).open()
    since = watch.cursor
    await memory.store_many({f"aqe/{at:02}": 1 for at in range(20)})
    await memory.delete_many(["aqe/03", "aqe/30"])
    await store.prune()

    old = dict.fromkeys((f"aqe/{at:02}" for at in range(20)), 1) | {"aqe/03": None, "aqe/30": None}

    late = memory.watch(since=since, page_size=page, poll=0.01)
    (first,) = await read(late, count=1)
    assert goes_through_entries(late.cursor)
    # Behind it and before it in the order of keys, some told already and some to come.
    new = dict.fromkeys([first.key, "aqe/19", "aqe/39", "aqe/!new", "aqe/zoo"], 2)
    for key, value in new.items():
        await memory.store(key, value)
    await memory.store(END, 0)
    changes = [first, *await read(late)]
    assert not goes_through_entries(late.cursor)
    assert by_key([change for change in changes if change.value == 2]) == new
    told = by_key([change for change in changes if change.value != 2])
    # What was stored anew before its turn came is told but once.
    assert old == told | {key: old[key] for key in old.keys() & new.keys()}


@pytest.mark.parametrize("page", [1, 3, 500])
async def test_a_cursor_within_a_round_of_the_log_goes_on_where_it_was_once_that_is_gone(
    store: Store, page: int
) -> None:
    memory = store.memory
    async with memory.watch(page_size=4, poll=0.01) as watch:
        for part in range(5):
            await memory.store_many({f"aqe/{(part * 7 + at) % 31:02};%": part for at in range(10)})
        changes = await read(watch, count=6)
        assert not goes_through_entries(changes[-1].cursor)
    await store.prune()
    late = memory.watch(since=changes[-1].cursor, page_size=page, poll=0.01)
    await memory.store(END, 0)
    changes += await read(late)
    assert by_key(changes) == {e.key: e.value async for e in memory.scan() if e.key != END}


async def test_from_the_start_a_watcher_ends_with_what_is_stored_while_others_write(
    store: Store,
) -> None:
    memory = store.memory
    await memory.store_many({f"aqe/{at:04}": at for at in range(600)})
    dice = random.Random(5)

    async def write() -> None:
        for at in range(300):
            key = f"aqe/{dice.randrange(700):04}"
            if dice.random() < 0.2:
                await memory.delete(key)
            elif dice.random() < 0.3:
                await memory.increment(key, 1)
            else:
                await memory.store_many({key: -at, f"aqe/new/{at}": at})

    async with memory.watch(since="start", page_size=20, poll=0.001) as watch:
        writing = asyncio.create_task(write())
        following = asyncio.create_task(read(watch))
        await writing
        await memory.store(END, 0)
        # What changed while the first round lasted comes after it, the end too.
        changes = await following
    revisions = [(change.key, change.revision) for change in changes]
    assert len(set(revisions)) == len(revisions), "a change came twice"
    states = {change.key: change for change in changes}
    seen = {key: c.revision for key, c in states.items() if c.kind == "stored"}
    assert seen == {e.key: e.revision async for e in memory.scan() if e.key != END}


async def test_the_log_keeps_five_minutes_and_all_else_goes(store: Store) -> None:
    memory = store.memory
    for at in range(5):
        await memory.store(f"aqe/{at}", 1)
    # More than a step takes, as one transaction leaves them at most.
    await store.ask(
        "INSERT INTO lionagi_qe.changes (fleet, keys) "
        "SELECT FLEET, 'aqe/0' FROM generate_series(1, 25000)"
    )
    await store.age()
    await memory.store("aqe/young", 1)
    await memory.store("aqe/younger", 1)

    async def is_short() -> bool:
        await memory.cleanup_expired()
        return await store.logged() == 2

    await until(is_short)
    assert await store.ask(
        "SELECT pruned < (SELECT changed FROM lionagi_qe.changes WHERE fleet = FLEET "
        "ORDER BY changed LIMIT 1) FROM lionagi_qe.fleets WHERE id = FLEET"
    )


async def test_a_transaction_that_stays_open_neither_stops_watchers_nor_ends_their_log(
    store: Store, postgres_url: str
) -> None:
    memory = store.memory
    await memory.store("aqe/before", 0)
    idle = await asyncpg.connect(postgres_url)
    async with idle.transaction(), asyncio.timeout(30):
        number = await store.ask("SELECT FLEET")
        put = Statements("lionagi_qe")["put"]
        await idle.fetchval(put, number, "aqe/slow", "1", "default", None)
        watch = await memory.watch(page_size=2, poll=0.01).open()
        begin = watch.cursor
        for round_ in range(3):
            await memory.store_many({f"aqe/{at}": round_ for at in range(5)})
            assert len(by_key(await read(watch, count=5))) == 5
            await store.age()
            await memory.cleanup_expired()
            # Of the statements since it began all are there; others' transactions may keep more.
            assert await store.logged() > round_
        late = memory.watch(since=begin, page_size=2, poll=0.01)
        assert by_key(await read(late, count=5)) == {f"aqe/{at}": 2 for at in range(5)}
        assert not goes_through_entries(late.cursor)
    await idle.close()
    for each in (watch, late):
        assert by_key(await read(each, count=1)) == {"aqe/slow": 1}
        assert not goes_through_entries(each.cursor)


@pytest.mark.parametrize("pruned", [False, True])
async def test_the_log_of_another_servers_dump_gives_way_to_this_ones(
    store: Store, *, pruned: bool
) -> None:
    memory = store.memory
    await memory.store_many({f"aqe/{at}": at for at in range(5)})
    await store.ask("UPDATE lionagi_qe.entries SET changed = '900000000000' WHERE fleet = FLEET")
    await store.ask("UPDATE lionagi_qe.changes SET changed = '900000000000' WHERE fleet = FLEET")
    if pruned:
        await store.ask("UPDATE lionagi_qe.fleets SET pruned = '900000000005' WHERE id = FLEET")
    async with memory.watch(since="start", page_size=2, poll=0.01) as watch:
        assert by_key(await read(watch, count=5)) == {f"aqe/{at}": at for at in range(5)}
        await memory.store("aqe/5", 5)
        assert by_key(await read(watch, count=1)) == {"aqe/5": 5}
        assert not goes_through_entries(watch.cursor)
    async with memory.watch(poll=0.01) as watch:
        await memory.store("aqe/4", 6)
        assert by_key(await read(watch, count=1)) == {"aqe/4": 6}
        assert not goes_through_entries(watch.cursor)
    assert await store.logged() == 2
    await store.prune()


@pytest.mark.parametrize(
    "place", ["9:9:;7", "9:9:;-1;k", "9:9:;x;k", "9:9;7;k", "9:9:;0;;k;k", "9:9:;0;;k;k;k"]
)
async def test_a_place_in_the_log_that_is_none_is_refused(store: Store, place: str) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="since"):
        await store.memory.watch(since=f"p2;9:9:;0;0;{place}").open()


@pytest.mark.parametrize("page", [1, 500])
async def test_a_key_that_one_transaction_changed_twice_is_told_once(
    store: Store, postgres_url: str, page: int
) -> None:
    put = Statements("lionagi_qe")["put"]
    number = await store.ask("SELECT FLEET")
    connection = await asyncpg.connect(postgres_url)
    async with store.memory.watch(page_size=page, poll=0.01) as watch:
        async with connection.transaction():
            for value in range(3):
                for key in ("aqe/b", "aqe/a"):
                    await connection.fetchval(put, number, key, str(value), "default", None)
        await store.memory.store(END, 0)
        assert by_key(await read(watch)) == {"aqe/a": 2, "aqe/b": 2}
    await connection.close()


async def test_a_reader_of_small_pages_keeps_up_with_a_key_that_changes_all_the_time(
    store: Store,
) -> None:
    log = store.memory._scheduler.log
    position = await log.start(oldest=False)
    for value in range(100):
        await store.memory.store("aqe/busy", value)
    await store.memory.store("aqe/calm", 1)
    told: list[str] = []
    for _ in range(2):
        page = await log.read(position, "", 1, values=False)
        told += [record.key for record in page.records]
        position = page.position
    assert told == ["aqe/busy", "aqe/calm"]
