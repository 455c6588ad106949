"""LangGraph's namespaces and keys, which may hold any text, as keys of the memory and back.

``("users", "ann"), "a/b"`` is ``users/ann/a%2Fb``: each label is a segment, the last one the key.
"""

from __future__ import annotations

import re
from functools import lru_cache

from lionagi_qe.errors import InvalidArgumentError

_RESERVED = re.compile(r"[%/\x00-\x1f\x7f-\x9f]")
_QUOTED = re.compile(r"%([0-9A-F]{2})")
# A segment can't be empty, and no other text is quoted as this.
_EMPTY = "%"


def key_of(namespace: tuple[str, ...], key: str) -> str:
    """Return the key of an item, below the store's prefix."""
    if not namespace:
        raise InvalidArgumentError("namespace (): an item has at least one label")
    return prefix_of(namespace) + _segment(key)


def prefix_of(namespace: tuple[str, ...]) -> str:
    """Return what the keys of all items in a namespace and below it start with."""
    try:
        return _prefix(namespace)
    except TypeError:
        # What can't be hashed holds no texts alone: this tells so.
        return _prefix.__wrapped__(namespace)


@lru_cache(maxsize=4_096)
def _prefix(namespace: tuple[str, ...]) -> str:
    return "".join(f"{_segment(_label(label, namespace))}/" for label in namespace)


def place_of(key: str) -> tuple[tuple[str, ...], str]:
    """Return the namespace and the key of the item that ``key_of`` called so."""
    *labels, name = map(_text, key.split("/"))
    return tuple(labels), name


def namespace_of(key: str) -> tuple[str, ...]:
    """Return the namespace of the item that ``key_of`` called so."""
    return place_of(key)[0]


def _label(label: object, namespace: tuple[str, ...]) -> str:
    # LangGraph checks labels in get, put, ... but not in batches, and refuses periods.
    if isinstance(label, str) and label and "." not in label:
        return label
    raise InvalidArgumentError(
        f"namespace {namespace!r}: a label is a non-empty string without a period, not {label!r}"
    )


def _segment(text: str) -> str:
    if not _RESERVED.search(text):
        return text or _EMPTY
    return _RESERVED.sub(lambda found: f"%{ord(found[0]):02X}", text)


def _text(segment: str) -> str:
    if segment == _EMPTY:
        return ""
    return _QUOTED.sub(lambda found: chr(int(found[1], 16)), segment)
