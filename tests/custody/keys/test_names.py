"""Names that every key holder accepts, and the shared errors."""

from __future__ import annotations

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.custody.keys import _names


@pytest.mark.parametrize("name", ["a", "0", "claims-data", "a.b_c-9", "a" * 64])
def test_a_usable_name_is_returned(name):
    assert _names.usable(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", ".a", "a/b", "a b", "é", "a" * 65, "a\n", "../a"])
def test_any_other_name_is_refused(name):
    with pytest.raises(InvalidInput, match="cannot name a key"):
        _names.usable(name)


def test_an_unknown_name_lists_the_known_ones():
    assert "'x'; known: a, b" in str(_names.unknown("x", ["a", "b"]))
    assert "rotate it" in str(_names.taken("x"))
    assert "name a signing key" in str(_names.cannot_sign("x", "aes-256"))
    assert "name an aes-256 key" in str(_names.cannot_encrypt("x", "ed25519"))
