"""A Redis primary that Sentinels know the address of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode

import redis.asyncio as driver
from redis import exceptions
from redis.asyncio.connection import SSLConnection

from lionagi_qe.errors import ConfigurationError
from lionagi_qe.persistence.redis.connection import ServerLink, connect, database, drop
from lionagi_qe.persistence.redis.sending import telling_loss
from lionagi_qe.persistence.redis.server_errors import FAILURES, explain
from lionagi_qe.persistence.values.url import unknown_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.redis.replicas import Wait

# Seconds after which the next Sentinel is asked.
SENTINEL_TIMEOUT = 2.0
_PORT = 26379


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Whom to ask for the address of a primary.

    Attributes:
        addresses: hosts and ports.
        master: the name by which they know the primary.
        username: said to them, not to the primary.
        password: as ``username``.
        ssl: speak TLS with them.
    """

    addresses: Sequence[tuple[str, int]]
    master: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssl: bool = False


class SentinelLink(ServerLink):
    """A pool of connections to the primary that the Sentinels name, asked for each connection.

    After a failover the connections to the old primary end, or answer that it is a replica now or
    has lost its replicas, and are dropped; new ones go where the Sentinels say.

    Args:
        sentinels: whom to ask.
        settings: settings of connections to the primary, without host and port.
        pool_size: most connections to it.
        wait: see ServerLink.
    """

    scheme = "rediss+sentinel"
    knows_replicas = True

    def __init__(
        self,
        sentinels: Sentinels,
        settings: dict[str, Any],
        *,
        pool_size: int,
        wait: Wait | None = None,
    ) -> None:
        super().__init__(settings, pool_size=pool_size, wait=wait)
        self._sentinels = [*sentinels.addresses]
        self._master = sentinels.master
        self._asking: dict[str, Any] = {
            "username": sentinels.username,
            "password": sentinels.password,
        }
        if sentinels.ssl:
            # They are trusted by the same authority, and ask for the same certificate.
            asked = {name: value for name, value in settings.items() if name.startswith("ssl_")}
            self._asking |= {"connection_class": SSLConnection, **asked}
        places = ",".join(f"{host}:{port}" for host, port in sentinels.addresses)
        self.where = f"Redis {self._master!r} of the Sentinels at {places}"
        self.where += database(settings)

    def _asked_plainly(self) -> list[tuple[str, int]]:
        return [] if "connection_class" in self._asking else list(self._sentinels)

    async def connect(self) -> driver.Connection:
        """Open a connection to what is the primary now."""
        host, port = await self._find()
        connection = await connect({**self._settings, "host": host, "port": port})
        try:
            await telling_loss(connection.send_command("ROLE"))
            role: Any = await connection.read_response()
        except BaseException:
            await drop(connection)
            raise
        if role[0] == b"master":
            return connection
        await drop(connection)
        msg = f"{host}:{port} is no primary any more"
        raise exceptions.ReadOnlyError(msg)

    async def everywhere(self, *words: Any) -> list[Any]:  # noqa: ANN401
        """Send one command to the primary, then to each of its replicas that the Sentinels know."""
        answers = [await self.command("", *words)]
        try:
            for facts in await self._told("REPLICAS"):
                told = dict(zip(facts[::2], facts[1::2], strict=True))
                place = {"host": told[b"ip"].decode(), "port": int(told[b"port"])}
                answers.append(await _exchange({**self._settings, **place}, *words))
        except FAILURES as error:
            raise explain(error, f"{self.where}, a replica", sent=False) from error
        return answers

    async def _find(self) -> tuple[str, int]:
        host, port = await self._told("GET-MASTER-ADDR-BY-NAME")
        return host.decode(), int(port)

    async def _told(self, question: str) -> list[Any]:
        """Ask one Sentinel after the other; the one that answered is asked first the next time."""
        failed: Exception = exceptions.ConnectionError("no Sentinel is named")
        for host, port in list(self._sentinels):
            place = {"host": host, "port": port}
            try:
                async with asyncio.timeout(SENTINEL_TIMEOUT):
                    found = await _exchange(
                        {**self._asking, **place}, "SENTINEL", question, self._master
                    )
            except exceptions.AuthenticationError:
                raise
            except (*FAILURES, TimeoutError) as error:
                failed = error
                continue
            if found is not None:
                self._sentinels.remove((host, port))
                self._sentinels.insert(0, (host, port))
                return found
            failed = exceptions.ConnectionError(
                f"Sentinel {host}:{port} knows no {self._master!r}, or not where"
            )
        raise exceptions.ConnectionError(str(failed) or type(failed).__name__) from failed


async def _exchange(settings: dict[str, Any], *words: Any) -> Any:  # noqa: ANN401
    """Send one command on a connection of its own, and return its answer."""
    connection = await connect(settings)
    try:
        await telling_loss(connection.send_command(*words))
        return await connection.read_response()
    finally:
        await drop(connection)


def sentinels_of(parts: SplitResult) -> tuple[Sentinels, SplitResult]:
    """Return whom a URL says to ask, and the URL of the primary as if its host were known.

    Raises:
        ConfigurationError: the primary's name is missing, or an option for Sentinels is unknown.

    """
    login, at, hosts = parts.netloc.rpartition("@")
    master, _, database = parts.path.strip("/").partition("/")
    if not master:
        msg = (
            "memory URL of Sentinels: the primary's name is missing; write "
            "redis+sentinel://host:26379,host:26379/mymaster/0"
        )
        raise ConfigurationError(msg)
    options = parse_qsl(parts.query, keep_blank_values=True)
    asking = {name: value for name, value in options if name.startswith("sentinel_")}
    if unknown := asking.keys() - {"sentinel_username", "sentinel_password"}:
        msg = f"memory URL of Sentinels: {unknown_option(min(unknown), options)}"
        raise ConfigurationError(msg)
    rest = urlencode([option for option in options if option[0] not in asking])
    scheme = parts.scheme.partition("+")[0]
    sentinels = Sentinels(
        [_address(place) for place in hosts.split(",")],
        unquote(master),
        asking.get("sentinel_username"),
        asking.get("sentinel_password"),
        scheme == "rediss",
    )
    return sentinels, SplitResult(scheme, f"{login}{at}primary", f"/{database}", rest, "")


def _address(place: str) -> tuple[str, int]:
    if ":" not in place.rpartition("]")[2]:
        return place.strip("[]"), _PORT
    host, _, port = place.rpartition(":")
    return host.strip("[]"), int(port)
