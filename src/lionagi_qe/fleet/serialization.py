"""What goes to another process and comes back: the fleet's own objects as compact text.

Only the classes that are listed here are made from what was received, field by field: reading it
runs nothing.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from lionagi_qe.agents.base import Findings, Share
from lionagi_qe.agents.history import History
from lionagi_qe.agents.line_map import TestMap, as_entry, of_entry
from lionagi_qe.agents.metric import Metric
from lionagi_qe.agents.project.diff import Change, Diff, Hunk
from lionagi_qe.errors import InvalidValueError
from lionagi_qe.fleet.comparison import Comparison, Since, Slower

_CLASSES: dict[str, type[Any]] = {
    each.__name__: each
    for each in (Change, Comparison, Diff, Findings, Hunk, Metric, History, Share, Since, Slower)
}
_MARK = "$"
# Of JSON text, which takes many times as much as Python objects.
MAX_TEXT_BYTES = 256 * 1024 * 1024


def packed(value: object) -> str:
    """Return an object as text, compressed.

    Raises:
        InvalidValueError: a part of it is neither JSON data nor one of the fleet's own.

    """
    text = json.dumps(_plain(value), separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode())).decode()


def unpacked(text: str) -> Any:  # noqa: ANN401 - what was packed
    """Return what ``packed`` was given.

    Raises:
        InvalidValueError: it is nothing that ``packed`` returned, or too large.

    """
    try:
        return _restored(json.loads(_decompressed(base64.b64decode(text))))
    except InvalidValueError:
        raise
    except (zlib.error, ValueError, TypeError, LookupError, RecursionError) as error:
        msg = f"what was received is nothing that workers and commanders send: {error}"
        raise InvalidValueError(msg) from error


def _decompressed(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    plain = unpacker.decompress(packed, MAX_TEXT_BYTES)
    if unpacker.unconsumed_tail:
        msg = f"what was received is more than the {MAX_TEXT_BYTES:,} bytes that a message may have"
        raise InvalidValueError(msg)
    if not unpacker.eof:
        raise InvalidValueError("what was received is cut short")
    return plain


def _plain(value: Any) -> Any:  # noqa: ANN401 - any object
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith(_MARK) for key in value):
            return {key: _plain(each) for key, each in value.items()}
        return {_MARK: "dict", "items": [[_plain(key), _plain(value[key])] for key in value]}
    return _marked(value)


def _marked(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any object
    if isinstance(value, tuple):
        return {_MARK: "tuple", "items": [_plain(each) for each in value]}
    if isinstance(value, frozenset | set):
        return {_MARK: "set", "items": [_plain(each) for each in sorted(value)]}
    if isinstance(value, TestMap):
        return {_MARK: "TestMap"} | _of_map(value)
    if is_dataclass(value) and type(value).__name__ in _CLASSES:
        own = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        return {_MARK: type(value).__name__} | own
    raise InvalidValueError(f"{type(value).__name__} {value!r:.80}: is no plain data")


def _restored(data: Any) -> Any:  # noqa: ANN401 - JSON data
    if isinstance(data, list):
        return [_restored(each) for each in data]
    if not isinstance(data, dict):
        return data
    kind = data.pop(_MARK, None)
    if kind is None:
        return {key: _restored(each) for key, each in data.items()}
    if not isinstance(kind, str):
        raise InvalidValueError("what was received names its kind by no text")
    if kind in _SPECIAL:
        return _SPECIAL[kind](data)
    if kind not in _CLASSES:
        raise InvalidValueError(f"{kind!r}: a worker and a commander of other versions met")
    return _CLASSES[kind](**{name: _restored(each) for name, each in data.items()})


def _of_map(test_map: TestMap) -> dict[str, Any]:
    return {
        "commit": test_map.commit,
        "tests": sorted(test_map.tests),
        "files": [as_entry(file, mapped) for file, mapped in test_map.files.items()],
    }


def _as_map(data: Mapping[str, Any]) -> TestMap:
    files = {entry["file"]: of_entry(entry) for entry in data["files"]}
    return TestMap(data["commit"], frozenset(data["tests"]), files)


_SPECIAL: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "TestMap": _as_map,
    "dict": lambda data: {_restored(key): _restored(each) for key, each in data["items"]},
    "set": lambda data: frozenset(map(_restored, data["items"])),
    "tuple": lambda data: tuple(map(_restored, data["items"])),
}
