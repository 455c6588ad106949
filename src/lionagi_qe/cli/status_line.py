"""The last line of a terminal, written anew again and again; what else is written goes above it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import unicodedata
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Generator

_USUAL = 80
# What knows no carriage return, as the shell in an editor.
_DUMB = ("dumb", "unknown")
_lock = threading.RLock()
_lines: list[StatusLine] = []


def has_status_line() -> bool:
    """Whether a line on standard error can be written anew: a person's terminal, no CI server's."""
    in_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
    return sys.stderr.isatty() and not in_ci and os.environ.get("TERM") not in _DUMB


@contextmanager
def above_status_line() -> Generator[None]:
    """Take the line away while something else is written; it comes back when it is shown again."""
    with _lock:
        for line in _lines:
            line.clear()
        yield


class StatusLine:
    """One line, from ``with`` on until its end, which leaves nothing of it behind.

    Args:
        stream: a terminal.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._width = 0
        self._text = ""

    def __enter__(self) -> Self:
        """Begin with nothing."""
        with _lock:
            _lines.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing."""
        with _lock:
            self.clear()
            _lines.remove(self)

    def show(self, text: str) -> None:
        """Write it in the place of what is there, as much of it as the terminal is wide."""
        shown, width = _fitting(" ".join(text.split()), self._columns() - 1)
        with _lock:
            if shown != self._text:
                self._write(f"\r{shown}{' ' * (self._width - width)}")
                self._text, self._width = shown, width

    def clear(self) -> None:
        """Take it away."""
        with _lock:
            if self._width:
                self._write(f"\r{' ' * self._width}\r")
                self._text, self._width = "", 0

    def _columns(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            # Of a pseudo-terminal that nobody gave a size, there are none.
            return os.get_terminal_size(self._stream.fileno()).columns or _USUAL
        return _USUAL

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _fitting(text: str, columns: int) -> tuple[str, int]:
    """Return the beginning of a text that is no wider, and how wide that is."""
    width = 0
    for at, character in enumerate(text):
        more = _columns_of(character)
        if width + more > columns:
            return text[:at], width
        width += more
    return text, width


def _columns_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
