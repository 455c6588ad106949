"""A Redis or Valkey server of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from lionagi_qe.testing.servers.binaries import Flavour, choose_redis
from lionagi_qe.testing.servers.data_folder import new_data_folder
from lionagi_qe.testing.servers.ports import HOST, ask
from lionagi_qe.testing.servers.runner import Container, LocalProcess, docker_runs
from lionagi_qe.testing.servers.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.testing.servers.runner import Runner

IMAGE = "redis:7-alpine"


class RedisServer(Server):
    """A Redis server: by Docker if it runs, else by a program of this machine.

    Args:
        flavour: which one; see ``available_redis_servers()``.
        appendfsync: when the append-only file is synced: ``always``, ``everysec`` or ``no``; None
            keeps everything in memory only.
        password: what clients must say, if anything.
        settings: further lines of ``redis.conf``, e.g. ``{"maxmemory": "4mb"}``.

    """

    def __init__(
        self,
        flavour: Flavour | None = None,
        *,
        appendfsync: Literal["always", "everysec", "no"] | None = "everysec",
        password: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._flavour: Flavour | None = flavour
        self._password = password
        self._settings = {
            "databases": "64",
            "save": "",
            "appendonly": "no" if appendfsync is None else "yes",
            "appendfsync": appendfsync or "no",
            **({} if password is None else {"requirepass": password}),
            **(settings or {}),
        }

    @property
    def url(self) -> str:
        """The URL of database 0, with the password if there is one."""
        login = "" if self._password is None else f":{quote(self._password, safe='')}@"
        return f"redis://{login}{HOST}:{self.port}/0"

    @property
    def version(self) -> str:
        """The version that the running server tells; Valkey's own, not the Redis one it names."""
        return redis_version(self.url)

    def answers(self) -> bool:
        """Whether it answers PING; while it loads its data it refuses."""
        answer = ask(self._port, b"PING\r\n")
        return answer.startswith((b"+PONG", b"-NOAUTH"))

    def execute(self, *words: str) -> Any:  # noqa: ANN401 - whatever the command returns
        """Send one command on a connection of its own; return its answer, unparsed."""
        return execute(self.url, *words)

    def _prepare(self, port: int) -> Runner:
        if self._flavour == "docker" or (self._flavour is None and docker_runs(IMAGE)):
            return self._container(port)
        program = choose_redis(self._flavour).path
        folder = new_data_folder("redis")
        where = {"port": str(port), "bind": HOST, "dir": str(folder)}
        return LocalProcess([str(program), *_arguments({**where, **self._settings})], folder)

    def _container(self, port: int) -> Runner:
        # Other than on the machine itself, the container's loopback can't be reached from outside.
        where = {"port": str(port), "protected-mode": "no", "dir": "/data"}
        return Container(
            IMAGE,
            ["redis-server", *_arguments({**where, **self._settings})],
            options=self._network(port),
        )

    def _network(self, port: int) -> list[str]:
        """Return the options of ``docker run`` that make the port reachable."""
        return [f"--publish={HOST}:{port}:{port}"]


def _arguments(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


def redis_version(url: str) -> str:
    """Return the version that the server at ``url`` tells."""
    info = str(execute(url, "INFO", "server"))
    lines = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    return lines.get("valkey_version", lines["redis_version"])


def execute(url: str, *words: str) -> Any:  # noqa: ANN401 - whatever the command returns
    """Send one command to the server at ``url``; return its answer, text decoded, else unparsed."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    with redis.Redis.from_url(
        url, socket_timeout=10, retry=Retry(NoBackoff(), 0), decode_responses=True, protocol=2
    ) as client:
        client.response_callbacks.clear()
        return client.execute_command(*words)
