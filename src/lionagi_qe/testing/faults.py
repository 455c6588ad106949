"""A TCP proxy that misbehaves on demand, between a client and a server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from lionagi_qe.testing.servers.ports import HOST, free_port

if TYPE_CHECKING:
    from types import TracebackType

Direction = Literal["to_server", "to_client"]
_CHUNK = 65_536
_CHUNKS_HELD = 64
_DRIP_SECONDS = 0.02
_DEFAULT_PORTS = {"postgresql": 5432, "postgres": 5432, "redis": 6379, "rediss": 6379}
_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class _Faults:
    """What is done to bytes and connections."""

    latency: float = 0.0
    rate: float | None = None
    swallowed: frozenset[Direction] = frozenset()
    bytes_left: dict[Direction, int] = field(default_factory=dict["Direction", int])
    resets: bool = False


class _CutError(Exception):
    """No more bytes may pass."""


@dataclass(slots=True)
class _Direction:
    """One direction of a connection."""

    direction: Direction
    source: socket.socket
    target: socket.socket
    held: asyncio.Queue[tuple[float, bytes]] = field(
        default_factory=lambda: asyncio.Queue(_CHUNKS_HELD)
    )
    has_hole: bool = False
    abandoned: bool = False


class FaultProxy:
    """Forwards TCP connections from a port of its own to a server, until told otherwise.

    ``latency``, ``drip``, ``blackhole``, ``reset``, ``refuse`` and ``cut_after`` each replace the
    fault before it, and ``pass_through`` ends it; each acts on live connections too. ``half_open``
    leaves live connections hanging, ``forward_to`` has another server take the first one's place.
    Use it in ``async with``; leaving closes everything.

    Args:
        upstream_host: the server's host, by IPv4.
        upstream_port: the server's port.

    """

    def __init__(self, upstream_host: str, upstream_port: int) -> None:
        self.host = HOST
        self.port = 0
        self._upstream = (upstream_host, upstream_port)
        self._url: str | None = None
        self._faults = _Faults()
        self._entered = False
        self._listener: socket.socket | None = None
        self._directions: dict[asyncio.Task[None], list[_Direction]] = {}

    @classmethod
    def for_url(cls, url: str) -> Self:
        """Make a proxy in front of the server that ``url`` names; ``.url`` leads through it.

        Raises:
            ValueError: the URL names no port, and its scheme has no usual one.

        """
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
        if port is None:
            msg = f"URL of scheme {parts.scheme!r} names no port; add one (host:port)"
            raise ValueError(msg)
        proxy = cls(parts.hostname or HOST, port)
        proxy._url = url
        return proxy

    @property
    def url(self) -> str:
        """The URL given to ``for_url``, with the proxy's host and port in it.

        Raises:
            RuntimeError: it was made without a URL, or not entered yet.

        """
        if self._url is None or not self.port:
            msg = "a proxy has a URL if made by for_url(), and once in 'async with'; see also .port"
            raise RuntimeError(msg)
        parts = urlsplit(self._url)
        login, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}{at}{self.host}:{self.port}"))

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._directions)

    async def __aenter__(self) -> Self:
        self.port = free_port()
        self._entered = True
        self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered = False
        self._stop_listening()
        tasks = [*self._directions]
        self._reset_all()
        await asyncio.gather(*tasks, return_exceptions=True)

    def pass_through(self) -> None:
        """Forward everything. A connection that lost bytes is reset: its stream has a hole."""
        self._become(_Faults())

    def latency(self, seconds: float) -> None:
        """Deliver what comes from now on ``seconds`` later, in each direction, in order."""
        self._become(_Faults(latency=seconds))

    def drip(self, bytes_per_second: float) -> None:
        """Deliver no more than so many bytes a second, a few at a time, in each direction."""
        self._become(_Faults(rate=bytes_per_second))

    def blackhole(self, *directions: Direction) -> None:
        """Deliver nothing in these directions (none named: both); go on accepting everything."""
        self._become(_Faults(swallowed=frozenset(directions or ("to_server", "to_client"))))

    def reset(self) -> None:
        """Reset (RST) all connections, and each new one as soon as it is accepted."""
        self._become(_Faults(resets=True))
        self._reset_all()

    def half_open(self) -> None:
        """End all connections for the server alone: their clients hear nothing, and no end of it.

        As after a power cut of the server's machine, or where a firewall forgot the connections.
        New ones are served; the fault that is on, if any, stays.
        """
        for directions in self._directions.values():
            for way in directions:
                way.abandoned = True
                if way.direction == "to_server":
                    # Not connected yet, or gone by itself.
                    with contextlib.suppress(OSError):
                        way.target.shutdown(socket.SHUT_RDWR)

    def refuse(self) -> None:
        """Reset all connections and listen no more: whoever connects is refused."""
        self._faults = _Faults()
        self._stop_listening()
        self._reset_all()

    def forward_to(self, port: int, host: str | None = None) -> None:
        """Forward to another server from now on, as an address that moves to it does.

        All connections are reset; the fault that is on, if any, stays.

        Args:
            port: the server's port.
            host: its host; None: that of the server before.

        """
        self._upstream = (host or self._upstream[0], port)
        self._reset_all()

    def cut_after(self, count: int, direction: Direction = "to_client") -> None:
        """Let ``count`` more bytes pass in that direction, then close the connection.

        All connections share the count, so that those that come later are closed at the first
        byte in that direction.
        """
        self._become(_Faults(bytes_left={direction: count}))

    def _become(self, faults: _Faults) -> None:
        self._faults = faults
        for task, directions in self._directions.items():
            if any(way.has_hole and way.direction not in faults.swallowed for way in directions):
                task.cancel()
        if self._entered and self._listener is None:
            self._listen()

    def _listen(self) -> None:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # The port stays ours while connections of before linger on it.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.settimeout(0)
        self._listener.bind((self.host, self.port))
        self._listener.listen(socket.SOMAXCONN)
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _reset_all(self) -> None:
        for task in self._directions:
            task.cancel()

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # It has gone again.
        client.settimeout(0)
        if self._faults.resets:
            _close(client, reset=True)
            return
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        server.settimeout(0)
        directions = [
            _Direction("to_server", client, server),
            _Direction("to_client", server, client),
        ]
        task = asyncio.get_running_loop().create_task(self._serve(client, server, directions))
        self._directions[task] = directions
        # Here, not in _serve: a task that is cancelled before its first step never runs.
        task.add_done_callback(lambda done: self._end(done, client, server))

    async def _serve(
        self, client: socket.socket, server: socket.socket, directions: list[_Direction]
    ) -> None:
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(server, self._upstream)
        async with asyncio.TaskGroup() as group:
            for way in directions:
                # Two tasks a direction, so that latency delays bytes without limiting their rate.
                group.create_task(self._read(way))
                group.create_task(self._write(way))

    def _end(self, task: asyncio.Task[None], *ends: socket.socket) -> None:
        """Close both ends: in order if they closed or were cut, else by a reset."""
        del self._directions[task]
        error = None if task.cancelled() else task.exception()
        cut = isinstance(error, BaseExceptionGroup) and error.subgroup(_CutError) is not None
        for end in ends:
            _close(end, reset=task.cancelled() or (error is not None and not cut))

    async def _read(self, way: _Direction) -> None:
        loop = asyncio.get_running_loop()
        data = b"?"
        while data:
            data = await loop.sock_recv(way.source, _CHUNK)
            if way.abandoned:
                if way.direction == "to_client":
                    return
                if not data:
                    # Nobody is there to be told that the client has closed.
                    raise _CutError
            elif way.direction in self._faults.swallowed:
                way.has_hole = True
            else:
                await way.held.put((loop.time() + self._faults.latency, data))

    async def _write(self, way: _Direction) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await way.held.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if way.abandoned:
                continue
            if not data:
                # The sender has closed its side; what comes the other way goes on.
                with contextlib.suppress(OSError):
                    way.target.shutdown(socket.SHUT_WR)
                return
            left = self._faults.bytes_left
            allowed = left.get(way.direction, len(data))
            try:
                await self._send(way, data[:allowed])
            except OSError:
                if way.abandoned:
                    continue
                raise
            if way.direction in left:
                left[way.direction] = max(0, allowed - len(data))
                if allowed <= len(data):
                    raise _CutError

    async def _send(self, way: _Direction, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        while (rate := self._faults.rate) is not None and data:
            count = max(1, int(rate * _DRIP_SECONDS))
            await loop.sock_sendall(way.target, data[:count])
            data = data[count:]
            await asyncio.sleep(count / rate)
        await loop.sock_sendall(way.target, data)


def _close(end: socket.socket, *, reset: bool) -> None:
    if reset:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    end.close()
