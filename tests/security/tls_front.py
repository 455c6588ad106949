"""TLS in front of a server that has none: by OpenSSL, as stunnel or a provider's proxy does it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import trustme

SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"
LOST = (OSError, asyncio.IncompleteReadError)


class TlsFront:
    """A port that speaks TLS, and passes on what it gets to the plain server of a URL.

    Args:
        url: of the server. For PostgreSQL, clients ask for TLS first, as its protocol has it.
        certificate: of the port.
        clients: who signs certificates of clients; with it they must have one.
        port: to listen at; 0 for any.

    Attributes:
        served: how many clients took the certificate.
    """

    def __init__(
        self,
        url: str,
        certificate: trustme.LeafCert,
        *,
        clients: trustme.CA | None = None,
        port: int = 0,
    ) -> None:
        parts = urlsplit(url)
        self._behind = parts.hostname or "localhost", parts.port or 0
        self._asked = parts.scheme.startswith("postgres")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self._context)
        if clients is not None:
            clients.configure_trust(self._context)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._pipes: set[asyncio.Task[None]] = set()
        self.port = port
        self.served = 0

    async def __aenter__(self) -> Self:
        context = None if self._asked else self._context
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            with contextlib.suppress(*LOST), contextlib.closing(writer.transport):
                if self._asked:
                    assert await reader.readexactly(8) == SSL_REQUEST
                    writer.write(b"S")
                    await writer.start_tls(self._context)
                self.served += 1
                inner, outer = await asyncio.open_connection(*self._behind)
                with contextlib.closing(outer.transport):
                    await asyncio.wait(
                        {
                            asyncio.ensure_future(_pass_on(reader, outer)),
                            asyncio.ensure_future(_pass_on(inner, writer)),
                        },
                        return_when=asyncio.FIRST_COMPLETED,
                    )
        finally:
            self._pipes.discard(task)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(*LOST):
        while some := await reader.read(65_536):
            writer.write(some)
            await writer.drain()


def write_all(authority: trustme.CA, certificate: trustme.LeafCert, folder: Path) -> None:
    """Write an authority's certificate, and one with its key, as files."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    (folder / "key.pem").chmod(0o600)
