"""Key material in memory: it signs, wraps, round-trips, and never shows itself."""

from __future__ import annotations

import copy
import pickle

import pytest

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.keys import AES_256, ECDSA_P256, ED25519
from hauberk.custody.keys._versions import from_json, generate, wrapped_under

ALL = pytest.mark.parametrize("algorithm", [ED25519, ECDSA_P256, AES_256])


@ALL
def test_a_version_survives_its_json_form(algorithm):
    version = generate(algorithm)
    again = from_json(algorithm, version.to_json())
    assert (again.id, again.algorithm) == (version.id, algorithm)
    if algorithm == AES_256:
        assert again.unwrap(version.wrap(b"secret", b"x"), b"x") == b"secret"
    else:
        version.public.verify(again.sign(b"message"), b"message")


@ALL
def test_no_secret_is_printed_pickled_or_copied(algorithm):
    version = generate(algorithm)
    secret = version.to_json()["secret"]
    assert secret not in repr(version) + str(version)
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickled or copied"):
            act(version)


@pytest.mark.parametrize("algorithm", [ED25519, ECDSA_P256])
def test_signatures_are_deterministic(algorithm):
    version = generate(algorithm)
    assert version.sign(b"message") == version.sign(b"message")


def test_a_wrapped_key_names_its_version_and_is_bound_to_its_context():
    one, other = generate(AES_256), generate(AES_256)
    wrapped = one.wrap(b"secret", b"here")
    assert wrapped_under(wrapped) == one.id
    for version, data, context in (
        (other, wrapped, b"here"),
        (one, wrapped, b"there"),
        (one, wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"here"),
        (one, wrapped[:1] + bytes([wrapped[1] ^ 1]) + wrapped[2:], b"here"),
    ):
        with pytest.raises(NotProven):
            version.unwrap(data, context)
    for foreign in (b"", b"\x02" + wrapped[1:], wrapped[:5]):
        with pytest.raises(NotProven):
            wrapped_under(foreign)


def test_a_json_form_that_does_not_fit_is_refused():
    signing, wrapping = generate(ED25519).to_json(), generate(AES_256).to_json()
    for algorithm, value in (
        (ED25519, signing | {"id": "0" * 64}),
        (ECDSA_P256, signing),
        (AES_256, wrapping | {"secret": "AAAA"}),
        (AES_256, wrapping | {"id": "00"}),
        (ED25519, wrapping),
        (ED25519, {}),
    ):
        with pytest.raises((ValueError, KeyError, TypeError)):
            from_json(algorithm, value)
    with pytest.raises(InvalidInput, match="known: "):
        generate("rsa-2048")
