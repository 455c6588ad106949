"""URLs of memories: what is wrong with one, and showing one without its secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from lionagi_qe.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from urllib.parse import SplitResult

# What follows the scheme is a file.
_FILES = frozenset({"sqlite", "memory", "unix"})
_HIDDEN = "***"
_LAST_PORT = 65535
_ESCAPES = (
    "write '/', '?', '#', '@', '[' and ']' in a user's name, password or database as %2F, %3F, "
    "%23, %40, %5B and %5D"
)
# Options whose values are no secrets. Of all others nothing is shown: what is meant as one may be
# the rest of a password with a '&'.
_SHOWN = frozenset(
    {
        "application_name",
        "channel_binding",
        "client_name",
        "colocate",
        "connect_timeout",
        "database",
        "db",
        "dbname",
        "default_ttl",
        "host",
        "pool_size",
        "port",
        "protocol",
        "schema",
        "shards",
        "ssl_cert_reqs",
        "ssl_check_hostname",
        "sslmode",
        "sslrootcert",
        "synchronous",
        "target_session_attrs",
        "wait_replicas",
    }
)
_OPTION = re.compile(r"[a-z_]{1,40}")
_PATH = re.compile(r"[^:@=?#&\s]*")
# Of which what stands where a user's name belongs is often a password or a token, alone.
_LOGIN_IS_SECRET = ("redis", "valkey", "unix", "http", "git")


def check_url(url: str) -> SplitResult:
    """Return a URL's parts.

    Raises:
        ConfigurationError: it can't be read, an option is there twice, or a part of a password
            would be taken for the host, the port or the database, and then be told in messages.

    """
    try:
        parts = urlsplit(url)
    except ValueError:
        # The error quotes what may be a password.
        msg = f"memory URL {redact(url)!r} can't be read: its host is none; {_ESCAPES}"
        raise ConfigurationError(msg) from None
    _check_once(url, [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)])
    if _is_misread(parts):
        msg = (
            f"memory URL {redact(url)!r}: its port is no number from 1 to {_LAST_PORT}, or it has "
            f"characters that mean something else in a URL; {_ESCAPES}"
        )
        raise ConfigurationError(msg)
    return parts


def _check_once(url: str, names: Sequence[str]) -> None:
    """Refuse an option that is there twice: drivers take the first or the last without a word."""
    for at, name in enumerate(names, 1):
        if name in names[: at - 1]:
            # Its name may be a part of a password.
            msg = f"memory URL {redact(url)!r}: its option number {at} is there twice"
            raise ConfigurationError(msg)


def redact(url: str) -> str:
    """Return ``url`` for messages and logs: without passwords, and whatever may be one.

    Shown are scheme, user (of Redis only one that has a password beside it), hosts, database, and
    the values of options that are known to be no secrets.
    """
    if "://" not in url:
        # libpq's "host=... password=..." and what else is no URL, but for paths.
        return url if _PATH.fullmatch(url) else _HIDDEN
    try:
        parts = urlsplit(url)
    except ValueError:
        return _HIDDEN
    if _is_misread(parts):
        return f"{parts.scheme}://{_HIDDEN}"
    if not parts.netloc and not parts.query and not parts.fragment:
        # Nothing to hide; and putting it together again would lose slashes of a file's path.
        return url
    fragment = _HIDDEN if parts.fragment else ""
    return urlunsplit((parts.scheme, _login_hidden(parts), parts.path, _query(parts), fragment))


def unknown_option(name: str, options: Sequence[tuple[str, str]]) -> str:
    """Return the complaint about an option, whose name may be the rest of a password with a '&'."""
    may_be_secret = not _OPTION.fullmatch(name) or any("pass" in each for each, _ in options)
    if not may_be_secret:
        return f"unknown option {name!r}"
    number = [each for each, _ in options].index(name) + 1
    return f"its option number {number} is unknown; write '&' in a password as %26"


def _login_hidden(parts: SplitResult) -> str:
    login, at, hosts = parts.netloc.rpartition("@")
    if not at:
        return hosts
    if ":" not in login and parts.scheme.startswith(_LOGIN_IS_SECRET):
        return f"{_HIDDEN}@{hosts}"
    # A colon that was escaped along with the password is meant as one.
    user = re.split(":|%3a", login, maxsplit=1, flags=re.IGNORECASE)[0]
    return parts.netloc if user == login else f"{user}:{_HIDDEN}@{hosts}"


def _query(parts: SplitResult) -> str:
    return "&".join(
        f"{name}={value}" if name in _SHOWN else f"{_name(name)}={_HIDDEN}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )


def _name(name: str) -> str:
    """Return an option's name, if it surely is one."""
    return name if _OPTION.fullmatch(name) and "pass" in name else _HIDDEN


def _is_misread(parts: SplitResult) -> bool:
    """Whether a user's name or password seems to go on behind what was taken for the host."""
    if parts.scheme == "unix":
        return not parts.netloc.endswith("@") and parts.netloc != ""
    if parts.scheme in _FILES:
        return not {"@", ":"}.isdisjoint(parts.netloc)
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


def take_option(url: str, name: str) -> tuple[str, str | None]:
    """Return a URL without this option, and the option's value; None if it isn't there.

    ConfigurationError if it is there twice, or says nothing.
    """
    head, mark, query = url.partition("?")
    kept: list[str] = []
    value: str | None = None
    for part in query.split("&") if mark else ():
        option, _, text = part.partition("=")
        if unquote(option) == name:
            if not text or value is not None:
                msg = f"memory URL {redact(url)!r}: the option {name} is empty, or there twice"
                raise ConfigurationError(msg)
            value = unquote(text)
        else:
            kept.append(part)
    if value is None:
        return url, None
    return head + ("?" + "&".join(kept) if kept else ""), value
