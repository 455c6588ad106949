"""What a build said of itself where it failed, out of the words of the installer that ran it."""

from __future__ import annotations

import re
from itertools import takewhile

# uv's, then pip's: what the build wrote follows.
_BEGINS = re.compile(r"\[stderr\]|\[\d+ lines? of output\]")
_ENDS = ("[end of output]", "hint:")
_ERROR = re.compile(r"(?:[A-Za-z_][\w.]*(?:Error|Exception)|error|fatal error)(?::|$)")
_PLACE = re.compile(r"File \"(?P<file>[^\"<]+)\", line (?P<line>\d+)")


def error_of_build(lines: list[str]) -> str | None:
    """Return the last error that a build told; None if no build did.

    Args:
        lines: of the installer, without what frames them.

    """
    begin = next((n for n, line in enumerate(lines) if _BEGINS.search(line)), None)
    if begin is None:
        return None
    said = list(takewhile(lambda line: not line.startswith(_ENDS), lines[begin + 1 :]))
    at = next((n for n in reversed(range(len(said))) if _ERROR.match(said[n])), None)
    if at is None:
        return None
    if not said[at].startswith(("SyntaxError", "IndentationError", "TabError")):
        return said[at]
    places = [found for line in said[:at] if (found := _PLACE.match(line))]
    where = f" ({places[-1]['file']}, line {places[-1]['line']})" if places else ""
    return f"{said[at]}{where}"
