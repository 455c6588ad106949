"""Times as people write them."""

from __future__ import annotations

import re

from lionagi_qe.errors import InvalidArgumentError

_TIME_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds_of(text: str) -> float:
    """Return the seconds of a time above 0: ``90``, ``90s``, ``1.5m``, ``1h``.

    Raises:
        InvalidArgumentError: the text is none.

    """
    match = _TIME_SPAN.fullmatch(text)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if seconds <= 0:
        raise InvalidArgumentError(f"{text!r} is no time above 0; write seconds, or 90s, 2m, 1h")
    return seconds
