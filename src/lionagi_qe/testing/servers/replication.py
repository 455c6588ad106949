"""Servers that follow another: a PostgreSQL standby, Redis replicas with Sentinels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from lionagi_qe.testing.servers.binaries import PostgresBinaries, choose_postgres, choose_redis
from lionagi_qe.testing.servers.data_folder import new_data_folder
from lionagi_qe.testing.servers.ports import HOST, wait_until
from lionagi_qe.testing.servers.postgres import PostgresServer, standby_source
from lionagi_qe.testing.servers.redis import RedisServer
from lionagi_qe.testing.servers.runner import LocalProcess

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from lionagi_qe.testing.servers.binaries import Flavour
    from lionagi_qe.testing.servers.runner import Runner

SENTINELS = 3
REPLICAS = 2
MASTER = "mymaster"
# What is acknowledged outlives the primary: the standby, whose name is ``standby``, has it.
SYNCHRONOUS = {"synchronous_standby_names": "standby", "synchronous_commit": "on"}
_DOWN_AFTER_MS = 500
_FAILOVER_SECONDS = 60.0


class _Group(ABC):
    """Servers that start together and end together, by ``with``."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    @abstractmethod
    def _start(self) -> None:
        """Start them within the stack, and wait until they follow each other."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


class PostgresStandby(PostgresServer):
    """A hot standby of a running PostgresServer, by this machine's programs.

    Args:
        primary: the server that it follows, of the same version.
        binaries: see PostgresServer; those of the primary.
        settings: settings of the server.

    """

    def __init__(
        self,
        primary: PostgresServer,
        binaries: PostgresBinaries | None = None,
        *,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(binaries or choose_postgres(None), settings=settings)
        self._primary = primary

    def _make_data(self, programs: Path, data: Path, password: Path) -> list[str]:
        del password
        return [
            str(programs / "pg_basebackup"),
            f"--pgdata={data}",
            f"--dbname={standby_source(self._primary)}",
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
        ]

    def promote(self) -> None:
        """Make it a primary, and wait until it is one."""
        self.execute("SELECT pg_promote(true, 60)")

    def follows(self) -> bool:
        """Whether it has replayed all that the primary has written."""
        position = self._primary.execute("SELECT pg_current_wal_lsn()::text")
        return self.execute(f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == "True"


class PostgresPair(_Group):
    """A primary and a synchronous standby that change places; by this machine's programs.

    A commit is acknowledged once the standby has written it, and waits while there is none. Each
    keeps its port for good.

    Args:
        binaries: see PostgresServer.
        settings: further settings of both.

    """

    def __init__(
        self, binaries: PostgresBinaries | None = None, *, settings: Mapping[str, str] | None = None
    ) -> None:
        self._binaries = binaries or choose_postgres(None)
        # A standby that finds nobody asks again soon.
        own = {**SYNCHRONOUS, "wal_retrieve_retry_interval": "200ms"}
        self._settings = {**own, **(settings or {})}
        super().__init__()
        self._servers: list[PostgresServer] = []

    @property
    def primary(self) -> PostgresServer:
        """The one that accepts changes."""
        return self._servers[0]

    @property
    def standby(self) -> PostgresServer:
        """The one that follows; after ``take_over`` it is down until ``follow``."""
        return self._servers[1]

    @property
    def url(self) -> str:
        """The URL of both, in an order that stays."""
        ports = sorted(server.port for server in self._servers)
        hosts = ",".join(f"{HOST}:{port}" for port in ports)
        return self.primary.url.replace(f"{HOST}:{self.primary.port}", hosts)

    def _start(self) -> None:
        primary = PostgresServer(self._binaries, settings=self._settings, rewindable=True)
        self._servers.append(self._stack.enter_context(primary))
        standby = PostgresStandby(primary, self._binaries, settings=self._settings)
        self._servers.append(self._stack.enter_context(standby))
        self._attached()

    def take_over(self, *, crash: bool = False) -> None:
        """End the primary in good order, or by SIGKILL, and promote the standby."""
        if crash:
            self.primary.kill()
        else:
            self.primary.stop()
        self.standby.execute("SELECT pg_promote(true, 60)")
        self._servers.reverse()

    def follow(self) -> None:
        """Bring the former primary back as the standby, and wait until it is synchronous."""
        self.standby.follow(self.primary)
        self._attached()

    def _attached(self) -> None:
        wait_until(
            lambda: self.primary.execute("SELECT sync_state FROM pg_stat_replication") == "sync",
            "the standby is synchronous",
            timeout=_FAILOVER_SECONDS,
        )


class RedisSentinel(RedisServer):
    """One Sentinel, a server of its own; see RedisSentinels for the URL of what it watches.

    Args:
        primary: the server that it begins to watch.
        flavour: see RedisServer.
        password: what its clients must say, and other Sentinels.
        auth: the password of the servers that it watches.
        quorum: how many must agree that the primary is away.

    """

    def __init__(
        self,
        primary: RedisServer,
        flavour: Flavour | None = None,
        *,
        password: str | None = None,
        auth: str | None = None,
        quorum: int = 2,
    ) -> None:
        super().__init__(flavour, password=password)
        self._primary = primary
        self._auth = auth
        self._quorum = quorum

    def _prepare(self, port: int) -> Runner:
        folder = new_data_folder("sentinel")
        lines = [
            f"port {port}",
            f"bind {HOST}",
            f"dir {folder}",
            f"sentinel monitor {MASTER} {HOST} {self._primary.port} {self._quorum}",
            f"sentinel down-after-milliseconds {MASTER} {_DOWN_AFTER_MS}",
            f"sentinel failover-timeout {MASTER} 5000",
        ]
        if self._auth is not None:
            lines.append(f"sentinel auth-pass {MASTER} {self._auth}")
        if self._password is not None:
            lines.append(f"requirepass {self._password}")
        file = folder / "sentinel.conf"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        program = choose_redis(self._flavour).path
        return LocalProcess([str(program), str(file), "--sentinel"], folder)


class RedisSentinels(_Group):
    """A Redis primary with two replicas, watched by three Sentinels; by this machine's programs.

    Args:
        flavour: see RedisServer.
        password: of the servers.
        sentinel_password: of the Sentinels.
        settings: further settings of the servers, e.g. ``{"min-replicas-to-write": "1"}``.

    """

    def __init__(
        self,
        flavour: Flavour | None = None,
        *,
        password: str | None = None,
        sentinel_password: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._flavour: Flavour = flavour or choose_redis(None).flavour
        self._password = password
        self._sentinel_password = sentinel_password
        self._settings = {
            **({} if password is None else {"masterauth": password}),
            "repl-diskless-sync-delay": "0",
            "repl-timeout": "5",
            **(settings or {}),
        }
        self.servers: list[RedisServer] = []
        self.sentinels: list[RedisSentinel] = []
        super().__init__()

    @property
    def url(self) -> str:
        """The URL of a memory that asks the Sentinels where the primary is."""
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        login = "" if self._password is None else f":{quote(self._password, safe='')}@"
        options = (
            ""
            if self._sentinel_password is None
            else f"?sentinel_password={self._sentinel_password}"
        )
        return f"redis+sentinel://{login}{hosts}/{MASTER}/0{options}"

    def _start(self) -> None:
        primary = self._server()
        for _ in range(REPLICAS):
            # By a command, as Redis 6.2 takes no setting of two words from its command line.
            self._server().execute("REPLICAOF", HOST, str(primary.port))
        for _ in range(SENTINELS):
            sentinel = RedisSentinel(
                primary, self._flavour, password=self._sentinel_password, auth=self._password
            )
            self.sentinels.append(self._stack.enter_context(sentinel))
        wait_until(self._agree, "the Sentinels know each other and the replicas", timeout=60)

    def _server(self) -> RedisServer:
        server = RedisServer(self._flavour, password=self._password, settings=self._settings)
        self.servers.append(self._stack.enter_context(server))
        return server

    def _agree(self) -> bool:
        def told(sentinel: RedisSentinel) -> dict[str, str]:
            words = [str(word) for word in sentinel.execute("SENTINEL", "MASTER", MASTER)]
            return dict(zip(words[::2], words[1::2], strict=True))

        return all(
            state["num-slaves"] == str(REPLICAS)
            and state["num-other-sentinels"] == str(SENTINELS - 1)
            and state["flags"] == "master"
            for state in map(told, self.sentinels)
        )

    @property
    def primary(self) -> RedisServer:
        """The server that the first Sentinel names."""
        _, port = self.sentinels[0].execute("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return next(server for server in self.servers if server.port == int(port))

    def switch_over(self) -> None:
        """Have a replica take over from a healthy primary, and wait until all follow it.

        Sentinels promote a replica first and tell the primary afterwards, which until then goes on
        acknowledging changes that are lost; so it is made to refuse them before.
        """
        wait_until(self._settled, "all follow the primary", timeout=_FAILOVER_SECONDS)
        before = self.primary
        name = "min-replicas-to-write"
        _, usual = before.execute("CONFIG", "GET", name)
        before.execute("CONFIG", "SET", name, str(REPLICAS + 1))
        try:
            position = int(_offsets(before)["master_repl_offset"])
            wait_until(
                lambda: all(
                    int(_offsets(server).get("slave_repl_offset", 0)) >= position
                    for server in self.servers
                    if server is not before
                ),
                "the replicas have all that the primary wrote",
                timeout=_FAILOVER_SECONDS,
            )
            self._fail_over(before)
        finally:
            before.execute("CONFIG", "SET", name, usual)

    def switch_over_at_once(self) -> None:
        """Have the Sentinels do it without more ado; what is acknowledged meanwhile is lost."""
        wait_until(self._settled, "all follow the primary", timeout=_FAILOVER_SECONDS)
        self._fail_over(self.primary)

    def _fail_over(self, before: RedisServer) -> None:
        self.sentinels[0].execute("SENTINEL", "FAILOVER", MASTER)
        self.await_takeover(before)
        wait_until(self._settled, "all follow the server that took over", timeout=_FAILOVER_SECONDS)

    def await_takeover(self, before: RedisServer) -> None:
        """Wait until another than ``before`` is the primary, as it says itself."""
        wait_until(
            lambda: self.primary is not before and _offsets(self.primary).get("role") == "master",
            "a replica has taken over",
            timeout=_FAILOVER_SECONDS,
        )

    def bring_back(self, server: RedisServer) -> None:
        """Start a server that was killed, and wait until it follows the primary."""
        server.start()
        wait_until(self._settled, "the server that was away follows", timeout=_FAILOVER_SECONDS)

    def _settled(self) -> bool:
        """Whether the Sentinels see all servers, and those follow the primary."""
        if not self._agree():
            return False
        primary = self.primary
        told = [_offsets(server) for server in self.servers if server is not primary]
        return _offsets(primary).get("role") == "master" and all(
            state.get("master_port") == str(primary.port)
            and state.get("master_link_status") == "up"
            for state in told
        )


def _offsets(server: RedisServer) -> dict[str, str]:
    from redis import exceptions

    try:
        lines = str(server.execute("INFO", "replication")).splitlines()
    except exceptions.ConnectionError:
        return {}
    return dict(line.split(":", 1) for line in lines if ":" in line)
