"""Names that may be any text, as segments of a key: quoted, and what is long by its hash."""

from __future__ import annotations

import hashlib
import re

_MAX_SEGMENT_BYTES = 96
_RESERVED = re.compile(r"[%/\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_QUOTED = re.compile(r"%([0-9A-F]{2}|u[0-9A-F]{4})")
# A segment can't be empty, and no other text is quoted as one of these.
_EMPTY = "%"
_HASHED = "%h"
LONGEST_SEGMENT = "x" * _MAX_SEGMENT_BYTES


def quoted(text: str) -> str:
    """Return any text as one that UTF-8 has and no '/' or control character is in."""

    def quote(found: re.Match[str]) -> str:
        code = ord(found[0])
        return f"%{code:02X}" if code < 0x100 else f"%u{code:04X}"  # noqa: PLR2004 - two digits

    return _RESERVED.sub(quote, text)


def unquoted(text: str) -> str:
    """Return the text that ``quoted`` was given."""
    return _QUOTED.sub(lambda found: chr(int(found[1].removeprefix("u"), 16)), text)


def text_of(name: str) -> str | None:
    """Return the text that ``segment`` was given; None if only its hash is known."""
    if name.startswith(_HASHED):
        return None
    return "" if name == _EMPTY else unquoted(name)


def segment(text: str) -> str:
    """Return any text as a segment of a key: quoted, and what is long by its hash."""
    short = quoted(text)
    if len(short.encode()) <= _MAX_SEGMENT_BYTES:
        return short or _EMPTY
    return _HASHED + hashlib.sha256(short.encode()).hexdigest()
