"""What travels in front of a job's payload."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lionagi_qe.persistence.values.codec import encode
from lionagi_qe.persistence.values.headers import split_headers, with_headers
from lionagi_qe.testing.strategies import json_values

HEADERS = st.dictionaries(
    st.sampled_from(["traceparent", "tracestate"]), st.text(st.characters(max_codepoint=127))
)


@settings(max_examples=50)
@given(json_values(), HEADERS)
def test_headers_and_payload_come_back_as_they_were(value: Any, headers: dict[str, str]) -> None:
    payload = encode(value)
    stored = with_headers(payload, headers)
    assert split_headers(stored) == (headers, payload)
    assert split_headers(stored.decode()) == (headers, payload if headers else payload.decode())
    json.loads(stored)


def test_a_payload_without_headers_is_stored_as_it_is() -> None:
    assert with_headers(b'{"a":1}', {}) == b'{"a":1}'


def test_a_payload_that_looks_like_headers_is_handed_out_as_it_was() -> None:
    payload = with_headers(b"1", {"traceparent": "x"})
    assert split_headers(with_headers(payload, {})) == ({}, payload)


@pytest.mark.parametrize(
    "stored",
    [
        b'{"$aqe:headers":',
        b'{"$aqe:headers":1,"payload":2}',
        b'{"$aqe:headers":{"a":1},"payload":2}',
        b'{"$aqe:headers":{"a":"1"},"other":2}',
        b'{"$aqe:headers":nonsense,"payload":2}',
    ],
)
def test_what_no_put_of_ours_made_is_a_payload(stored: bytes) -> None:
    assert split_headers(stored) == ({}, stored)
