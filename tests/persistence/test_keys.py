"""Key ranges: of a prefix exactly the keys that start with it, in every backend's order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lionagi_qe.persistence.values.keys import KeyRange, check_key
from lionagi_qe.testing.strategies import keys

_TAILS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=4)


def _within(key: str, keys_of: KeyRange) -> bool:
    lower = key > keys_of.first if keys_of.exclusive else key >= keys_of.first
    return lower and key < keys_of.before


@given(prefix=keys() | _TAILS.map("aqe/".__add__), key=keys())
def test_a_prefix_spans_the_keys_that_start_with_it_and_no_others(prefix: str, key: str) -> None:
    assert _within(key, KeyRange.of_prefix(prefix)) == key.startswith(prefix)


@given(prefix=keys(), tail=_TAILS)
def test_what_extends_a_prefix_is_in_its_range(prefix: str, tail: str) -> None:
    assert _within(prefix + tail, KeyRange.of_prefix(prefix))


@given(first=keys(), second=keys())
def test_keys_sort_like_their_utf8_bytes(first: str, second: str) -> None:
    assert (first < second) == (first.encode() < second.encode())


def test_the_range_goes_on_behind_a_key() -> None:
    rest = KeyRange.of_prefix("aqe/a").after("aqe/a/1")
    assert not _within("aqe/a/1", rest)
    assert _within("aqe/a/10", rest)
    assert not _within("aqe/b", rest)


def test_prefixes_at_the_edges_of_unicode_have_ranges() -> None:
    last = chr(0x10FFFF)
    assert _within(f"aqe/{last}{last}x", KeyRange.of_prefix(f"aqe/{last}"))
    assert not _within("aqe/a", KeyRange.of_prefix(last))
    # The code point after this one would be a surrogate.
    assert _within("aqe/\ud7ffx", KeyRange.of_prefix("aqe/\ud7ff"))
    assert not _within("aqe/\ue000", KeyRange.of_prefix("aqe/\ud7ff"))


@given(keys())
def test_keys_of_the_strategy_are_valid(key: str) -> None:
    assert check_key(key) == key
