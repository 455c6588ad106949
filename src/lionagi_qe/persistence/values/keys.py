"""What a key, a prefix, a partition and a fleet may be called, and the ranges they span.

All backends order keys by their UTF-8 bytes, which is Python's order of strings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lionagi_qe.errors import InvalidArgumentError, InvalidKeyError

ROOT = "aqe/"
MAX_KEY_BYTES = 512
# Of one whose name is hidden, which only servers see.
MAX_STORED_KEY_BYTES = 2048
MAX_PARTITION_BYTES = 128
DEFAULT_PARTITION = "default"
DEFAULT_FLEET = "default"

# Category Cc (C0, DEL, C1) and surrogates, which have no UTF-8 form.
_FORBIDDEN = "\x00-\x1f\x7f-\x9f\ud800-\udfff"
_matches = re.compile(f"aqe(?:/[^/{_FORBIDDEN}]++)+").fullmatch
_TEXT = re.compile(f"[^{_FORBIDDEN}]*")
_FLEET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LAST_CHARACTER = chr(0x10FFFF)
_ROOT_PREFIXES = frozenset(ROOT[:size] for size in range(len(ROOT)))
_FIRST_SURROGATE = 0xD800
_LAST_SURROGATE = 0xDFFF
# UTF-8 spends at most 4 bytes a character, so shorter strings need no counting.
_SURELY_SHORT = MAX_KEY_BYTES // 4


def check_key(key: object) -> str:
    """Return ``key`` if it is a valid key, else raise InvalidKeyError naming it and the rule."""
    if (
        isinstance(key, str)
        and _matches(key)
        and (len(key) <= _SURELY_SHORT or len(key.encode()) <= MAX_KEY_BYTES)
    ):
        return key
    raise InvalidKeyError(_key_complaint(key))


def _key_complaint(key: object) -> str:
    if not isinstance(key, str):
        return f"key {key!r}: a key is a string, not {type(key).__name__}"
    shown = repr(key if len(key) <= _SURELY_SHORT else key[:_SURELY_SHORT] + "...")
    if not _TEXT.fullmatch(key):
        return f"key {shown}: holds a control character or a lone surrogate; remove it"
    if not key.startswith(ROOT):
        return f"key {shown}: keys start with {ROOT!r}, for example {ROOT}plans/v1"
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"key {shown}: {len(key.encode())} bytes of UTF-8, the limit is {MAX_KEY_BYTES}"
    return f"key {shown}: has an empty segment; write one '/' between names and none at the end"


def check_prefix(prefix: object, name: str = "prefix") -> str:
    """Return ``prefix`` (None becomes '') if keys could start with it, else raise.

    A prefix is plain text: ``aqe/a`` matches ``aqe/ab`` too; end it with '/' for descendants.
    ``name`` is the argument's, for the message.
    """
    if prefix is None:
        return ""
    if not isinstance(prefix, str):
        msg = f"{name} {prefix!r}: is a string, not {type(prefix).__name__}"
        raise InvalidArgumentError(msg)
    if not _TEXT.fullmatch(prefix):
        msg = f"{name} {prefix!r}: holds a control character or a lone surrogate; remove it"
        raise InvalidArgumentError(msg)
    return prefix


def check_partition(partition: object) -> str:
    """Return ``partition`` if it is a valid partition name, else raise InvalidArgumentError."""
    return check_name("partition", partition)


def check_name(kind: str, name: object) -> str:
    """Return ``name`` if a ``kind`` (partition, lease, queue) may be called so, else raise."""
    if not isinstance(name, str) or not name:
        msg = f"{kind} {name!r}: a {kind} is a non-empty string"
        raise InvalidArgumentError(msg)
    if not _TEXT.fullmatch(name):
        msg = f"{kind} {name!r}: holds a control character or a lone surrogate; remove it"
        raise InvalidArgumentError(msg)
    size = len(name.encode())
    if size > MAX_PARTITION_BYTES:
        msg = f"{kind} {name[:40]!r}...: {size} bytes of UTF-8, the limit is {MAX_PARTITION_BYTES}"
        raise InvalidArgumentError(msg)
    return name


def check_fleet(fleet: object) -> str:
    """Return ``fleet`` if it is a valid fleet name, else raise InvalidArgumentError."""
    if isinstance(fleet, str) and _FLEET.fullmatch(fleet):
        return fleet
    msg = (
        f"fleet {fleet!r}: a fleet's name is 1 to 64 letters, digits, '.', '_' or '-', "
        "beginning with a letter or digit"
    )
    raise InvalidArgumentError(msg)


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys from ``first`` (left out if ``exclusive``) up to but not including ``before``."""

    first: str
    before: str
    exclusive: bool = False

    @classmethod
    def of_prefix(cls, prefix: str) -> KeyRange:
        """All keys that start with ``prefix``; none of the others."""
        return cls(prefix, _successor(prefix if prefix not in _ROOT_PREFIXES else ROOT))

    @classmethod
    def of_key(cls, key: str) -> KeyRange:
        """One key alone: none holds a character below the space."""
        return cls(key, f"{key} ")

    def after(self, key: str) -> KeyRange:
        """The part of the range that follows ``key``: the next page of a keyset scan."""
        return KeyRange(key, self.before, exclusive=True)


def _successor(prefix: str) -> str:
    """Return the smallest string above all that start with ``prefix``."""
    stem = prefix.rstrip(_LAST_CHARACTER)
    if not stem:
        # Nothing but last characters: no key begins so, and the range is empty.
        return prefix
    code = ord(stem[-1]) + 1
    if code == _FIRST_SURROGATE:
        code = _LAST_SURROGATE + 1
    return stem[:-1] + chr(code)
