"""The codec: equal after the round trip, or refused naming the path."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lionagi_qe.errors import DecryptionError, InvalidValueError, ValueTooLargeError
from lionagi_qe.persistence.values.codec import decode, decode_as, encode
from lionagi_qe.testing.strategies import json_values

_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=3)
    | st.sampled_from([{1}, (1, 2), object(), 1j]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3)
        | st.tuples(inner)
    ),
    max_leaves=6,
)


@given(json_values())
def test_what_json_holds_comes_back_equal_and_of_the_same_types(value: Any) -> None:
    back = decode(encode(value))
    assert back == value
    assert json.dumps(back, sort_keys=True) == json.dumps(value, sort_keys=True)


@given(_ANYTHING)
def test_anything_comes_back_equal_or_is_refused_by_path(value: Any) -> None:
    try:
        payload = encode(value)
    except InvalidValueError as error:
        assert str(error).startswith("value at $")  # noqa: PT017 - either outcome is right
    else:
        assert json.loads(payload) == _lists(value)


def _lists(value: Any) -> Any:
    """Return the value with its tuples as lists, which is how JSON has them."""
    if isinstance(value, list | tuple):
        return [_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return value


def test_the_size_is_that_of_the_encoding_in_bytes() -> None:
    assert encode("é", max_bytes=4) == '"é"'.encode()
    with pytest.raises(ValueTooLargeError, match="4 bytes of JSON: the limit is 3"):
        encode("é", max_bytes=3)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidValueError, match="nested deeper"):
        encode(value)


def test_nan_is_refused_though_it_is_not_equal_to_itself() -> None:
    with pytest.raises(InvalidValueError, match=r"\$\.a\[1\]"):
        encode({"a": [1.0, math.nan]})


def test_what_is_sealed_is_told_as_such_where_a_type_is_asked_for() -> None:
    with pytest.raises(DecryptionError, match="keys="):
        decode_as(b"~2026-11~AAAA", int)
