"""Hypothesis strategies: valid keys, values, partitions and patterns, hard ones among them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from lionagi_qe.persistence.values.keys import MAX_KEY_BYTES, ROOT

_CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="/")
_HARD = st.sampled_from(list("*?[]\\%_{}:!-^ .'\"\u00e9\uffee😀"))
_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1


def keys() -> st.SearchStrategy[str]:
    """Valid keys, of one to four segments."""
    segment = st.text(_CHARACTERS | _HARD, min_size=1, max_size=12)
    key = st.lists(segment, min_size=1, max_size=4).map(lambda parts: ROOT + "/".join(parts))
    return key.filter(lambda key: len(key.encode()) <= MAX_KEY_BYTES)


def json_values(max_leaves: int = 8) -> st.SearchStrategy[Any]:
    """Values that come back as they are: JSON data with integers of 64 bits and finite floats."""
    text = st.text(st.characters(codec="utf-8"), max_size=20)
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(_SMALLEST_INTEGER, _LARGEST_INTEGER)
        | st.floats(allow_nan=False, allow_infinity=False)
        | text
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
        max_leaves=max_leaves,
    )


def partitions() -> st.SearchStrategy[str]:
    """Valid partition names; few, so that entries share them."""
    return st.sampled_from(["default", "red", "blue/%", "é"])


def globs() -> st.SearchStrategy[str]:
    """Valid patterns that match some of the keys which the other strategies make."""
    piece = st.sampled_from(
        ["*", "?", "[ab]", "[!a]", "[a-z]", "[]]", "[%*]", "\\*", "\\[", "a", "b", "/", "é", "%"]
    )
    tail = st.lists(piece, max_size=5).map("".join)
    return st.sampled_from(["aqe/", "aqe/a", "", "*"]).flatmap(
        lambda head: tail.map(lambda rest: head + rest)
    )


def matches(pattern: str, text: str) -> bool:
    """Whether ``text`` fits ``pattern``: a plain recursive matcher to compare others with.

    It shares nothing with the memory's own matcher, and may take exponential time.
    """
    if not pattern:
        return not text
    if pattern[0] == "*":
        return matches(pattern[1:], text) or bool(text and matches(pattern, text[1:]))
    if not text:
        return False
    if pattern[0] == "?":
        return matches(pattern[1:], text[1:])
    if pattern[0] == "[":
        fits, rest = _class_fits(pattern, text[0])
        return fits and matches(rest, text[1:])
    literal = pattern[1:] if pattern[0] == "\\" else pattern
    return literal[0] == text[0] and matches(literal[1:], text[1:])


def _class_fits(pattern: str, character: str) -> tuple[bool, str]:
    """Whether ``character`` is in the class that ``pattern`` starts with; and what follows it."""
    negated = pattern[1] == "!"
    at = 2 if negated else 1
    end = pattern.index("]", at + 1)
    members = pattern[at:end]
    fits = False
    position = 0
    while position < len(members):
        if members[position + 1 : position + 2] == "-" and position + 2 < len(members):
            fits = fits or members[position] <= character <= members[position + 2]
            position += 3
        else:
            fits = fits or members[position] == character
            position += 1
    return fits != negated, pattern[end + 1 :]
