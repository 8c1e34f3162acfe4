from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput

# RFC 8785 writes a float of 2**53 and more as an integer, which no reader could tell from one.
numbers = st.floats(-(2.0**53), 2.0**53, exclude_min=True, exclude_max=True)
leaves = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | numbers | st.text()
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_is_written_is_read_back_to_the_same_bytes(value):
    data = canonical.encode(value)
    again = canonical.decode(data, what="test")
    assert again == value
    assert canonical.encode(again) == data


def test_keys_are_sorted_by_utf16_as_rfc_8785_says():
    # The example of RFC 8785 section 3.2.3.
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert list(json.loads(canonical.encode(value)).values()) == [2, 4, 6, 7, 1, 5, 3]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**60, b"bytes", {1: 2}, object()])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(InvalidInput):
        canonical.encode(value)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b'{"a":1,"a":2}', b"NaN", b"[Infinity]", b"\xff", b"[" * 100_000, b'{"a":1} x', b"\xef\xbb\xbf1"],
)
def test_what_is_no_strict_json_names_its_source(data):
    with pytest.raises(InvalidInput, match="the manifest is not valid JSON"):
        canonical.decode(data, what="the manifest")
