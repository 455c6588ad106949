"""Copies from PostgreSQL: in the order of revisions, broken off anywhere, nothing left behind."""

from __future__ import annotations

import asyncio
import itertools
import random
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.integration.behind_postgres import Behind

from lionagi_qe import errors, open_memory
from lionagi_qe.persistence.contract.operations import Put
from lionagi_qe.persistence.memory import parts_of
from lionagi_qe.persistence.postgres.statements import Statements
from lionagi_qe.persistence.transfer import Tally, compare, copy, export
from lionagi_qe.testing.conformance.base import until
from lionagi_qe.testing.conformance.transfer import in_order

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from lionagi_qe.persistence import Memory

pytestmark = [pytest.mark.integration, pytest.mark.postgres]

PLACES = "copy IN (SELECT id FROM lionagi_qe.copies WHERE fleet = FLEET)"


class Store(Behind):
    """Entries in no order of their keys, and a look at the copies."""

    def __init__(self, memory: Memory, fleet: str, connection: Any) -> None:
        super().__init__(memory, fleet, connection)
        self.dice = random.Random(3)

    async def ask(self, query: str) -> Any:
        return await super().ask(query.replace("PLACES", PLACES))

    async def fill(self, count: int = 300, value: int = 0) -> None:
        """Store entries, or store them anew, as a batch and each for itself."""
        numbers = list(range(count))
        self.dice.shuffle(numbers)
        half = count // 2
        await self.write([f"aqe/{at:04}" for at in numbers[:half]], value)
        for at in numbers[half:]:
            await self.memory.store(f"aqe/{at:04}", value)

    async def write(self, keys: Iterable[str], value: int) -> None:
        """Store entries in one statement, whose revisions rise as they are named."""
        payload = str(value).encode()
        await parts_of(self.memory).bulk.write([Put(key, payload, "default", None) for key in keys])

    async def kept(self) -> tuple[int, int]:
        """Return how many copies are known, and how many places of them."""
        return (
            await self.ask("SELECT count(*) FROM lionagi_qe.copies WHERE fleet = FLEET"),
            await self.ask("SELECT count(*) FROM lionagi_qe.copy_places WHERE PLACES"),
        )

    async def age_copies(self, days: int) -> None:
        await self.ask(
            "UPDATE lionagi_qe.copies SET used_at = used_at - interval '1 day' * DAYS "
            "WHERE fleet = FLEET".replace("DAYS", str(days))
        )


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    async with Store.open(postgres_url) as store:
        yield store
        await store.ask("DELETE FROM lionagi_qe.copy_places WHERE PLACES")
        await store.ask("DELETE FROM lionagi_qe.copies WHERE fleet = FLEET")


@pytest.fixture
async def target() -> AsyncIterator[Memory]:
    async with open_memory("memory://") as memory:
        yield memory


class BrokenOffError(Exception):
    """What ends a copy between two pages."""


def break_off(pages: int) -> Callable[[Tally], None]:
    """Return a progress that ends the copy at its so many-th page, of which the next is read."""
    seen = itertools.count(1)

    def progress(_: Tally) -> None:
        if next(seen) == pages:
            raise BrokenOffError

    return progress


async def read_all(memory: Memory, position: str, limit: int) -> tuple[list[str], list[str]]:
    """Return the keys that are told from there on, and the positions of the pages."""
    keys: list[str] = []
    positions = [position]
    more = True
    while more:
        page = await parts_of(memory).bulk.read(positions[-1], "", limit)
        keys += [record.key for record in page.records if record.entry is not None]
        positions.append(page.position)
        more = page.more
    return keys, positions


async def is_equal(source: Memory, target: Memory) -> bool:
    found = await compare(source, target)
    assert found.equal, found.first
    return await in_order(source) == await in_order(target)


