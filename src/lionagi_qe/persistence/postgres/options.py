"""Options of libpq in a URL that the driver does not know: done here, or refused with what to say.

Unknown options reach the server as settings of the session, as do ``options=-c name=value``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from lionagi_qe.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_HELD = "sslmode=verify-full"
_VERIFIED = "sslmode=verify-full&sslrootcert=system, which checks the server's certificate and name"
# What these values ask for, the driver does anyway.
_NOTHING_TO_DO: Mapping[str, frozenset[str]] = {
    "channel_binding": frozenset({"disable", "prefer", "require"}),
    "client_encoding": frozenset({"utf8", "utf-8", "unicode", "auto"}),
    "gssencmode": frozenset({"disable", "prefer"}),
    "load_balance_hosts": frozenset({"disable"}),
    "sslcertmode": frozenset({"allow"}),
    "sslcompression": frozenset({"0"}),
    "sslsni": frozenset({"1"}),
}
# Of these and of other values of those above: what to do instead.
_INSTEAD = {
    "channel_binding": "one of disable, prefer, require",
    "client_encoding": "texts go as UTF-8; leave it out",
    "gssencmode": f"the driver can't encrypt by GSSAPI; leave it out and write {_VERIFIED}",
    "hostaddr": "write the address as the host",
    "load_balance_hosts": "hosts are asked in their order; leave it out",
    "pgbouncer": "a pooler is noticed without it; leave it out",
    "replication": "leave it out",
    "require_auth": f"the driver can't insist on it; leave it out and write {_VERIFIED}",
    "ssl": "write sslmode=require, or better sslmode=verify-full",
    "sslcertmode": "leave it out",
    "sslcompression": "the driver doesn't compress; leave it out",
    "sslcrldir": "write sslcrl with one file",
    "sslsni": "the driver tells the name; leave it out",
}
# Modes in which TLS may be left out, if only somebody in between says no to it.
_YIELDING = frozenset({"disable", "allow", "prefer"})
_OF_TLS = (
    *("sslrootcert", "sslcrl", "sslcert", "sslkey", "sslpassword"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
)
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_SYSTEM = "system"
_KEEPALIVES = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}
# What libpq raises a lower one to.
_LEAST_TIMEOUT = 2


@dataclass(frozen=True, slots=True)
class Options:
    """What a URL asks of a connection beside what the driver reads in it.

    Attributes:
        timeout: seconds that one host has to answer; None for the driver's own.
        application_name: what the server's lists call the connection; None for ours.
        tls: how to encrypt, where the driver would not know.
    """

    timeout: float | None = None
    application_name: str | None = None
    tls: ssl.SSLContext | None = None
    _sockets: Mapping[str, int] = field(default_factory=dict[str, int])

    def settle(self, connection: Any) -> None:  # noqa: ANN401 - the driver's own
        """Set what the URL says of the connection's socket."""
        found = connection._transport.get_extra_info("socket")  # noqa: SLF001 - it has no other way
        if found is None or found.family == socket.AF_UNIX:
            return
        for name, value in self._sockets.items():
            # One system has not all of them, and 0 means the system's own.
            number = getattr(socket, _KEEPALIVES.get(name, ""), None)
            with contextlib.suppress(OSError):
                if name == "keepalives":
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, value)
                elif number is not None and value:
                    found.setsockopt(socket.IPPROTO_TCP, number, value)


def take_options(dsn: str) -> tuple[str, Options]:
    """Return a URL as the driver reads it, and what the rest of its options ask for.

    Raises:
        ConfigurationError: an option can't be followed, or a file that it names isn't there.

    """
    parts = urlsplit(dsn)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if given.get("channel_binding", "").lower() == "require":
        _verify_instead(given)
    for name in [name for name in given if name in _NOTHING_TO_DO or name in _INSTEAD]:
        if given.pop(name).lower() not in _NOTHING_TO_DO.get(name, frozenset()):
            raise _refused(name, _INSTEAD[name])
    wanted = [*_KEEPALIVES, "keepalives"]
    sockets = {name: _number(name, given.pop(name)) for name in wanted if name in given}
    names = [given.pop(name, None) for name in ("application_name", "fallback_application_name")]
    timeout = _timeout(given.pop("connect_timeout", None))
    tls = _tls(given)
    query = urlencode(given)
    url = urlunsplit(parts._replace(query=query)) if dsn else ""
    return url, Options(timeout, names[0] or names[1], tls, sockets)


def _verify_instead(given: dict[str, str]) -> None:
    """Have the server's certificate and name verified, where the channel is to be bound.

    The driver can't bind to it. What that keeps out, somebody in between who has no certificate of
    the server's, verifying keeps out too; ``sslmode=require``, which providers write beside it,
    would let them in.
    """
    if given.get("sslmode") in {"disable", "allow"}:
        raise _refused("channel_binding", f"needs TLS, which sslmode={given['sslmode']} leaves out")
    given["sslmode"] = "verify-full"
    given.setdefault("sslrootcert", os.environ.get("PGSSLROOTCERT") or _SYSTEM)


def _check_insisting(given: Mapping[str, str]) -> None:
    """Refuse options of TLS where it is not insisted on: they would hold for nothing."""
    mode = given.get("sslmode") or os.environ.get("PGSSLMODE") or "prefer"
    named = next((name for name in _OF_TLS if given.get(name)), None)
    # A service's file may have a mode.
    by_service = "service" in given or "PGSERVICE" in os.environ
    by_system = given.get("sslrootcert") == _SYSTEM and "sslmode" not in given
    if named is not None and mode in _YIELDING and not by_system and not by_service:
        raise _refused(
            named, f"does nothing with sslmode={mode}, which goes on in clear; write {_HELD}"
        )


def _tls(given: dict[str, str]) -> ssl.SSLContext | None:
    """Return how to encrypt by the system's authorities; their options are taken out then."""
    system = given.get("sslrootcert") == _SYSTEM
    for name in _FILES:
        path = given.get(name)
        if path and not (system and name == "sslrootcert") and not Path(path).is_file():
            raise _refused(name, f"there is no such file: {path}")
    _check_insisting(given)
    if not system:
        return None
    mode = given.get("sslmode", "verify-full")
    if mode != "verify-full":
        raise _refused("sslrootcert", "=system goes with sslmode=verify-full only, as with libpq")
    context = ssl.create_default_context()
    try:
        if crl := given.pop("sslcrl", None):
            context.load_verify_locations(cafile=crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
        certificate, key = given.pop("sslcert", None), given.pop("sslkey", None)
        password = given.pop("sslpassword", "")
        if certificate:
            context.load_cert_chain(certificate, key, password)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _refused("sslcert", f"the client's certificate can't be used: {reason}") from error
    for name in ("sslmode", "sslrootcert"):
        given.pop(name, None)
    return context


def _timeout(text: str | None) -> float | None:
    seconds = 0 if text is None else _number("connect_timeout", text)
    return max(seconds, _LEAST_TIMEOUT) if seconds else None


def _number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise _refused(name, "must be a whole number")
    return int(text)


def _refused(name: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"memory URL of PostgreSQL: {name}: {reason}")
