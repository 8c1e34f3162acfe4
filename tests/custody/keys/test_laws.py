"""The laws of every key service, whoever keeps the keys."""

from __future__ import annotations

import copy
import os
import pickle

import pytest

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody import sealing
from hauberk.custody.keys import AES_256, ALGORITHMS, ECDSA_P256, ED25519, KEY_SERVICES
from hauberk.custody.keys.port import Destroyed

MEMBERS = ("awskms", "keyring", "oskeyring", "pkcs11", "vault")
SECRET = bytes(range(32))


@pytest.fixture(params=MEMBERS)
def service(request):
    return request.getfixturevalue(f"{request.param}_service")


@pytest.fixture
def sealer(service):
    service.create("data", AES_256)
    return service


def test_every_key_service_keeps_these_laws():
    assert tuple(entry.name for entry in KEY_SERVICES) == MEMBERS


def test_keys_are_found_by_name(service):
    assert dict(service.names()) == {}
    for algorithm in ALGORITHMS:
        service.create(f"a-{algorithm}", algorithm)
    assert dict(service.names()) == {f"a-{algorithm}": algorithm for algorithm in sorted(ALGORITHMS)}


def test_what_was_wrapped_unwraps(sealer):
    wrapped = sealer.wrap("data", SECRET, b"context")
    assert SECRET not in wrapped
    assert sealer.unwrap("data", wrapped, b"context") == SECRET
    assert sealer.wrap("data", SECRET, b"context") != wrapped


@pytest.mark.parametrize("size", [1, 32, 64])
def test_secrets_of_several_sizes(sealer, size):
    secret = os.urandom(size)
    assert sealer.unwrap("data", sealer.wrap("data", secret, b""), b"") == secret


def test_another_context_opens_nothing(sealer):
    wrapped = sealer.wrap("data", SECRET, b"context")
    with pytest.raises(NotProven):
        sealer.unwrap("data", wrapped, b"another context")


