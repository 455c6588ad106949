"""What the fault proxy does to real connections."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from lionagi_qe.testing.faults import FaultProxy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

PATIENCE = 60.0


class Echo:
    """A server that answers every line with the same line, and remembers what it got."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.open = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while line := await reader.readline():
                self.received.append(line)
                writer.write(line)
                await writer.drain()
        except ConnectionError:
            self.received.append(b"(reset)")
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    async with server:
        yield echo


@asynccontextmanager
async def connected(
    port: int,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
    writer.write(line)
    return await asyncio.wait_for(reader.readline(), PATIENCE)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is watched tells nobody
            await asyncio.sleep(0.005)


async def test_passes_bytes_both_ways_and_the_end_of_one_side(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1", echo.port) as proxy, connected(proxy.port) as (read, write):
        big = b"x" * 60_000 + b"\n"
        assert await ask(read, write, b"one\n") == b"one\n"
        assert await ask(read, write, big) == big
        write.write_eof()
        assert await asyncio.wait_for(read.read(), PATIENCE) == b""
        await until(lambda: proxy.connections == 0)


async def test_latency_delays_a_live_connection_and_keeps_the_order(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1", echo.port) as proxy, connected(proxy.port) as (read, write):
        await ask(read, write, b"warm\n")
        proxy.latency(0.05)
        started = time.monotonic()
        assert await ask(read, write, b"slow\n") == b"slow\n"
        assert time.monotonic() - started >= 0.1  # there and back; never sooner
        for number in range(20):
            write.write(b"%d\n" % number)
            await asyncio.sleep(0)
        proxy.pass_through()
        write.write(b"last\n")
        lines = [await asyncio.wait_for(read.readline(), PATIENCE) for _ in range(21)]
        assert lines == [b"%d\n" % number for number in range(20)] + [b"last\n"]


async def test_a_black_hole_accepts_and_delivers_nothing(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1", echo.port) as proxy:
        proxy.blackhole()
        async with connected(proxy.port) as (read, write):
            write.write(b"lost\n")
            await write.drain()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(read.readline(), 0.1)
            assert echo.received == []


async def test_a_black_hole_towards_the_client_lets_the_server_act(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1", echo.port) as proxy, connected(proxy.port) as (read, write):
        proxy.blackhole("to_client")
        write.write(b"done, unheard\n")
        await until(lambda: echo.received == [b"done, unheard\n"])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read.readline(), 0.1)


async def test_a_connection_that_lost_bytes_is_reset_when_the_fault_ends(echo: Echo) -> None:
    async with (
        FaultProxy("127.0.0.1", echo.port) as proxy,
        connected(proxy.port) as (read, write),
        connected(proxy.port) as (quiet_read, quiet_write),
    ):
        await ask(read, write, b"before\n")
        await ask(quiet_read, quiet_write, b"quiet\n")
        proxy.blackhole("to_client")
        write.write(b"swallowed\n")
        await until(lambda: b"swallowed\n" in echo.received)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read.readline(), 0.1)
        proxy.pass_through()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(read.readline(), PATIENCE)
        assert await ask(quiet_read, quiet_write, b"still here\n") == b"still here\n"


async def test_reset_ends_live_and_new_connections(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1", echo.port) as proxy:
        async with connected(proxy.port) as (read, write):
            await ask(read, write, b"live\n")
            proxy.reset()
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(read.readline(), PATIENCE)
        with pytest.raises(ConnectionError):  # while connecting, or right after
            async with connected(proxy.port) as (read, write):
                await ask(read, write, b"new\n")
        proxy.pass_through()
        async with connected(proxy.port) as (read, write):
            assert await ask(read, write, b"back\n") == b"back\n"


async def test_a_half_open_connection_hangs_and_new_ones_are_served(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1", echo.port) as proxy, connected(proxy.port) as (read, write):
        assert await ask(read, write, b"one\n") == b"one\n"
        proxy.half_open()
        await until(lambda: echo.open == 0)
        write.write(b"two\n")
        async with connected(proxy.port) as (new_read, new_write):
            assert await ask(new_read, new_write, b"three\n") == b"three\n"
        assert not read.at_eof()
        assert echo.received == [b"one\n", b"three\n"]
        write.transport.abort()
        await until(lambda: proxy.connections == 0)


async def test_dripping_delivers_all_in_order_a_few_bytes_at_a_time(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1", echo.port) as proxy, connected(proxy.port) as (read, write):
        proxy.drip(1_000)
        begin = time.monotonic()
        line = b"x" * 99 + b"\n"
        assert await ask(read, write, line) == line
        # 0.1 s each way.
        assert time.monotonic() - begin > 0.15
        proxy.pass_through()
        assert await ask(read, write, b"y" * 50_000 + b"\n") == b"y" * 50_000 + b"\n"


async def test_refuse_closes_the_port_and_the_next_mode_opens_the_same_one(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1", echo.port) as proxy:
        port = proxy.port
        async with connected(port) as (read, write):
            await ask(read, write, b"live\n")
            proxy.refuse()
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(read.readline(), PATIENCE)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        proxy.pass_through()
        assert proxy.port == port
        async with connected(port) as (read, write):
            assert await ask(read, write, b"back\n") == b"back\n"


async def test_cut_after_lets_exactly_that_many_bytes_through(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1", echo.port) as proxy:
        async with connected(proxy.port) as (read, write):
            proxy.cut_after(7)
            write.write(b"123\n")
            write.write(b"567890\n")
            assert await asyncio.wait_for(read.read(), PATIENCE) == b"123\n567"
        async with connected(proxy.port) as (read, write):
            write.write(b"none left\n")
            assert await asyncio.wait_for(read.read(), PATIENCE) == b""


async def test_cut_towards_the_server_cuts_the_request(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1", echo.port) as proxy, connected(proxy.port) as (_, write):
        proxy.cut_after(3, "to_server")
        write.write(b"abcdef\n")
        await until(lambda: echo.received == [b"abc"])


async def test_a_dead_server_shows_as_a_lost_connection(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1", echo.port) as to_find_a_dead_port:
        dead = to_find_a_dead_port.port
    async with FaultProxy("127.0.0.1", dead) as proxy, connected(proxy.port) as (read, write):
        with pytest.raises(ConnectionError):
            await ask(read, write, b"anyone?\n")


async def test_an_address_that_moves_resets_connections_and_leads_to_the_other(
    echo: Echo,
) -> None:
    other = Echo()
    server = await asyncio.start_server(other.serve, "127.0.0.1", 0)
    async with server, FaultProxy("127.0.0.1", echo.port) as proxy:
        async with connected(proxy.port) as (read, write):
            assert await ask(read, write, b"one\n") == b"one\n"
            proxy.forward_to(server.sockets[0].getsockname()[1])
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(read.read(), PATIENCE)
        async with connected(proxy.port) as (read, write):
            assert await ask(read, write, b"two\n") == b"two\n"
        assert (echo.received[0], other.received) == (b"one\n", [b"two\n"])
        await until(lambda: proxy.connections == 0)


async def test_leaving_closes_every_connection_and_the_port(echo: Echo) -> None:
    async with FaultProxy("127.0.0.1", echo.port) as proxy:
        held = [await asyncio.open_connection("127.0.0.1", proxy.port) for _ in range(20)]
        await until(lambda: echo.open == 20)
        proxy.blackhole()
    assert proxy.connections == 0
    await until(lambda: echo.open == 0)
    proxy.pass_through()  # too late to open anything
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    for _, writer in held:
        writer.transport.abort()


async def test_the_url_leads_through_the_proxy_and_keeps_the_rest() -> None:
    async with FaultProxy.for_url("postgresql://me:p%40ss@127.0.0.1/db?schema=x") as proxy:
        assert proxy.url == f"postgresql://me:p%40ss@127.0.0.1:{proxy.port}/db?schema=x"


def test_a_url_without_a_port_is_refused() -> None:
    with pytest.raises(ValueError, match="names no port"):
        FaultProxy.for_url("http+other://host/x")


def test_a_proxy_that_is_not_entered_has_no_url() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        _ = FaultProxy.for_url("redis://127.0.0.1/0").url