@pytest.mark.parametrize("pages", [1, 2, 5, 9])
async def test_a_copy_broken_off_time_and_again_while_others_write_equals_its_source_in_order(
    store: Store, target: Memory, tmp_path: Path, pages: int
) -> None:
    # 16 pages arrange it, 60 read it.
    await store.fill(600)
    checkpoint = tmp_path / "checkpoint"
    writing = asyncio.Event()

    async def write() -> None:
        for value in itertools.count(1):
            if writing.is_set():
                return
            numbers = store.dice.sample(range(700), 3)
            await store.write([f"aqe/{at:04}" for at in numbers], value)
            await store.memory.store(f"aqe/{store.dice.randrange(700):04}", value)

    async def go_on(progress: Callable[[Tally], None] | None) -> Tally:
        return await copy(
            store.memory, target, on_conflict="overwrite", checkpoint=checkpoint, page_size=10,
            progress=progress,
        )  # fmt: skip

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        for _ in range(40 // pages + 4):
            with pytest.raises(BrokenOffError):
                await go_on(break_off(pages))
        assert await target.list_keys() or pages == 1
        if pages == 9:
            await store.prune()
        writing.set()
    await go_on(None)
    assert await is_equal(store.memory, target)
    assert await store.kept() == (0, 0)


@pytest.mark.parametrize("phase", ["arranging", "reading"])
async def test_a_copy_cancelled_within_a_call_goes_on_from_where_it_was(
    store: Store, target: Memory, tmp_path: Path, phase: str
) -> None:
    await store.fill()
    checkpoint = tmp_path / "checkpoint"
    reached = asyncio.Event()

    def progress(tally: Tally) -> None:
        if phase == "arranging" or tally.read >= 100:
            reached.set()

    copying = asyncio.create_task(
        copy(store.memory, target, checkpoint=checkpoint, page_size=10, progress=progress)
    )
    await reached.wait()
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert checkpoint.exists()
    await store.write([f"aqe/new/{at * 7 % 50}" for at in range(50)], 1)
    tally = await copy(store.memory, target, checkpoint=checkpoint, page_size=10)
    # A page that was stored though its answer was not waited for is there already.
    assert tally.read == 350
    assert tally.stored in {340, 350}
    assert tally.stored + tally.skipped == 350
    assert await is_equal(store.memory, target)
    assert await store.kept() == (0, 0)


@pytest.mark.parametrize("limit", [7, 40, 1000])
async def test_what_changes_meanwhile_comes_in_the_order_of_revisions_too(
    store: Store, limit: int
) -> None:
    await store.fill(50)
    keys, positions = await read_all(
        store.memory, await parts_of(store.memory).bulk.begin(None), limit
    )
    assert keys == await in_order(store.memory)
    # One statement's keys go to the log in another order than that of their revisions.
    names = [f"aqe/{at * 7 % 40:04}" for at in range(40)] + [
        f"aqe/!{at * 3 % 7}" for at in range(7)
    ]
    await store.write(names, 1)
    await store.memory.delete("aqe/0001")
    keys, _ = await read_all(store.memory, positions[-1], limit)
    assert keys == [name for name in names if name != "aqe/0001"]
    assert keys == (await in_order(store.memory))[-len(keys) :]


async def test_a_round_that_the_log_no_longer_holds_is_arranged_anew(store: Store) -> None:
    await store.fill(100)
    told, positions = await read_all(
        store.memory, await parts_of(store.memory).bulk.begin(None), 10
    )
    reading = next(p for p in positions if f"{told[19]};" in p)
    names = ["aqe/0050", "aqe/!", "aqe/zoo", *told[:30:3], told[-1]]
    names = [*dict.fromkeys(names)]
    await store.write(names, 1)
    await store.prune()
    keys, _ = await read_all(store.memory, reading, 10)
    assert keys == [*(key for key in told[20:] if key not in names), *names]


async def test_positions_stay_good_however_often_pages_are_read_from_them(store: Store) -> None:
    await store.fill(100)
    position, more = await parts_of(store.memory).bulk.begin(None), True
    positions, counts, keys = [position], [0], list[str]()
    while more:
        page = await parts_of(store.memory).bulk.read(position, "", 10)
        keys += [record.key for record in page.records]
        position, more = page.position, page.more
        positions.append(position)
        counts.append(len(keys))
    assert keys == await in_order(store.memory)
    for place, told in zip(positions, counts, strict=True):
        rest, _ = await read_all(store.memory, place, 10)
        assert rest == keys[told:]


async def test_what_is_gone_by_the_time_it_would_be_read_is_left_out(store: Store) -> None:
    await store.fill(100)
    position, more = await parts_of(store.memory).bulk.begin(None), True
    while (await store.kept())[1] < 50 and more:
        page = await parts_of(store.memory).bulk.read(position, "", 10)
        position, more = page.position, page.more
    await store.memory.delete_many([f"aqe/{at:04}" for at in range(50)])
    keys, _ = await read_all(store.memory, position, 10)
    assert keys == await in_order(store.memory)


@pytest.mark.parametrize("batch", [10, 1000])
async def test_a_copy_or_export_that_ended_leaves_nothing_behind(
    store: Store, target: Memory, tmp_path: Path, batch: int
) -> None:
    await store.fill(100)
    await copy(store.memory, target, dry_run=True, page_size=batch)
    await copy(store.memory, target, page_size=batch)
    await export(store.memory, tmp_path / "m.jsonl", page_size=batch)
    assert await store.kept() == (0, 0)
    assert not await store.ask(
        "SELECT count(*) FROM lionagi_qe.copy_places p WHERE $1 <> '' AND NOT EXISTS "
        "(SELECT FROM lionagi_qe.copies c WHERE c.id = p.copy)"
    )


async def test_what_was_abandoned_is_forgotten_after_a_week_and_refused_from_then_on(
    store: Store, target: Memory, tmp_path: Path
) -> None:
    await store.fill(100)
    checkpoints = [tmp_path / "arranging", tmp_path / "reading"]
    for checkpoint, pages in zip(checkpoints, (1, 4), strict=True):
        with pytest.raises(BrokenOffError):
            await copy(
                store.memory, target, checkpoint=checkpoint, page_size=6, progress=break_off(pages)
            )
    # More than a step takes.
    await store.ask(
        "INSERT INTO lionagi_qe.copy_places (copy, arranged, revision, key) "
        "SELECT (SELECT min(id) FROM lionagi_qe.copies WHERE fleet = FLEET), 1, at / 2, "
        "'aqe/' || at FROM generate_series(1, 25000) AS at"
    )
    await store.age_copies(6)
    await store.memory.cleanup_expired()
    assert (await store.kept())[0] == 2
    await store.age_copies(2)
    await store.memory.cleanup_expired()
    assert await store.kept() == (0, 0)
    for checkpoint in checkpoints:
        with pytest.raises(errors.WatchTooOldError, match="begin it anew"):
            await copy(store.memory, target, checkpoint=checkpoint, page_size=6)
        checkpoint.unlink()
        await copy(store.memory, target, checkpoint=checkpoint, page_size=6)
    assert (await compare(store.memory, target)).equal
    assert await store.kept() == (0, 0)


@pytest.mark.parametrize("phase", ["arranging", "reading"])
async def test_a_position_that_tells_of_places_which_the_store_lost_is_refused(
    store: Store, phase: str
) -> None:
    await store.fill(100)
    position = await parts_of(store.memory).bulk.begin(None)
    for _ in range(2 if phase == "arranging" else 8):
        position = (await parts_of(store.memory).bulk.read(position, "", 2)).position
    await store.ask("UPDATE lionagi_qe.copies SET steps = steps - 1 WHERE fleet = FLEET")
    with pytest.raises(errors.WatchTooOldError, match="lost its last writes"):
        await parts_of(store.memory).bulk.read(position, "", 2)


@pytest.mark.parametrize(
    "position",
    ["c1;1;0;0;;", "c1;1;0;0;;;p1;9:9:;0;0", "c1;-1;0;0;;;p2;9:9:;0;0", "c1;1;0;0;x;;p2;9:9:;0;0",
     "c1;99999999999;0;0;;;p2;9:9:;0;0"],
)  # fmt: skip
async def test_a_position_that_no_copy_told_is_refused(store: Store, position: str) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="since"):
        await parts_of(store.memory).bulk.begin(position)