def test_no_changed_byte_opens(sealer):
    wrapped = sealer.wrap("data", SECRET, b"context")
    for at in {0, 1, 2, 3, 5, 9, 12, len(wrapped) // 2, len(wrapped) - 40, len(wrapped) - 1}:
        changed = bytearray(wrapped)
        changed[at] ^= 1
        with pytest.raises(NotProven):
            sealer.unwrap("data", bytes(changed), b"context")


@pytest.mark.parametrize(
    "foreign", [b"", b"\x02", b"\x02\x05vault", b"\x01" + bytes(60), b"\x02\x05other\0\x011x", bytes(80)]
)
def test_foreign_bytes_are_not_proven(sealer, foreign):
    with pytest.raises(NotProven):
        sealer.unwrap("data", foreign, b"")
    assert sealer.is_current("data", foreign) is False


def test_another_key_opens_nothing(sealer):
    sealer.create("other", AES_256)
    wrapped = sealer.wrap("data", SECRET, b"")
    with pytest.raises(NotProven):
        sealer.unwrap("other", wrapped, b"")


def test_rotation_keeps_what_was_wrapped_and_says_what_is_old(sealer):
    before = sealer.wrap("data", SECRET, b"")
    assert sealer.is_current("data", before) is True
    sealer.rotate("data")
    assert sealer.is_current("data", before) is False
    after = sealer.wrap("data", SECRET, b"")
    assert sealer.is_current("data", after) is True
    assert sealer.unwrap("data", before, b"") == sealer.unwrap("data", after, b"") == SECRET
    assert len(set(sealer.ids("data"))) == 2


@pytest.mark.parametrize("algorithm", [ED25519, ECDSA_P256])
def test_a_signature_holds_for_the_public_key_and_rotation_keeps_the_old_one(service, algorithm):
    service.create("signing", algorithm)
    signer = service.signer("signing")
    message = b"what was said" * 100
    signature = signer.sign(message)
    assert signer.public.algorithm == algorithm
    signer.public.verify(signature, message)
    with pytest.raises(NotProven):
        signer.public.verify(signature, message + b"!")

    service.rotate("signing")
    publics = service.publics("signing")
    assert publics[1] == signer.public
    assert publics[0] == service.signer("signing").public != signer.public
    publics[1].verify(signer.sign(message), message)  # a signer stays the version that it was
    publics[0].verify(service.signer("signing").sign(message), message)


def test_a_key_does_what_it_is_for(service):
    service.create("data", AES_256)
    service.create("signing", ECDSA_P256)
    for call in (
        lambda: service.signer("data"),
        lambda: service.publics("data"),
        lambda: service.wrap("signing", SECRET, b""),
        lambda: service.unwrap("signing", service.wrap("data", SECRET, b""), b""),
        lambda: service.is_current("signing", b""),
    ):
        with pytest.raises(InvalidInput, match=r"cannot (sign|encrypt)"):
            call()


def test_an_unknown_name_lists_the_known(sealer):
    for call in (
        lambda: sealer.wrap("absent", SECRET, b""),
        lambda: sealer.unwrap("absent", sealer.wrap("data", SECRET, b""), b""),
        lambda: sealer.rotate("absent"),
        lambda: sealer.signer("absent"),
        lambda: sealer.publics("absent"),
        lambda: sealer.ids("absent"),
        lambda: sealer.is_current("absent", b""),
        lambda: sealer.destroy("absent"),
    ):
        with pytest.raises(InvalidInput, match="no key is named 'absent'; known: data"):
            call()
    assert list(sealer.names()) == ["data"]  # above all, none was made on the way


def test_a_name_is_taken_once_and_an_unfit_one_never(sealer):
    for name in ("data", "", "Über", "a/b", "../x", "a" * 65, "-x", "a b", "a\n"):
        with pytest.raises(InvalidInput):
            sealer.create(name, AES_256)
    with pytest.raises(InvalidInput, match="ed25519"):
        sealer.create("x", "rsa")
    assert list(sealer.names()) == ["data"]


def test_a_destroyed_key_opens_nothing_and_leaves_the_others(sealer):
    sealer.create("other", AES_256)
    sealer.rotate("data")
    ids = sealer.ids("data")
    wrapped, kept = sealer.wrap("data", SECRET, b""), sealer.wrap("other", SECRET, b"")
    gone = sealer.destroy("data")
    assert isinstance(gone, Destroyed)
    assert (gone.name, gone.algorithm, gone.ids) == ("data", AES_256, ids)
    assert gone.waiting_days >= 0
    assert gone.remains
    assert list(sealer.names()) == ["other"]
    with pytest.raises(InvalidInput, match="no key is named 'data'"):
        sealer.unwrap("data", wrapped, b"")
    with pytest.raises(NotProven):
        sealer.unwrap("other", wrapped, b"")
    assert sealer.unwrap("other", kept, b"") == SECRET
    sealer.create("data", AES_256)  # the name is free again, and opens nothing of before
    with pytest.raises(NotProven):
        sealer.unwrap("data", wrapped, b"")


def test_neither_a_service_nor_a_signer_shows_or_copies_itself(service, capsys):
    service.create("signing", ED25519)
    signer = service.signer("signing")
    for thing in (service, signer):
        said = f"{thing!r}{thing!s}"
        assert "2468135" not in said
        assert "hvs." not in said
        assert "testing" not in said
        with pytest.raises(Exception, match=r"pickle|cop"):
            pickle.dumps(thing)
        with pytest.raises(Exception, match=r"pickle|cop"):
            copy.deepcopy(thing)
    assert capsys.readouterr().out == ""


def test_a_file_is_sealed_moved_to_a_new_version_and_opened(sealer, tmp_path):
    plain, sealed, opened = tmp_path / "plain", tmp_path / "sealed", tmp_path / "opened"
    plain.write_bytes(os.urandom(100_000))
    sealing.seal_file(plain, sealed, sealer, "data", associated=b"x")
    sealer.rotate("data")
    sealing.rewrap(sealed, sealer, "data")
    assert sealer.is_current("data", sealing.read_header(sealed).wrapped)
    sealing.unseal_file(sealed, opened, sealer, "data", associated=b"x")
    assert opened.read_bytes() == plain.read_bytes()
