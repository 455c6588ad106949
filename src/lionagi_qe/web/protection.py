"""Who may look and who may change: hosts, sessions, and what browsers are told to refuse.

A session is a cookie signed with the console's token, so that several processes know it without
sharing anything. Whoever can't make the signature has no session; what changes something needs a
form that this session was given, and comes from a page of ours.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SESSION_SECONDS = 12 * 3600
LEAST_TOKEN = 16
_MORE_THAN_A_HOST = frozenset("/?#@\\")
_HEADERS = {
    # No script and no style but our own files; nobody may show the console in a frame.
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self'; "
    b"img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    b"frame-ancestors 'none'",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    # None at all would hide from us as well which page sends a form.
    b"referrer-policy": b"same-origin",
    b"x-content-type-options": b"nosniff",
}


@dataclass(frozen=True, slots=True)
class Access:
    """What the console lets people do.

    Attributes:
        token: whoever shows it has a session; None if nobody can have one.
        write: whoever has a session may change things.
        private: whoever only looks needs it as well.
        hosts: by what names browsers may ask for the console; any, if empty.
    """

    token: str | None = None
    write: bool = False
    private: bool = False
    hosts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse a token that could be guessed, and privacy without one."""
        if self.token is not None and len(self.token) < LEAST_TOKEN:
            raise InvalidArgumentError(
                f"the token has {len(self.token)} characters; take at least {LEAST_TOKEN}, "
                "as python -c 'import secrets; print(secrets.token_urlsafe())' makes them"
            )
        if (self.private or self.write) and self.token is None:
            raise InvalidArgumentError("a console that is private, or lets change, needs a token")

    def accepts(self, token: str) -> bool:
        """Whether this is the token; takes the same time for all that are not."""
        return self.token is not None and hmac.compare_digest(token.encode(), self.token.encode())

    def new_session(self) -> str:
        """Return the cookie of a session that lasts ``SESSION_SECONDS``."""
        body = f"{int(time.time()) + SESSION_SECONDS}.{secrets.token_urlsafe(16)}"
        return f"{body}.{self._sign('session', body)}"

    @property
    def cookie(self) -> str:
        """The cookie's name, this console's own: all of a host share its ports' cookies."""
        return f"aqe_session_{self._sign('cookie', '')[:8]}"

    def has_session(self, request: Request) -> bool:
        """Whether the request has the cookie of a session that lasts."""
        cookie = request.cookies.get(self.cookie, "")
        body, _, signature = cookie.rpartition(".")
        if self.token is None or not hmac.compare_digest(
            signature.encode(), self._sign("session", body).encode()
        ):
            return False
        return int(body.split(".")[0]) > time.time()

    def form_key(self, request: Request) -> str:
        """Return what forms of this session carry, so that no other page can send them."""
        return self._sign("form", request.cookies.get(self.cookie, ""))

    def may_change(self, request: Request) -> bool:
        """Whether who asks may change things."""
        return self.write and self.has_session(request)

    def may_send(self, request: Request) -> bool:
        """Whether a form comes from a page of ours, in a session that lasts."""
        return self.may_change(request) and is_own_origin(request)

    def owns(self, request: Request, form_key: str) -> bool:
        """Whether a form was given to this session."""
        return hmac.compare_digest(form_key.encode(), self.form_key(request).encode())

    def _sign(self, kind: str, text: str) -> str:
        key = (self.token or "").encode()
        return hmac.new(key, f"{kind}\0{text}".encode(), hashlib.sha256).hexdigest()


def is_own_origin(request: Request) -> bool:
    """Whether a browser sends this from a page of ours; False if it doesn't say.

    Browsers compare the addresses that they see, where no script can have a say; a proxy may hand
    on a Host without the port. Over plain HTTP they tell the origin alone.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    named = request.headers.get("origin", "").partition("://")[2]
    return bool(named) and named == request.headers.get("host", "")


class Guard:
    """Refuses requests for hosts that aren't ours, and tells browsers what to refuse.

    A name that an attacker's server resolves to our address (DNS rebinding) is no host of ours.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 421 for another's host; else go on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if (
            self._hosts
            and host_name(headers.get(b"host", b"").decode("latin-1")) not in self._hosts
        ):
            await send(
                {
                    "type": "http.response.start",
                    "status": 421,
                    "headers": [(b"content-type", b"text/plain; charset=utf-8")],
                }
            )
            await send(
                {
                    "type": "http.response.body",
                    "body": b"This console does not go by that name; see --allow-host.\n",
                }
            )
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS.items()]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def host_name(host: str) -> str:
    """Return the name in a Host header, without its port and brackets; "" if it is more than one.

    What stands behind a slash there would be taken for a path by who puts an address together.
    """
    if not _MORE_THAN_A_HOST.isdisjoint(host):
        return ""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