class Other:
    """A session beside the memory's."""

    def __init__(self, connection: Any, fleet: int) -> None:
        self.connection = connection
        self.fleet = fleet
        self.sql = Statements("lionagi_qe")

    async def is_waited_for(self, store: Store) -> bool:
        """Return whether another session waits for a lock of this one."""
        return await store.connection.fetchval(
            "SELECT count(*) > 0 FROM pg_locks "
            "WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid))",
            self.connection.get_server_pid(),
        )


@pytest.mark.parametrize("again", [False, True])
async def test_a_keys_revisions_grow_where_a_rival_that_began_later_commits_first(
    store: Store, postgres_url: str, *, again: bool
) -> None:
    other = Other(await asyncpg.connect(postgres_url), await store.ask("SELECT FLEET"))
    connection = other.connection
    put = other.sql["put"]
    keys = ["aqe/b", "aqe/a"]
    await store.write(keys, 0)
    async with connection.transaction():
        rival = await connection.fetchval(put, other.fleet, "aqe/b", "1", "default", None)
        writing = asyncio.create_task(store.memory.store_many(dict.fromkeys(keys, 2)))
        await until(partial(other.is_waited_for, store))
        if again:
            rival = await connection.fetchval(put, other.fleet, "aqe/b", "1", "default", None)
    await connection.close()
    await writing
    entry = await store.memory.entry("aqe/b")
    assert entry is not None
    assert (entry.value, entry.revision > rival) == (2, True)


@pytest.mark.parametrize("wholly", [False, True])
async def test_who_arranges_while_the_copy_is_forgotten_is_refused_and_leaves_nothing(
    store: Store, postgres_url: str, *, wholly: bool
) -> None:
    await store.fill(100)
    first = await parts_of(store.memory).bulk.begin(None)
    position = (await parts_of(store.memory).bulk.read(first, "", 5)).position
    other = Other(await asyncpg.connect(postgres_url), await store.ask("SELECT FLEET"))
    connection = other.connection
    async with connection.transaction():
        number = await store.ask("SELECT max(id) FROM lionagi_qe.copies WHERE fleet = FLEET")
        await connection.fetchval(other.sql["forget_copy"], other.fleet, number, 10)
        reading = asyncio.create_task(parts_of(store.memory).bulk.read(position, "", 5))
        await until(partial(other.is_waited_for, store))
        if wholly:
            await connection.fetchval(other.sql["forget_copy"], other.fleet, number, 1000)
    with pytest.raises(errors.WatchTooOldError, match="begin it anew"):
        await reading
    await parts_of(store.memory).bulk.finish(position)
    assert await store.kept() == (0, 0)
    await connection.close()
