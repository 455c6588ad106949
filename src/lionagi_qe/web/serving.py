"""Serving the console by uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

import uvicorn

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.web.application import app

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from lionagi_qe.persistence import Memory

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# What streams of changes get to end by themselves.
_GRACE_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """How the console is served.

    Attributes:
        host: the address to bind to.
        port: 0 for any that is free.
        root_path: what stands before every address, where a proxy serves other things as well.
        token: see ``app``.
        write: see ``app``.
        private: see ``app``.
        hosts: names, besides those of this machine's loopback, by which browsers may ask for it.
        shown_url: where the memory is, without secrets.
    """

    host: str = "127.0.0.1"
    port: int = 8077
    root_path: str = ""
    token: str | None = None
    write: bool = False
    private: bool = False
    hosts: Sequence[str] = ()
    shown_url: str = ""

    def __post_init__(self) -> None:
        """Refuse a prefix that no address begins with."""
        root = self.root_path
        if root and (not root.startswith("/") or root.endswith("/") or "?" in root):
            msg = f"root path {root!r}: is written as /console, with no slash at its end"
            raise InvalidArgumentError(msg)

    @property
    def names(self) -> frozenset[str]:
        """The names by which browsers may ask for it."""
        own = () if _is_any(self.host) else (self.host,)
        return frozenset(name.lower() for name in (*_LOOPBACK, *own, *self.hosts))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound to an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_any(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


async def serve(
    memory: Memory, settings: Settings, begun: Callable[[str], None], end: asyncio.Event
) -> None:
    """Serve until ``end`` is set.

    Args:
        memory: open for as long.
        settings: how.
        begun: called with the console's address, once it can be asked.
        end: when to end; signals are the caller's.

    Raises:
        OSError: the address can't be bound to.

    """
    console = app(
        memory,
        token=settings.token,
        write=settings.write,
        private=settings.private,
        hosts=settings.names,
        shown_url=settings.shown_url,
    )
    config = uvicorn.Config(
        _Prefixed(console, settings.root_path),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)

    async def ending() -> None:
        await end.wait()
        console.state.console.ending.set()
        server.should_exit = True

    with _bound(settings.host, settings.port) as listening:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        begun(f"http://{host}:{listening.getsockname()[1]}{settings.root_path}/")
        waiting = asyncio.create_task(ending())
        try:
            await server.serve(sockets=[listening])
        finally:
            waiting.cancel()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        # Python's own text tells the address a second time.
        said = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        if error.errno == errno.EADDRINUSE:
            said += "; name another by --port, 0 for any that is free"
        raise OSError(error.errno, said, f"{host}:{port}") from error


class _Server(uvicorn.Server):
    """Leaves signals to the command: uvicorn would end the process before the memory is closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none."""
        yield


class _Prefixed:
    """Serves an application below a prefix, whether a proxy takes it off addresses or leaves it."""

    def __init__(self, inner: ASGIApp, root_path: str) -> None:
        self._inner = inner
        self._root = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on a request whose path has the prefix."""
        if scope["type"] == "http" and self._root:
            path: str = scope["path"]
            if path != self._root and not path.startswith(f"{self._root}/"):
                path = f"{self._root}{path}"
            scope = {**scope, "path": path, "root_path": self._root}
        await self._inner(scope, receive, send)
