"""What can go wrong with a test server; each message says what to do."""

from __future__ import annotations

from lionagi_qe.errors import AqeError


class ServerNotFoundError(AqeError, LookupError):
    """No such server can be had on this machine."""


class ServerStartError(AqeError, RuntimeError):
    """A server was found but did not come up, or went down; its last words are quoted."""
