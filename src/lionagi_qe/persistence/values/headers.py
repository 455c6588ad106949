"""Headers of a job: what travels in front of its payload, in the same text.

So they are sealed, replaced, tried again and removed together with the payload, on every backend. A
payload without headers is stored as it is, so that nothing changes for who has no use for them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# JSON that no payload begins with: one that does is stored behind headers, if empty ones.
_BEGINNING = b'{"$aqe:headers":'
_BEGINNINGS = frozenset({_BEGINNING, _BEGINNING.decode()})
_MIDDLE = b',"payload":'
_END = b"}"


def with_headers(payload: bytes, headers: Mapping[str, str]) -> bytes:
    """Return an encoded payload with headers in front of it; none of them is called payload."""
    if not headers and not payload.startswith(_BEGINNING):
        return payload
    told = json.dumps(dict(headers), separators=(",", ":")).encode()
    return b"".join((_BEGINNING, told, _MIDDLE, payload, _END))


def split_headers(stored: bytes | str) -> tuple[dict[str, str], bytes | str]:
    """Return headers, {} if there are none, and the payload as it was encoded."""
    if isinstance(stored, str):
        if not stored.startswith(_BEGINNING.decode()):
            return {}, stored
        stored = stored.encode()
    elif not stored.startswith(_BEGINNING):
        return {}, stored
    told, _, rest = stored[len(_BEGINNING) :].partition(_MIDDLE)
    headers = _headers_in(told)
    if headers is None or not rest.endswith(_END):
        # A payload that only looks like that, of who knows no headers.
        return {}, stored
    return headers, rest[: -len(_END)]


def any_headers(stored: Iterable[bytes | str]) -> bool:
    """Whether one of these may have headers; quicker than to split each."""
    return not _BEGINNINGS.isdisjoint([payload[: len(_BEGINNING)] for payload in stored])


def _headers_in(text: bytes) -> dict[str, str] | None:
    try:
        found: Any = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    headers = cast("dict[str, Any]", found)
    return headers if all(isinstance(value, str) for value in headers.values()) else None
