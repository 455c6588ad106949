"""A PgBouncer of our own, between clients and a PostgreSQL server."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit, urlunsplit

from lionagi_qe.testing.servers.errors import ServerNotFoundError
from lionagi_qe.testing.servers.ports import HOST, ask
from lionagi_qe.testing.servers.postgres import PASSWORD, STARTUP_PACKET, USER, not_as_root
from lionagi_qe.testing.servers.runner import LocalProcess
from lionagi_qe.testing.servers.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.testing.servers.postgres import PostgresServer
    from lionagi_qe.testing.servers.runner import Runner

PoolMode = Literal["session", "transaction", "statement"]


class PgBouncer(Server):
    """PgBouncer by this machine's program, as it comes but for what is said here.

    Args:
        server: where its connections lead.
        mode: its ``pool_mode``.
        settings: further lines of its section ``[pgbouncer]``.

    """

    def __init__(
        self,
        server: PostgresServer,
        mode: PoolMode,
        *,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._server = server
        self._settings = {"pool_mode": mode, "max_client_conn": "1000", **(settings or {})}

    @property
    def url(self) -> str:
        """The URL of the database ``postgres`` through it."""
        return self.url_of(self._server.url)

    def url_of(self, url: str) -> str:
        """Return the URL by which a database of the server is reached through it."""
        return urlunsplit(urlsplit(url)._replace(netloc=f"{USER}:{PASSWORD}@{HOST}:{self.port}"))

    @property
    def version(self) -> str:
        """What its program says."""
        import subprocess

        told = subprocess.run(  # noqa: S603 - a program found by us
            [_program(), "--version"], capture_output=True, text=True, check=True
        )
        return told.stdout.split()[1]

    def answers(self) -> bool:
        """Whether it asks a client for its password."""
        return ask(self._port, STARTUP_PACKET).startswith(b"R")

    def _prepare(self, port: int) -> Runner:
        program = _program()
        folder = Path(tempfile.mkdtemp(prefix="lionagi-qe-pgbouncer-"))
        users = folder / "users.txt"
        users.write_text(f'"{USER}" "{PASSWORD}"\n', encoding="utf-8")
        own = {
            "listen_addr": HOST,
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(users),
            **self._settings,
        }
        lines = [f"{name} = {value}" for name, value in own.items()]
        target = f"* = host={HOST} port={self._server.port}"
        file = folder / "pgbouncer.ini"
        file.write_text(
            "\n".join(["[databases]", target, "[pgbouncer]", *lines, ""]), encoding="utf-8"
        )
        prefix, user = not_as_root()
        if user is not None:
            for path in (folder, users, file):
                shutil.chown(path, user)
        # SIGINT waits for queries to end, SIGTERM doesn't.
        return LocalProcess([*prefix, program, str(file)], folder, gentle=signal.SIGTERM, user=user)


def _program() -> str:
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin") or (
        shutil.which("pgbouncer")
    )
    if program is None:
        msg = (
            "no PgBouncer found. Install it (Debian: apt-get install pgbouncer; macOS: brew "
            "install pgbouncer)"
        )
        raise ServerNotFoundError(msg)
    return program
