"""Readable names of learned things as segments of keys."""

from __future__ import annotations

import re
from functools import lru_cache

from lionagi_qe.errors import InvalidArgumentError

ROOT = "aqe/learning"

_RESERVED = re.compile(r"[%/\x00-\x1f\x7f-\x9f]")
_QUOTED = re.compile(r"%([0-9A-F]{2})")


@lru_cache(maxsize=65_536)
def segment(name: str) -> str:
    """Return ``name`` as one segment of a key: ``/``, ``%`` and control characters as %XX.

    Raises:
        InvalidArgumentError: the name is empty or no string.

    """
    # Callers hand in what agents call their states, so types are not to be trusted.
    if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgumentError(f"name {name!r}: a state, action or arm is a non-empty string")
    return _RESERVED.sub(lambda found: f"%{ord(found[0]):02X}", name)


def name_of(quoted: str) -> str:
    """Return the name that ``segment`` turned into ``quoted``."""
    return _QUOTED.sub(lambda found: chr(int(found[1], 16)), quoted)
