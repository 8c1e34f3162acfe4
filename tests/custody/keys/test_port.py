"""Public keys: Wycheproof's signatures, both encodings of ECDSA, and one identifier for one key."""

import hashlib
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.keys.port import ECDSA_P256, ED25519, PublicKey

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def holds(public, signature, message):
    try:
        public.verify(signature, message)
    except NotProven:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("ed25519_test", 150),
        ("ecdsa_secp256r1_sha256_test", 480),
        ("ecdsa_secp256r1_sha256_p1363_test", 260),
    ],
)
def test_wycheproof_signatures_hold_exactly_when_they_are_valid(either, enough, name, least):
    suite = json.loads((either / "aead/wycheproof" / f"{name}.json").read_text())
    wrong, count = [], 0
    for group in suite["testGroups"]:
        public = PublicKey.from_spki(bytes.fromhex(group["publicKeyDer"]))
        assert public == PublicKey.from_pem(group["publicKeyPem"].encode())
        for test in group["tests"]:
            count += 1
            found = holds(public, bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"]))
            if test["result"] != "acceptable" and found != (test["result"] == "valid"):
                wrong.append((test["tcId"], test["comment"]))
    assert enough(count, least)
    assert wrong == []


def p256():
    key = ec.derive_private_key(0xD7A1, ec.SECP256R1())
    return key, PublicKey.from_spki(key.public_key().public_bytes(DER, SPKI))


def key_that_signed(message, k, s):
    """The key under which (r, s) signs `message` with nonce k, r the x of k*G; so a test can choose r and s."""
    r = ec.derive_private_key(k, ec.SECP256R1()).public_key().public_numbers().x % ORDER
    z = int.from_bytes(hashlib.sha256(message).digest(), "big")
    key = ec.derive_private_key((s * k - z) * pow(r, -1, ORDER) % ORDER, ec.SECP256R1())
    return PublicKey.from_spki(key.public_key().public_bytes(DER, SPKI)), r


def raw(r, s):
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_a_signature_holds_in_der_and_in_raw_form():
    key, public = p256()
    for number in range(20):
        message = b"m%d" % number
        der = key.sign(message, ec.ECDSA(hashes.SHA256()))
        public.verify(der, message)
        public.verify(raw(*utils.decode_dss_signature(der)), message)
        assert not holds(public, der, message + b"!")


def test_a_raw_signature_that_begins_like_der_holds():
    # This nonce gives r = 0x303E...: by its first two bytes the signature is DER of 64 bytes.
    message = b"begins like DER"
    public, r = key_that_signed(message, 82_845, ORDER // 3)
    signature = raw(r, ORDER // 3)
    assert signature[:2] == b"\x30\x3e"
    public.verify(signature, message)
    assert not holds(public, signature, b"another message")


def test_der_of_exactly_64_bytes_holds():
    message, s = b"short s", 1 << 198
    public, r = key_that_signed(message, 82_845, s)
    signature = utils.encode_dss_signature(r, s)
    while len(signature) < 64:
        s <<= 1
        public, r = key_that_signed(message, 82_845, s)
        signature = utils.encode_dss_signature(r, s)
    assert len(signature) == 64
    public.verify(signature, message)
    assert not holds(public, signature, b"another message")


def test_garbage_of_any_length_is_refused_and_raises_nothing_else():
    _, p = p256()
    edwards = ed25519.Ed25519PrivateKey.from_private_bytes(b"\1" * 32).public_key()
    e = PublicKey.from_spki(edwards.public_bytes(DER, SPKI))
    for public in (p, e):
        for length in (0, 1, 63, 64, 65, 72, 1000):
            for byte in (b"\0", b"\x30", b"\xff"):
                assert not holds(public, byte * length, b"m")


def test_a_compressed_point_is_the_same_key_under_the_same_identifier():
    key, public = p256()
    compressed = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    head = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    found = PublicKey.from_spki(head + compressed)
    assert found == public
    assert found.key_id == public.key_id
    with pytest.raises(InvalidInput):
        PublicKey(ECDSA_P256, head + compressed)


def test_a_key_held_under_another_algorithm_is_refused():
    _, public = p256()
    with pytest.raises(InvalidInput):
        PublicKey(ED25519, public.spki)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(DER, SPKI),
        lambda: ec.generate_private_key(ec.SECP256K1()).public_key().public_bytes(DER, SPKI),
        lambda: b"",
        lambda: b"not DER",
        lambda: p256()[1].spki + b"\0",
        lambda: p256()[1].spki[:-1],
    ],
)
def test_other_curves_and_damaged_keys_are_refused(make):
    spki = make()
    with pytest.raises(InvalidInput):
        PublicKey.from_spki(spki)
    with pytest.raises(InvalidInput):
        PublicKey(ECDSA_P256, spki)


def test_pem_round_trip_and_raw_bytes():
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"\1" * 32).public_key()
    public = PublicKey.from_spki(key.public_bytes(DER, SPKI))
    assert PublicKey.from_pem(public.pem().encode()) == public
    assert public.raw == key.public_bytes_raw()
    with pytest.raises(InvalidInput, match="Ed25519"):
        _ = p256()[1].raw
    with pytest.raises(InvalidInput):
        PublicKey.from_pem(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
