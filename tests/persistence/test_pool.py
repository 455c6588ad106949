"""The pool of connections, over connections that are only numbered."""

from __future__ import annotations

import asyncio

import pytest
from tests.persistence.calling import settle

from lionagi_qe.errors import MemoryClosedError
from lionagi_qe.persistence.server_support.pool import Pool


class Server:
    """Numbers its connections; knows which are closed, and refuses some."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed: set[int] = set()
        self.refuses = False

    async def connect(self) -> int:
        await asyncio.sleep(0)
        if self.refuses:
            raise ConnectionRefusedError
        self.opened += 1
        return self.opened

    async def drop(self, connection: int) -> None:
        self.closed.add(connection)

    def pool(self, size: int) -> Pool[int]:
        return Pool(self.connect, is_closed=self.closed.__contains__, drop=self.drop, size=size)


async def test_few_connections_are_made_while_few_are_used_at_once() -> None:
    server = Server()
    pool = server.pool(3)
    for _ in range(5):
        first, second = await pool.acquire(), await pool.acquire()
        assert {first, second} == {1, 2}
        pool.release(first)
        pool.release(second)
    assert server.opened == 2


async def test_who_finds_none_waits_and_is_handed_the_next_in_order() -> None:
    pool = Server().pool(1)
    held = await pool.acquire()
    first, second = (asyncio.create_task(pool.acquire()) for _ in range(2))
    await settle()
    pool.release(held)
    assert await first == held
    await settle()
    assert not second.done()
    pool.release(held)
    assert await second == held


async def test_waiters_that_leave_lose_no_place() -> None:
    pool = Server().pool(1)
    held = await pool.acquire()
    first, second, third = (asyncio.create_task(pool.acquire()) for _ in range(3))
    await settle()
    first.cancel()
    await settle()
    pool.release(held)
    # Its turn has come, but it leaves before it runs.
    second.cancel()
    assert await third == held


async def test_a_connection_that_was_closed_is_replaced() -> None:
    server = Server()
    pool = server.pool(1)
    held = await pool.acquire()
    pool.release(held)
    server.closed.add(held)
    assert await pool.acquire() == held + 1


async def test_who_can_not_connect_leaves_the_place_to_others() -> None:
    server = Server()
    pool = server.pool(1)
    server.refuses = True
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await pool.acquire()
    connecting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    connecting.cancel()
    await settle()
    server.refuses = False
    assert await pool.acquire() == 1


async def test_a_closed_pool_drops_what_is_idle_and_what_comes_back() -> None:
    server = Server()
    pool = server.pool(2)
    held, idle = await pool.acquire(), await pool.acquire()
    pool.release(idle)
    await pool.close()
    assert server.closed == {idle}
    with pytest.raises(MemoryClosedError):
        await pool.acquire()
    dropping = pool.release(held)
    assert dropping is not None
    await dropping
    assert server.closed == {idle, held}


async def test_who_waits_when_the_pool_is_closed_is_told() -> None:
    server = Server()
    pool = server.pool(1)
    held = await pool.acquire()
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await settle()
    pool.release(held)
    await pool.close()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [MemoryClosedError] * 2
    assert server.closed == {held}


async def test_its_figures_tell_connections_and_who_waits() -> None:
    server = Server()
    pool = server.pool(2)
    assert pool.figures() == {"connections": 0, "idle": 0, "limit": 2, "waiting": 0}
    first, second = await pool.acquire(), await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await settle()
    assert pool.figures() == {"connections": 2, "idle": 0, "limit": 2, "waiting": 1}
    waiting.cancel()
    await asyncio.wait([waiting])
    pool.release(first)
    assert pool.figures() == {"connections": 2, "idle": 1, "limit": 2, "waiting": 0}
    pool.release(second)
    await pool.close()
    assert pool.figures()["connections"] == 0
