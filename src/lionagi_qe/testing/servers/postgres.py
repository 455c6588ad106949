"""A PostgreSQL server of our own."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import struct
import subprocess
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from lionagi_qe.testing.servers.binaries import PostgresBinaries, choose_postgres
from lionagi_qe.testing.servers.data_folder import new_data_folder
from lionagi_qe.testing.servers.errors import ServerStartError
from lionagi_qe.testing.servers.ports import HOST, ask
from lionagi_qe.testing.servers.runner import Container, LocalProcess, docker_runs
from lionagi_qe.testing.servers.server import Server

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from lionagi_qe.testing.servers.runner import Runner

IMAGE = "postgres:15-alpine"
USER = "aqe"
PASSWORD = "aqe"  # noqa: S105 - of a throw-away server on loopback
MAX_CONNECTIONS = 200
_STARTUP = b"user\0" + USER.encode() + b"\0\0"
STARTUP_PACKET = struct.pack("!ii", 8 + len(_STARTUP), 3 << 16) + _STARTUP


class PostgresDatabases(ABC):
    """Makes databases on the server at ``url``."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL of a database from which others can be made."""

    @property
    def version(self) -> str:
        """The version that the running server tells."""
        return self.execute("SHOW server_version").split()[0]

    @contextmanager
    def fresh_database(self, name: str | None = None) -> Generator[str]:
        """Make an empty UTF-8 database, give its URL, and drop it in the end."""
        name = name or f"aqe_test_{os.getpid()}_{os.urandom(4).hex()}"
        self.execute(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8'")
        try:
            yield urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))
        finally:
            self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str) -> str:
        """Run one statement on a connection of its own; return its result's first field."""
        from lionagi_qe.testing.servers.statement import execute

        return execute(self.url, statement)


