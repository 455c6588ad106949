"""Patterns: the compiled matcher against a plain recursive one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lionagi_qe import InvalidArgumentError
from lionagi_qe.persistence.values.glob import compile_glob
from lionagi_qe.testing.strategies import globs, keys, matches

_TEXTS = keys() | st.text(st.sampled_from("abz/%*[]\\é"), max_size=8).map("aqe/".__add__)


@given(pattern=globs(), text=_TEXTS)
def test_matching_is_that_of_the_plain_matcher(pattern: str, text: str) -> None:
    assert compile_glob(pattern).matches(text) == matches(pattern, text)


@given(pattern=globs(), text=_TEXTS)
def test_every_match_starts_with_the_literal_prefix(pattern: str, text: str) -> None:
    glob = compile_glob(pattern)
    if glob.matches(text):
        assert text.startswith(glob.prefix)


@given(keys())
def test_an_escaped_key_matches_itself_alone(key: str) -> None:
    escaped = "".join(f"\\{character}" for character in key)
    glob = compile_glob(escaped)
    assert glob.whole == "literal"
    assert glob.prefix == key
    assert glob.matches(key)
    assert not glob.matches(key + "x")


def test_a_pattern_says_what_follows_its_prefix() -> None:
    assert compile_glob("aqe/a").whole == "literal"
    assert compile_glob("aqe/a*").whole == "prefix"
    assert compile_glob("aqe/a***").whole == "prefix"
    assert compile_glob("aqe/a*b").whole == "filter"
    assert compile_glob("aqe/a?").prefix == "aqe/a"


def test_stars_do_not_make_matching_explode() -> None:
    """Backtracking matchers need longer than the universe for this one."""
    glob = compile_glob("*a" * 200 + "b")
    start = time.process_time()
    assert not glob.matches("a" * 500)
    assert time.process_time() - start < 30


@pytest.mark.parametrize("character", ["\0", "\n", "\x1b", "\x7f", "\x9f", "\ud800"], ids=ascii)
def test_what_no_key_holds_is_refused(character: str) -> None:
    with pytest.raises(InvalidArgumentError, match="control character or a lone surrogate"):
        compile_glob(f"aqe/a{character}*")
