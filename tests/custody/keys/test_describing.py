"""What is said of keys: enough to tell them apart, and no secret."""

from __future__ import annotations

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.custody.keys import AES_256, ED25519, open_keys
from hauberk.custody.keys.describing import Described, described, listed


def test_each_key_is_described(tmp_path, cheap_keys):
    keys = open_keys(cheap_keys(tmp_path / "keyring"), passphrase=lambda: b"correct horse")
    keys.create("signing", ED25519)
    keys.create("data", AES_256)
    keys.rotate("signing")
    assert listed(keys) == [
        Described("data", AES_256, None, 1),
        Described("signing", ED25519, keys.publics("signing")[0].key_id, 2),
    ]
    with pytest.raises(InvalidInput, match="no key is named"):
        described(keys, "other")
