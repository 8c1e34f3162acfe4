"""The form of a data key that a service wrapped: golden bytes, strict reading, and the check inside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.keys._wrapped import Wrapped, context, guard, unguard

ASCII = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)


def test_the_form_is_this_and_stays_this():
    data = Wrapped("vault", "3", b"sealed").to_bytes()
    assert data.hex() == "02" + "05" + b"vault".hex() + "0001" + b"3".hex() + b"sealed".hex()
    assert context(b"").startswith("ff3c7512")
    assert guard(b"k" * 32, b"a").hex().startswith("6b" * 32 + "d58299cc")


@given(holder=ASCII, version=ASCII, sealed=st.binary(min_size=1, max_size=80))
def test_what_was_written_is_read(holder, version, sealed):
    value = Wrapped(holder, version, sealed)
    assert Wrapped.read(value.to_bytes(), holder=holder) == value


@given(st.binary(max_size=60))
def test_other_bytes_are_not_proven(data):
    with pytest.raises(NotProven):
        Wrapped.read(data, holder="vault")


def test_another_holders_is_named():
    data = Wrapped("awskms", "arn", b"x").to_bytes()
    with pytest.raises(NotProven, match="wrapped by 'awskms', not by vault"):
        Wrapped.read(data, holder="vault")
    with pytest.raises(NotProven, match="wrapped by a keyring"):
        Wrapped.read(b"\x01" + bytes(60), holder="vault")


@given(secret=st.binary(min_size=1, max_size=64), associated=st.binary(max_size=40), at=st.integers(0, 95))
def test_the_check_holds_for_this_secret_and_this_context_alone(secret, associated, at):
    given_out = guard(secret, associated)
    assert unguard(given_out, associated) == secret
    with pytest.raises(NotProven):
        unguard(given_out, associated + b"!")
    changed = bytearray(given_out)
    changed[at % len(changed)] ^= 1
    with pytest.raises(NotProven):
        unguard(bytes(changed), associated)


def test_nothing_is_nothing():
    with pytest.raises(InvalidInput):
        guard(b"", b"")
    for size in (0, 31, 32):
        with pytest.raises(NotProven):
            unguard(bytes(size), b"")
