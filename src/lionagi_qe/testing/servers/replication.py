"""Servers that follow another: a PostgreSQL standby, Redis replicas with Sentinels."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from lionagi_qe.testing.servers.binaries import PostgresBinaries, choose_postgres, choose_redis
from lionagi_qe.testing.servers.data_folder import new_data_folder
from lionagi_qe.testing.servers.ports import HOST, wait_until
from lionagi_qe.testing.servers.postgres import PASSWORD, USER, PostgresServer
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
_DOWN_AFTER_MS = 500
_FAILOVER_SECONDS = 60.0


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
        source = f"host={HOST} port={self._primary.port} user={USER} password={PASSWORD}"
        return [
            str(programs / "pg_basebackup"),
            f"--pgdata={data}",
            f"--dbname={source} application_name=standby",
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


class RedisSentinels:
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
        self._stack = ExitStack()

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
        """Have a replica take over from a healthy primary, and wait until all follow it."""
        before = self.primary
        wait_until(self._agree, "the Sentinels see all servers", timeout=_FAILOVER_SECONDS)
        self.sentinels[0].execute("SENTINEL", "FAILOVER", MASTER)
        wait_until(
            lambda: self.primary is not before and self._agree(),
            "a replica has taken over",
            timeout=_FAILOVER_SECONDS,
        )