class PostgresServer(PostgresDatabases, Server):
    """A PostgreSQL server: by Docker if it runs, else by this machine's programs.

    fsync is on and all else as PostgreSQL comes, with a password (SCRAM) for every connection.

    Args:
        binaries: the folder of ``initdb`` and ``postgres``, or one of
            ``available_postgres_servers()``; Docker is not asked then.
        settings: settings of the server, e.g. ``{"max_connections": "5"}``.
        rewindable: it keeps what ``follow`` needs; by this machine's programs.

    """

    def __init__(
        self,
        binaries: PostgresBinaries | Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        rewindable: bool = False,
    ) -> None:
        super().__init__()
        self._binaries = binaries
        self._settings = {"max_connections": str(MAX_CONNECTIONS), **(settings or {})}
        self._rewindable = rewindable
        self._killed = False
        self._programs: Path | None = None
        self._folder: Path | None = None

    @property
    def url(self) -> str:
        """The URL of the database ``postgres``, user and password included."""
        return f"postgresql://{USER}:{PASSWORD}@{HOST}:{self.port}/postgres"

    def answers(self) -> bool:
        """Whether it asks a client for its password; while it recovers it refuses clients."""
        return ask(self._port, STARTUP_PACKET).startswith(b"R")

    def kill(self) -> None:
        """End all its processes at once (SIGKILL)."""
        super().kill()
        self._killed = True

    def start(self) -> None:
        """Start it; after ``kill`` it recovers from its log first."""
        super().start()
        self._killed = False

    def follow(self, primary: PostgresServer) -> None:
        """Start it as a standby of ``primary``, which took over from it; it must not be running.

        What it wrote and the other never got is taken back (pg_rewind); so it, or the server that
        it is a copy of, was made ``rewindable``.

        Raises:
            ServerStartError: that failed; the message quotes the program.

        """
        if self._programs is None or self._folder is None:
            msg = "only a PostgreSQL server of this machine's programs can follow another"
            raise ServerStartError(msg)
        # pg_rewind reads from the control file on which timeline the other is.
        primary.execute("CHECKPOINT")
        prefix, user = not_as_root()
        command = [
            *prefix,
            str(self._programs / "pg_rewind"),
            f"--target-pgdata={self._folder / 'data'}",
            f"--source-server={standby_source(primary)} dbname=postgres",
            "--write-recovery-conf",
            "--no-sync",
        ]
        _initialise(command, self._folder, user)
        self.start()

    def close(self) -> None:
        """End it and remove its data."""
        try:
            if self._killed and self._runner is not None:
                # Only PostgreSQL itself frees the shared memory that a killed one leaves behind.
                self.start()
        finally:
            super().close()

    def _prepare(self, port: int) -> Runner:
        if self._binaries is None and docker_runs(IMAGE):
            return self._container(port)
        binaries = self._binaries
        if not isinstance(binaries, PostgresBinaries):
            binaries = choose_postgres(binaries)
        folder = new_data_folder("postgres")
        try:
            return self._process(port, binaries.folder, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _container(self, port: int) -> Runner:
        return Container(
            IMAGE,
            self._options(),
            options=[
                f"--env=POSTGRES_USER={USER}",
                f"--env=POSTGRES_PASSWORD={PASSWORD}",
                "--env=POSTGRES_DB=postgres",
                f"--publish={HOST}:{port}:5432",
            ],
        )

    def _process(self, port: int, programs: Path, folder: Path) -> Runner:
        self._programs, self._folder = programs, folder
        prefix, user = not_as_root()
        data = folder / "data"
        password = folder / "password"
        password.write_text(PASSWORD)
        if user is not None:
            for path in (folder, password):
                shutil.chown(path, user)
        _initialise([*prefix, *self._make_data(programs, data, password)], folder, user)
        if self._rewindable:
            with (data / "postgresql.conf").open("a") as file:
                # There, as pg_rewind starts a server that doesn't know our options.
                file.write("wal_log_hints = on\nwal_keep_size = 1GB\n")
        command = [
            *prefix,
            str(programs / "postgres"),
            f"-D{data}",
            f"--port={port}",
            f"--listen_addresses={HOST}",
            "--unix_socket_directories=",
            *self._options(),
        ]
        # SIGINT rolls back and checkpoints; SIGQUIT leaves recovery to a next start.
        return LocalProcess(command, folder, gentle=signal.SIGINT, quick=signal.SIGQUIT, user=user)

    def _make_data(self, programs: Path, data: Path, password: Path) -> list[str]:
        """Return the command that makes the server's data."""
        return [
            str(programs / "initdb"),
            f"--pgdata={data}",
            f"--username={USER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",  # nobody needs this cluster after a power cut
        ]

    def _options(self) -> list[str]:
        return [f"--{name}={value}" for name, value in self._settings.items()]


def standby_source(primary: PostgresServer) -> str:
    """Return how a standby connects to its primary; its name there is ``standby``."""
    login = f"user={USER} password={PASSWORD}"
    return f"host={HOST} port={primary.port} {login} application_name=standby"


def _initialise(command: list[str], folder: Path, user: str | None) -> None:
    try:
        subprocess.run(  # noqa: S603 - a program found by us
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            cwd=folder,
            user=user,
        )
    except subprocess.CalledProcessError as error:
        msg = f"{' '.join(command)} failed:\n{error.output}"
        raise ServerStartError(msg) from error
    except PermissionError as error:
        msg = (
            f"{error}: PostgreSQL won't run as root, and user {user!r} may not run this program; "
            "run the tests as another user, or install PostgreSQL or the virtual environment where "
            "everybody may read it"
        )
        raise ServerStartError(msg) from error


@functools.cache
def not_as_root() -> tuple[list[str], str | None]:
    """Return what to put before a command, and as which user to run it, so that it isn't root."""
    if os.geteuid() != 0:
        return [], None
    namespace = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    if shutil.which("unshare") is not None:
        works = subprocess.run(  # noqa: S603 - a fixed command
            [*namespace, "true"], capture_output=True, check=False
        )
        if works.returncode == 0:
            return namespace, None
    return [], "nobody"
