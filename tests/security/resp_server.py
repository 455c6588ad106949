"""A server that speaks Redis' protocol, by TLS or in clear, and lies about where others are."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    import trustme

LOST = (OSError, asyncio.IncompleteReadError)


class RespServer:
    """Answers commands by their first words; ``+OK`` to those that it was told nothing of.

    Args:
        certificate: of its TLS; None: it speaks in clear.

    Attributes:
        port: where it listens.
        answers: first words, upper case -> what is answered, as it goes over the wire.
        heard: all bytes that clients sent, those of TLS as they came out of it.
    """

    def __init__(self, certificate: trustme.LeafCert | None = None) -> None:
        self._context = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(self._context)
        self.port = 0
        self.answers: dict[str, bytes] = {}
        self.heard = b""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*LOST), contextlib.closing(writer.transport):
            while begun := await self._read(reader, 1):
                if begun != b"*":
                    await reader.read(4096)
                    return
                words = [await self._word(reader) for _ in range(int(await self._line(reader)))]
                command = b" ".join(words).decode().upper()
                known = (
                    answer for first, answer in self.answers.items() if command.startswith(first)
                )
                writer.write(next(known, b"+OK\r\n"))

    async def _word(self, reader: asyncio.StreamReader) -> bytes:
        length = int((await self._line(reader))[1:])
        return (await self._read(reader, length + 2))[:-2]

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        line = await reader.readuntil(b"\r\n")
        self.heard += line
        return line[:-2]

    async def _read(self, reader: asyncio.StreamReader, size: int) -> bytes:
        read = await reader.readexactly(size)
        self.heard += read
        return read
