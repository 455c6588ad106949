"""What a failure was raised by, and where: enough to tell which failures are one.

Of each error of a chain or a group its type, the beginning of what it says, and its frames within
the project. Runs on every Python that pytest 7 runs on, so it keeps to the standard library and to
old syntax, and imports nothing of the fleet. PYTEST_DONT_REWRITE: it has no assertions.
"""

from __future__ import annotations

import linecache
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType, FrameType, TracebackType

# A failure of more parts than these is told by the first of them.
_MOST_ERRORS = 16
_MOST_FRAMES = 12
_LONGEST_MESSAGE = 1000
_LONGEST_LINE = 200
# Places of packages that are not the project's, wherever its environment lies.
_INSTALLED = ("site-packages", "dist-packages")

_root: list[str] = []
# Which of the lines in a function that read alike a line is.
_places: dict[tuple[CodeType, int], tuple[str, int]] = {}


def within(root: str) -> None:
    """Take a directory for the project's: frames of files in it are told."""
    _root[:] = [os.path.realpath(root) + os.sep]


def errors_of(error: BaseException) -> list[dict[str, Any]]:
    """Return an error and those that it came from or that it holds, as JSON data.

    The innermost frame of each comes first. Costs a walk over its trace.
    """
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting and len(found) < _MOST_ERRORS:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        found.append(
            {"type": _type_of(each), "said": _said(each), "frames": _frames(each.__traceback__)}
        )
        if isinstance(each, SyntaxError):
            found[-1]["frames"][:0] = _unreadable(each)
        waiting[:0] = _parts(each)
        before = _before(each)
        if before is not None:
            waiting.append(before)
    return found


def _parts(error: BaseException) -> list[BaseException]:
    """Return the errors of a group: Python's own, or that of its backport."""
    if not type(error).__name__.endswith("ExceptionGroup"):
        return []
    parts = getattr(error, "exceptions", None)
    if not isinstance(parts, tuple):
        return []
    return [part for part in parts if isinstance(part, BaseException)]


def _before(error: BaseException) -> BaseException | None:
    """Return what an error was raised from, or while it was handled."""
    if error.__cause__ is not None:
        return error.__cause__
    return None if error.__suppress_context__ else error.__context__


def _type_of(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__ in {"builtins", "__main__"}:
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _said(error: BaseException) -> str:
    if type(error).__name__ == "FixtureLookupError":
        # Its own text names the test that asked.
        return "fixture {!r}".format(getattr(error, "argname", ""))
    try:
        # The text of a group only counts its errors.
        text = str(getattr(error, "message", "")) if _parts(error) else str(error)
    except Exception:  # noqa: BLE001 - it is the project's, and may do anything
        return ""
    return text[:_LONGEST_MESSAGE]


def _frames(trace: TracebackType | None) -> list[tuple[str, str, str, int, int]]:
    """Return file, function, text of the line, which of those alike it is, and its number."""
    frames: list[tuple[FrameType, int]] = []
    while trace is not None:
        frames.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    found: list[tuple[str, str, str, int, int]] = []
    for frame, number in reversed(frames):
        file = _file_of(frame.f_code.co_filename)
        # Whoever hides a frame says that it is not where the failure is.
        if file is None or frame.f_locals.get("__tracebackhide__") is True:
            continue
        code = frame.f_code
        function = getattr(code, "co_qualname", code.co_name)
        found.append((file, function, *_line(code, number), number))
        if len(found) == _MOST_FRAMES:
            break
    return found


def _file_of(name: str) -> str | None:
    """Return a file by its name within the project; None if it is not the project's."""
    # What was made of a text, and what Python has frozen, are in no file.
    path = "" if name.startswith("<") else os.path.realpath(name)
    if not _root or not path.startswith(_root[0]):
        return None
    parts = path[len(_root[0]) :].replace(os.sep, "/").split("/")
    return None if any(part in _INSTALLED for part in parts) else "/".join(parts)


def _line(code: CodeType, number: int) -> tuple[str, int]:
    """Return what a line says, and which of those that say so it is: numbers change too easily."""
    if (code, number) not in _places:
        lines = linecache.getlines(code.co_filename)
        text = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        before = lines[max(code.co_firstlineno - 1, 0) : number]
        alike = sum(line.strip() == text for line in before)
        _places[code, number] = (text[:_LONGEST_LINE], alike)
    return _places[code, number]


def _unreadable(error: SyntaxError) -> list[tuple[str, str, str, int, int]]:
    """Return the place that an error in the source names: no frame is there yet."""
    file = None if error.filename is None else _file_of(error.filename)
    if file is None:
        return []
    text = (error.text or "").strip()[:_LONGEST_LINE]
    return [(file, "<source>", text, 1, error.lineno or 1)]
