"""Names as segments of keys."""

from __future__ import annotations

import hashlib
import re

_LONGEST_SEGMENT = 300
_LONGEST_PROJECT = 100
_ESCAPED = re.compile("[/%\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def segment(text: str, longest: int = _LONGEST_SEGMENT) -> str:
    """Return ``text`` as one segment of a key, readable; different texts stay different.

    '/', '%' and what keys may not hold is percent-encoded; what is too long is cut, with a hash.
    """
    escaped = _ESCAPED.sub(_percent, text) or "%"
    if len(escaped.encode()) <= longest:
        return escaped
    digest = hashlib.sha256(escaped.encode()).hexdigest()[:24]
    kept = escaped.encode()[: longest - len(digest) - 1].decode(errors="ignore")
    return f"{kept}%{digest}"


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def project_segment(name: str) -> str:
    """Return a project's name as a segment, short enough to leave room for others."""
    return segment(name, _LONGEST_PROJECT)
