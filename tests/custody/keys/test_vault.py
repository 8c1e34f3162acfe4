"""The keyring's file format: golden file, Argon2id as RFC 9106 says, hostile parameters, tampering."""

import base64
import json

import pytest
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.custody.keys import _aead
from hauberk.custody.keys._vault import LARGEST, Cost, FileKey, Vault

CHEAP = Cost(time=1, memory=8, lanes=1)


def unlock(data, passphrase):
    vault = Vault.read(data, what="keyring")
    return vault.key(passphrase).unlock(vault, what="keyring")


def test_a_file_of_version_1_still_opens():
    # Golden: written once with the passphrase "correct horse battery staple" and kept; the format must not drift.
    data = GOLDEN.encode()
    assert unlock(data, b"correct horse battery staple") == b'{"keys":"here"}'
    assert Vault.read(data, what="keyring").to_bytes() == data


def test_the_default_price_is_the_rfc_9106_second_recommendation():
    assert (Cost().time, Cost().memory, Cost().lanes) == (3, 64 * 1024, 4)
    value = json.loads(FileKey.fresh(b"passphrase", Cost()).lock(b"{}"))
    assert {name: value["argon2id"][name] for name in ("time", "memory", "lanes")} == {
        "time": 3,
        "memory": 65536,
        "lanes": 4,
    }
    derived = hash_secret_raw(
        b"passphrase", base64.b64decode(value["argon2id"]["salt"]), 3, 65536, 4, 64, Type.ID, version=0x13
    )
    assert base64.b64decode(value["check"]) == derived[32:]


@pytest.mark.parametrize(
    "changed",
    [
        {"memory": 2**40},
        {"memory": 2**21},
        {"memory": 7},
        {"memory": -1},
        {"memory": 0},
        {"memory": "65536"},
        {"memory": 65536.5},
        {"memory": None},
        {"memory": True},
        {"time": 2**31},
        {"time": 0},
        {"lanes": 255},
        {"lanes": 0},
        {"salt": "AAAA"},
        {"salt": base64.b64encode(b"s" * 4096).decode()},
        {"salt": 16},
        {"threads": 4},
    ],
)
def test_parameters_that_ask_for_the_whole_machine_or_make_no_sense_are_refused_before_work(changed):
    value = json.loads(FileKey.fresh(b"passphrase", CHEAP).lock(b"{}"))
    value["argon2id"] |= changed
    with pytest.raises(InvalidInput):
        Vault.read(canonical.encode(value), what="keyring")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'"x"', b"\xff", b"{" * 5000, b'{"argon2id":{}}'])
def test_what_is_no_keyring_is_refused(data):
    with pytest.raises(InvalidInput, match="keyring"):
        Vault.read(data, what="keyring")


def test_flipping_any_bit_of_any_byte_is_refused():
    data = FileKey.fresh(b"passphrase", CHEAP).lock(b'{"keys":"here"}')
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises(InvalidInput):
                unlock(bytes(changed), b"passphrase")


def test_every_cut_and_every_addition_is_refused():
    data = FileKey.fresh(b"passphrase", CHEAP).lock(b"{}")
    for changed in [data[:n] for n in range(len(data))] + [data + b"\n", b" " + data, data + b"\0"]:
        with pytest.raises(InvalidInput):
            unlock(changed, b"passphrase")


def test_the_sealed_part_of_another_file_under_the_same_passphrase_does_not_open():
    one, two = (json.loads(FileKey.fresh(b"passphrase", CHEAP).lock(b"%d" % n)) for n in (1, 2))
    with pytest.raises(InvalidInput):
        unlock(canonical.encode(one | {"sealed": two["sealed"]}), b"passphrase")


