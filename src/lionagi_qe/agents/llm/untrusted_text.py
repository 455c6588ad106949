"""Text of others in a prompt, marked as data."""

from __future__ import annotations

import re
import secrets

_CLOSING = re.compile(r"<(?=/?\s*untrusted)", re.IGNORECASE)


def fenced(text: str) -> str:
    """Return a text between tags that it can't close: a model is told that it is data."""
    nonce = secrets.token_hex(4)
    return (
        f'<untrusted-code nonce="{nonce}">\n{_CLOSING.sub("&lt;", text)}\n'
        f'</untrusted-code nonce="{nonce}">'
    )
