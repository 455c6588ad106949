"""Which of several PostgreSQL servers to connect to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from lionagi_qe.persistence.postgres.options import take_options

if TYPE_CHECKING:
    from collections.abc import Sequence

Connection = Any

# Of a URL with several hosts: seconds after which the next one is asked, unless it says others.
HOST_TIMEOUT = 3.0
# For each read asyncio allocates as much as it would take, 256 KiB, and shrinks that to what came.
# Between what is kept of answers this tears the heap: processes grew by 3 MiB in ten minutes
# (docs/soak.md). By pieces of 32 KiB they grow by a sixth, and answers of 2 MB take no longer.
READ_BYTES = 32 * 1024
_PREFERS_STANDBY = "target_session_attrs=prefer-standby"
# What a host that can't be used right now answers, if it does.
_NEXT = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TargetServerAttributeNotMatched,
)


class Hosts:
    """The servers of a URL, ``postgresql://user@a:5432,b:5432/database``, in that order.

    Of several, one that accepts changes is looked for, unless the URL says otherwise by
    ``target_session_attrs``. The one that was found last is asked first. With ``prefer-standby``
    another kind of server is taken only where none of them is a standby that can be used.
    """

    def __init__(self, dsn: str) -> None:
        dsn, self._options = take_options(dsn)
        self.urls = urls_of(dsn)
        self._preferred = [_standby_only(url) for url in self.urls if _PREFERS_STANDBY in url]
        self._begin = 0

    async def connect(self, **settings: Any) -> Connection:  # noqa: ANN401 - the driver's own
        """Open a connection to the first of the hosts that can be used.

        Raises what the driver raises for the last host that was asked.
        """
        if self._options.application_name is not None:
            named = {"application_name": self._options.application_name}
            settings["server_settings"] = {**settings.get("server_settings", {}), **named}
        if self._options.tls is not None:
            settings["ssl"] = self._options.tls
        failed: Exception | None = None
        places = [*range(self._begin, len(self.urls)), *range(self._begin)]
        for urls in filter(None, (self._preferred, self.urls)):
            for place in places:
                try:
                    connection = await self._connect(urls[place], settings)
                except _NEXT as error:
                    failed = error
                else:
                    self._begin = place
                    return connection
        raise failed or OSError("the URL names no host")

    async def _connect(self, url: str, settings: dict[str, Any]) -> Connection:
        # Of a single host the call's own deadline is all that matters, unless the URL has another.
        usual = None if len(self.urls) == 1 else HOST_TIMEOUT
        async with asyncio.timeout(self._options.timeout or usual):
            connection = await asyncpg.connect(url, **settings)
        self._options.settle(connection)
        _read_in_pieces(connection)
        return connection


def _read_in_pieces(connection: Connection) -> None:
    """Have the loop read ``READ_BYTES`` of a connection at a time, where it lets us choose."""
    transport: Any = connection._transport  # noqa: SLF001 - it has no other way
    # With TLS it is what decrypts that reads.
    reader: Any = getattr(transport, "_ssl_protocol", transport)
    if hasattr(reader, "max_size"):
        reader.max_size = READ_BYTES


def _standby_only(url: str) -> str:
    return url.replace(_PREFERS_STANDBY, "target_session_attrs=standby")


def urls_of(dsn: str) -> Sequence[str]:
    """Return a URL for each host of ``dsn``; of several, with the kind of session to look for."""
    parts = urlsplit(dsn)
    login, at, hosts = parts.netloc.rpartition("@")
    names = hosts.split(",")
    if len(names) == 1:
        return (dsn,)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    query = urlencode({"target_session_attrs": "read-write", **options})
    return [urlunsplit(parts._replace(netloc=f"{login}{at}{name}", query=query)) for name in names]
