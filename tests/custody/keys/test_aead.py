"""Sealing of small secrets: Wycheproof's AES-GCM, and tampering."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.core.errors import NotProven
from hauberk.custody.keys import _aead

KEY = bytes(range(32))


def test_wycheproof_aes_256_gcm(either, enough):
    suite = json.loads((either / "aead/wycheproof/aes_gcm_test.json").read_text())
    groups = [g for g in suite["testGroups"] if (g["keySize"], g["ivSize"], g["tagSize"]) == (256, 96, 128)]
    wrong, count = [], 0
    for test in (test for group in groups for test in group["tests"]):
        count += 1
        part = {name: bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")}
        try:
            plain = _aead.unseal(part["key"], part["iv"] + part["ct"] + part["tag"], part["aad"])
        except NotProven:
            plain = None
        if plain != (part["msg"] if test["result"] == "valid" else None):
            wrong.append(test["tcId"])
    assert enough(count, 60)
    assert wrong == []


@given(st.binary(max_size=100), st.binary(max_size=50), st.data())
def test_what_was_sealed_opens_and_with_one_bit_flipped_does_not(plaintext, associated, data):
    sealed = _aead.seal(KEY, plaintext, associated)
    assert _aead.unseal(KEY, sealed, associated) == plaintext
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    changed = bytearray(sealed)
    changed[bit // 8] ^= 1 << bit % 8
    for key, bytes_, context in (
        (KEY, bytes(changed), associated),
        (KEY, sealed, associated + b"\0"),
        (KEY[::-1], sealed, associated),
    ):
        with pytest.raises(NotProven):
            _aead.unseal(key, bytes_, context)


def test_every_cut_is_refused():
    sealed = _aead.seal(KEY, b"secret", b"")
    for length in range(len(sealed)):
        with pytest.raises(NotProven):
            _aead.unseal(KEY, sealed[:length], b"")


def test_each_sealing_draws_its_own_nonce():
    assert len({_aead.seal(KEY, b"x", b"")[:12] for _ in range(200)}) == 200
