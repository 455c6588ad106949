"""URLs of memories: what is wrong with one, and showing one without its secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from lionagi_qe.errors import ConfigurationError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

# What follows the scheme is a file.
_FILES = frozenset({"sqlite", "memory", "unix"})
_LAST_PORT = 65535
_ESCAPES = (
    "write '/', '?', '#', '@', '[' and ']' in a user's name, password or database as %2F, %3F, "
    "%23, %40, %5B and %5D"
)


def check_url(url: str) -> SplitResult:
    """Return a URL's parts.

    Raises:
        ConfigurationError: it can't be read, or a part of a password would be taken for the host,
            the port or the database, and then be told in messages.

    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        # The error quotes what may be a password.
        msg = f"memory URL {redact(url)!r} can't be read: its host is none; {_ESCAPES}"
        raise ConfigurationError(msg) from error
    if _is_misread(parts):
        msg = (
            f"memory URL {redact(url)!r}: its port is no number from 1 to {_LAST_PORT}, or it has "
            f"characters that mean something else in a URL; {_ESCAPES}"
        )
        raise ConfigurationError(msg)
    return parts


def redact(url: str) -> str:
    """Return ``url`` with its password, if any, replaced by ``***``; for messages and logs."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "***"
    if _is_misread(parts):
        return f"{parts.scheme}://***"
    query = "&".join(
        f"{name}=***" if "pass" in name.lower() else f"{name}={value}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    netloc = parts.netloc
    if not netloc and not parts.query:
        # Nothing to hide; and putting it together again would lose slashes of a file's path.
        return url
    if "@" in netloc:
        user, host = netloc.rsplit("@", 1)
        netloc = f"{user.split(':', 1)[0]}:***@{host}" if ":" in user else netloc
    return urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment))


def _is_misread(parts: SplitResult) -> bool:
    """Whether a user's name or password seems to go on behind what was taken for the host."""
    if parts.scheme in _FILES:
        return False
    _, at, hosts = parts.netloc.rpartition("@")
    if not all(map(_has_port_if_any, hosts.split(","))):
        return True
    names = [option.partition("=")[0] for option in parts.query.split("&")]
    odd = [parts.path, parts.fragment, *names]
    if not at and not parts.path:
        odd.append(parts.query)
    return any("@" in text for text in odd)


def _has_port_if_any(host: str) -> bool:
    port = host.rpartition("]")[2].partition(":")[2]
    return not port or (port.isdecimal() and 0 < int(port) <= _LAST_PORT)
