"""Ranges of keys, as ranges of what keys are stored as."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lionagi_qe.errors import InvalidKeyError
from lionagi_qe.persistence.hidden_names.names import whole_segments
from lionagi_qe.persistence.values.keys import ROOT, KeyRange, check_key

if TYPE_CHECKING:
    from lionagi_qe.persistence.hidden_names.names import Names

# What follows '/', with which a prefix of whole segments ends.
_BEHIND_SLASH = chr(ord("/") + 1)


def stored_range(names: Names, keys: KeyRange) -> KeyRange:
    """Return the stored names of a key, of all below a level, or of what follows a key there.

    "Follows" is by stored names: what comes behind a key or a child in pages, not in the alphabet.

    Raises:
        HiddenNamesError: the range is bounded by something else than whole segments.

    """
    if keys == KeyRange.of_key(keys.first):
        return KeyRange.of_key(names.key(keys.first))
    level = _level_before(keys.before)
    if level is None or not (keys.first.startswith(level) or level.startswith(keys.first)):
        raise _refused(keys)
    stored = KeyRange.of_prefix(names.prefix(level))
    if keys.exclusive:
        return stored.after(names.key(_key_below(level, keys)))
    if keys.first == level or ROOT.startswith(keys.first):
        return stored
    child = _level_before(keys.first)
    if child is None:
        raise _refused(keys)
    behind = KeyRange.of_prefix(names.prefix(child)).before
    return KeyRange(behind, stored.before)


def _level_before(bound: str) -> str | None:
    """Return the level all of whose keys lie right below ``bound``; None if it bounds none."""
    level = f"{bound[:-1]}/"
    return level if bound.endswith(_BEHIND_SLASH) and level.startswith(ROOT) else None


def _key_below(level: str, keys: KeyRange) -> str:
    try:
        if keys.first.startswith(level):
            return check_key(keys.first)
    except InvalidKeyError:
        pass
    raise _refused(keys)


def _refused(keys: KeyRange) -> Exception:
    if keys.exclusive:
        return whole_segments(f"keys behind {keys.first!r}")
    return whole_segments(f"keys that start with {keys.first!r}")
