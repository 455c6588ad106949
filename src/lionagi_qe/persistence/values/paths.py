"""Places in values, as indexes and filters name them: ``$.title``, ``at.file``, ``notes[*]``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MISSING = object()
_STEP = re.compile(r"(?:^|\.)(?P<name>[^.\[\]]+)|\[(?P<at>-?\d{1,9}|\*)\]")

Step = str | int | None


@lru_cache(maxsize=1_024)
def parse_path(path: str) -> tuple[Step, ...]:
    """Return the steps of a path: names, places in lists (negative: from the end), None for all.

    ``*`` and ``[*]`` are all items of a list, or all values of an object.

    ``$`` is the value itself, and ``$.`` at the beginning may be left out.
    """
    rest = path[1:].removeprefix(".") if path.startswith(("$.", "$[")) or path == "$" else path
    steps: list[Step] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None:
            break
        place = found["at"]
        name = found["name"] if place is None else place
        steps.append(None if name == "*" else name if place is None else int(place))
        at = found.end()
    if at < len(rest) or not (steps or path == "$"):
        msg = (
            f"path {path!r}: write names with dots between, as $.title, meta.file or notes[*].text"
        )
        raise InvalidArgumentError(msg)
    return tuple(steps)


def check_path(path: object) -> str:
    """Return a path, or raise InvalidArgumentError."""
    if not isinstance(path, str):
        msg = f"path {path!r}: a path is a string, as $.title"
        raise InvalidArgumentError(msg)
    parse_path(path)
    return path


def value_at(value: Any, path: str) -> Any:  # noqa: ANN401 - JSON data
    """Return the first that is at the path, or MISSING."""
    return next(iter(values_at(value, path)), MISSING)


def values_at(value: Any, path: str) -> Iterable[Any]:  # noqa: ANN401 - JSON data
    """Return all that is at the path, in its order."""
    found = [value]
    for step in parse_path(path):
        if isinstance(step, str):
            found = [each[step] for each in found if isinstance(each, dict) and step in each]
        else:
            found = [item for each in found for item in _items(each, step)]
    return found


def _items(value: Any, at: int | None) -> Iterable[Any]:  # noqa: ANN401 - JSON data
    """Return the item at a place of a list, or all items: of an object the values."""
    if at is None and isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    if not isinstance(value, list):
        return ()
    items = cast("list[Any]", value)
    if at is None:
        return items
    return items[at:][:1] if -len(items) <= at else ()


def texts_in(value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON data
    """Yield the texts and numbers in a value, in their order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from texts_in(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
