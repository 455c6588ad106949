"""Free ports, and whether a server answers on one."""

from __future__ import annotations

import secrets
import socket
import time
from typing import TYPE_CHECKING

from lionagi_qe.testing.servers.errors import ServerStartError

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
# Below the ports that systems give to outgoing connections (from 32768 on Linux). A server that is
# killed and started again finds its port free; and a client that keeps calling a dead port there
# can't be given that very port and so reach itself.
_LOWEST, _HIGHEST = 10_240, 22_000
# Where a node of a cluster listens to the other nodes.
CLUSTER_BUS_OFFSET = 10_000
_POLL = 0.01


def free_port() -> int:
    """Return a port on which, at this moment, nobody listens; nor on its cluster bus port.

    Raises:
        ServerStartError: 100 ports in a row were taken.

    """
    for _ in range(100):
        # Not ``random``: processes that a plugin gave the same seed would want the same ports.
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        if _is_free(port) and _is_free(port + CLUSTER_BUS_OFFSET):
            return port
    msg = f"no free port found on {HOST} between {_LOWEST} and {_HIGHEST}; stop what listens there"
    raise ServerStartError(msg)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def ask(port: int, message: bytes, *, timeout: float = 1.0) -> bytes:
    """Send ``message`` on a new connection and return the first bytes that come back.

    Nothing comes back (``b""``) from a server that isn't there, hangs up or stays silent.
    """
    try:
        with socket.create_connection((HOST, port), timeout=timeout) as connection:
            connection.sendall(message)
            return connection.recv(4096)
    except OSError:
        return b""


def wait_until(condition: Callable[[], bool], what: str, *, timeout: float) -> None:
    """Poll until ``condition`` holds.

    Raises:
        ServerStartError: it didn't within ``timeout`` seconds; the message says ``what``.

    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            msg = f"{what}: not within {timeout:g} s"
            raise ServerStartError(msg)
        time.sleep(_POLL)
