"""The part of a key URI after its scheme, parsed strictly."""

from __future__ import annotations

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.custody.keys._uri import read_place

FORM = "x://HOST/PATH"


def place(rest):
    return read_place("x", rest, known=("a", "timeout"), form=FORM)


def test_host_path_and_options_are_read():
    found = place("//host:9/one/two/?a=%2Fb&timeout=2.5")
    assert (found.host, found.path, found.options) == ("host:9", "one/two", {"a": "/b", "timeout": "2.5"})
    assert found.number("timeout", 10, low=0.1, high=300) == 2.5
    assert place("//host").number("timeout", 10, low=0.1, high=300) == 10


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("//user:secret@host/path", "no user and no password"),
        ("//host?b=1", "unknown option 'b'"),
        ("//host?a=1&a=2", "given twice"),
        ("host", "Write x://"),
    ],
)
def test_what_does_not_fit_is_refused_and_no_secret_is_repeated(rest, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        place(rest)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["soon", "0", "301", "nan", "inf", ""])
def test_a_number_out_of_range_is_refused(value):
    with pytest.raises(InvalidInput):
        place(f"//host?timeout={value}").number("timeout", 10, low=0.1, high=300)