def test_a_wrong_passphrase_and_a_changed_file_read_the_same():
    data = FileKey.fresh(b"passphrase", CHEAP).lock(b"{}")
    value = json.loads(data)
    sealed = bytearray(base64.b64decode(value["sealed"]))
    sealed[-1] ^= 1
    changed = canonical.encode(value | {"sealed": base64.b64encode(bytes(sealed)).decode()})
    said = []
    for file, passphrase in ((data, b"Passphrase"), (changed, b"passphrase")):
        with pytest.raises(InvalidInput) as caught:
            unlock(file, passphrase)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "passphrase is wrong" in said[0]


def times(a, b):
    """The product in GCM's field, bits in GCM's order (NIST SP 800-38D §6.3)."""
    product = 0
    for bit in range(127, -1, -1):
        if b >> bit & 1:
            product ^= a
        a = a >> 1 ^ (0xE1 << 120 if a & 1 else 0)
    return product


def inverse(a):
    result = 1 << 127  # the field's one; a to the power 2**128 - 2
    for _ in range(127):
        a = times(a, a)
        result = times(result, a)
    return result


def block_of(key, data):
    cipher = Cipher(AES(key), ECB()).encryptor()
    return int.from_bytes(cipher.update(data), "big")


def sealed_for_both(keys, associated):
    """Nonce, one block of ciphertext and a tag that AES-GCM accepts under two keys: a partitioning oracle."""
    nonce = bytes(12)
    blocks = [associated[i : i + 16].ljust(16, b"\0") for i in range(0, len(associated), 16)]
    lengths = int.from_bytes((8 * len(associated)).to_bytes(8, "big") + (128).to_bytes(8, "big"), "big")
    hashes, known = [], []  # per key: H, and the tag but for the ciphertext's part
    for key in keys:
        h = block_of(key, bytes(16))
        total = 0
        for block in blocks:
            total = times(total ^ int.from_bytes(block, "big"), h)
        total = times(times(total, h) ^ lengths, h) ^ block_of(key, nonce + b"\0\0\0\1")
        hashes.append(times(h, h))
        known.append(total)
    ciphertext = times(known[0] ^ known[1], inverse(hashes[0] ^ hashes[1]))
    tag = known[0] ^ times(ciphertext, hashes[0])
    return nonce + ciphertext.to_bytes(16, "big") + tag.to_bytes(16, "big")


def test_a_file_forged_to_open_under_two_passphrases_opens_under_one():
    one = FileKey(b"first guess", b"s" * 16, CHEAP)
    two = FileKey(b"second guess", b"s" * 16, CHEAP)
    associated = canonical.encode(one.header.to_json())
    forged = sealed_for_both([one._key, two._key], associated)
    # AES-GCM alone takes it for genuine under both keys: whoever sees it open learns something of the passphrase.
    assert _aead.unseal(one._key, forged, associated) != _aead.unseal(two._key, forged, associated)
    vault = Vault(one.header, forged)
    assert len(one.unlock(vault, what="keyring")) == 16
    with pytest.raises(InvalidInput):
        two.unlock(vault, what="keyring")


def test_each_write_draws_a_nonce_and_each_passphrase_a_salt():
    key = FileKey.fresh(b"passphrase", CHEAP)
    sealed = [base64.b64decode(json.loads(key.lock(b"{}"))["sealed"])[:12] for _ in range(50)]
    assert len(set(sealed)) == 50
    assert FileKey.fresh(b"passphrase", CHEAP).header.salt != key.header.salt


def test_a_file_too_large_to_be_read_again_is_not_written():
    with pytest.raises(InvalidInput, match="limit"):
        FileKey.fresh(b"passphrase", CHEAP).lock(b"x" * LARGEST)


GOLDEN = (
    '{"argon2id":{"lanes":4,"memory":65536,"salt":"CMq52nXaZtQJfW4GwX/M8w==","time":3},"check":'
    '"Tjuc0X6/BMoansc8zKaxhet2XNQUlJm1wP0lci8wrdM=","format":"https://hauberk.dev/keyring/v1","sealed":"/'
    'ZdsekZx8hyQRS/5IlhQPk9koRc8hipqxsENnysvia5Nwcw72mmGr971YQ=="}'
)
