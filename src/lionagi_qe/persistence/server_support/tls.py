"""What errors of TLS mean, and whether a server speaks it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

# What the other side of a broken handshake seems to speak.
_OTHER = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
# Parts of reasons of a handshake that neither time nor another try will mend.
_FINAL = ("ALERT", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "NO_SHARED_CIPHER")


def tls_refusal(error: BaseException | None) -> str | None:
    """Return why a connection by TLS was refused and what to do, if an error comes from that.

    None for all others, those of a connection by TLS that was lost as well.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, ssl.SSLError):
            return _explained(error)
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _explained(error: ssl.SSLError) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        return (
            f"its certificate is not accepted ({reason}); connect by a name that it has, and name "
            "the authority that signed it (ssl_ca_certs of Redis, sslrootcert of PostgreSQL)"
        )
    reason = error.reason or ""
    if reason.startswith(_OTHER):
        return "speaks no TLS at this port; write redis:// or sslmode=disable if that is right"
    if any(part in reason for part in _FINAL):
        shown = reason.replace("_", " ").lower()
        return f"refuses TLS ({shown}); it may want a client's certificate, or another version"
    return None


async def speaks_tls(host: str, port: int, within: float) -> bool:
    """Whether a server answers a handshake of TLS, with whatever certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as error:
        # A server that wants a certificate of us speaks it, too.
        return not (error.reason or "").startswith(_OTHER)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def answers_plainly(host: str, port: int, question: bytes, within: float) -> bool:
    """Whether a server answers a question that is not encrypted."""
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection(host, port)
            with contextlib.closing(writer.transport):
                writer.write(question)
                answer = await reader.read(1)
    except (OSError, TimeoutError):
        return False
    # An alert of TLS begins with 21.
    return answer not in {b"", b"\x15"}
