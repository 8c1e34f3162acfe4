"""PKCS#11 with SoftHSM: keys that stay on the token, PINs that stay out of URIs, and a token that goes away."""

from __future__ import annotations

import os
import shutil
import threading

import pytest

from hauberk.core.errors import InvalidInput, MissingExtra, NotProven, Unavailable
from hauberk.custody import rotation, sealing
from hauberk.custody.keys import AES_256, ECDSA_P256, open_keys
from hauberk.custody.keys._token import read_uri

SECRET = bytes(32)


@pytest.fixture
def service(token):
    service = open_keys(token[0])
    service.create("data", AES_256)
    return service


def test_keys_made_here_do_not_leave_the_token(service):
    import pkcs11

    service.create("signing", ECDSA_P256)
    (secret,) = service._session.get_objects({pkcs11.Attribute.LABEL: "data"})
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        _ = secret[pkcs11.Attribute.VALUE]
    for found in service._session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}):
        assert found[pkcs11.Attribute.EXTRACTABLE] is False
        assert found[pkcs11.Attribute.SENSITIVE] is True


def test_a_key_of_a_ceremony_is_used_by_its_label(token, service):
    import pkcs11

    service._session.generate_key(pkcs11.KeyType.AES, 256, label="Vault Master", id=b"\x07", store=True)
    only = open_keys(token[0].replace("?", ";object=Vault%20Master?"))
    assert dict(only.names()) == {"Vault Master": AES_256}
    wrapped = only.wrap("Vault Master", SECRET, b"")
    assert only.unwrap("Vault Master", wrapped, b"") == SECRET
    with pytest.raises(InvalidInput, match="no key is named 'data'"):
        only.wrap("data", SECRET, b"")
    with pytest.raises(InvalidInput, match="one object"):
        only.create("other", AES_256)


def test_a_token_is_found_by_its_serial_too(token, service):
    import pkcs11

    module = token[0].partition("module-path=")[2]
    label = token[0].partition("token=")[2].partition("?")[0]
    found = next(one for one in pkcs11.lib(module).get_tokens() if one.label == label)
    serial = found.serial.decode() if isinstance(found.serial, bytes) else found.serial
    assert dict(open_keys(f"pkcs11:serial={serial}?module-path={module}").names()) == dict(service.names())


def test_a_token_that_is_removed_half_way_leaves_nothing_half_sealed(token, service, tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(os.urandom(50_000))
    files = [tmp_path / f"{at}.sealed" for at in range(3)]
    for file in files:
        sealing.seal_file(plain, file, service, "data")
    service.rotate("data")
    before = [file.read_bytes() for file in files]
    wrap, calls = service.wrap, []

    class Removed(type(service)):
        __slots__ = ()

        def wrap(self, *arguments):
            calls.append(arguments)
            if len(calls) == 2:
                shutil.rmtree(token[1])
            return wrap(*arguments)

    service.__class__ = Removed
    moved = rotation.rewrap_all(files, service, key_name="data")
    assert (moved.rewrapped, moved.left) == (files[:1], files[1:])
    assert isinstance(moved.stopped, Unavailable)
    assert [file.read_bytes() for file in files[1:]] == before[1:]
    for call in (
        lambda: sealing.seal_file(plain, tmp_path / "new", service, "data"),
        lambda: sealing.unseal_file(files[0], tmp_path / "new", service),
        lambda: sealing.rewrap(files[0], service, "data"),
    ):
        with pytest.raises(Unavailable, match="removed"):
            call()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.sealed", "1.sealed", "2.sealed", "plain"]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ("DeviceRemoved", Unavailable, "went away"),
        ("TokenNotPresent", Unavailable, "went away"),
        ("SessionHandleInvalid", Unavailable, "went away"),
        ("GeneralError", Unavailable, "could not encrypt"),
        ("MechanismInvalid", InvalidInput, "another algorithm"),
        ("TokenWriteProtected", InvalidInput, "administrator"),
    ],
)
def test_what_a_driver_says_is_told_in_our_words(service, monkeypatch, error, kind, message):
    import pkcs11

    wrapped = service.wrap("data", SECRET, b"")

    class Handle:
        def encrypt(self, *_arguments, **_how):
            raise getattr(pkcs11.exceptions, error)

        decrypt = encrypt

    versions = service._versions

    def broken(name=""):
        return [type(v)(v.label, v.id, v.algorithm, Handle()) for v in versions(name)]

    monkeypatch.setattr(type(service), "_versions", lambda _self, name="": broken(name))
    with pytest.raises(kind, match=message):
        service.wrap("data", SECRET, b"")
    with pytest.raises(kind):
        service.unwrap("data", wrapped, b"")


def test_a_token_of_the_same_name_with_other_keys_opens_nothing(token, service):
    wrapped = service.wrap("data", SECRET, b"")
    service.destroy("data")
    service.create("data", AES_256)
    with pytest.raises(NotProven, match="another key"):
        service.unwrap("data", wrapped, b"")
    assert token


def test_threads_share_one_session(service):
    wrapped, wrong = service.wrap("data", SECRET, b""), []

    def work():
        wrong.extend(1 for _ in range(20) if service.unwrap("data", wrapped, b"") != SECRET)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.fixture
def logged_out(token):
    """No session of this process is logged in, so that a PIN is asked for."""
    import gc

    import pkcs11

    gc.collect()
    pkcs11.lib(token[0].partition("module-path=")[2]).reinitialize()
    return token[0]


def test_a_wrong_pin_is_tried_once(logged_out, monkeypatch):
    monkeypatch.setenv("HAUBERK_PIN", "99999999")
    with pytest.raises(InvalidInput, match="refuses this PIN") as caught:
        open_keys(logged_out)
    assert "99999999" not in str(caught.value)


def test_a_pin_comes_from_a_file_of_its_owner(logged_out, tmp_path, monkeypatch):
    monkeypatch.delenv("HAUBERK_PIN")
    file = tmp_path / "pin"
    file.write_text("2468135\n")
    file.chmod(0o640)
    with pytest.raises(InvalidInput, match="chmod 600"):
        open_keys(f"{logged_out}&pin-source=file:{file}")
    file.chmod(0o600)
    assert dict(open_keys(f"{logged_out}&pin-source=file:{file}").names()) == {}
    with pytest.raises(InvalidInput, match="cannot read the PIN"):
        open_keys(f"{logged_out}&pin-source=/nowhere")


def test_with_nobody_to_ask_the_ways_to_give_a_pin_are_named(logged_out, monkeypatch):
    monkeypatch.delenv("HAUBERK_PIN")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InvalidInput, match="HAUBERK_PIN"):
        open_keys(logged_out)


def test_a_token_that_is_not_there_lists_those_that_are(token):
    with pytest.raises(InvalidInput, match="no token is named 'absent'; there: 't"):
        open_keys(f"pkcs11:token=absent?{token[0].partition('?')[2]}")


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("token=a?module-path=/m&pin-value=1234", "a PIN does not belong into a URI"),
        ("token=a;pin-value=1234?module-path=/m", "a PIN does not belong into a URI"),
        ("?module-path=/m", "names no token"),
        ("token=a", "driver is not named"),
        ("token=a;color=red?module-path=/m", "'color'"),
        ("token=a;token=b?module-path=/m", "'token'"),
        ("token?module-path=/m", "'token'"),
    ],
)
def test_a_uri_that_does_not_fit_is_refused_and_not_repeated(rest, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        read_uri(rest, {})
    assert "1234" not in str(caught.value)


def test_the_uri_is_read_as_rfc_7512_says():
    uri = read_uri("//token=The%20Software%20PKCS%2311;object=my%3Bkey?module-path=/m", {})
    assert (uri.token, uri.object) == ("The Software PKCS#11", "my;key")
    assert str(read_uri("token=a", {"HAUBERK_PKCS11_MODULE": "/lib/x.so"}).module) == "/lib/x.so"


def test_without_a_driver_or_the_library_it_says_what_to_install(monkeypatch):
    import sys

    pytest.importorskip("pkcs11")
    with pytest.raises(InvalidInput, match=r"no PKCS#11 driver at /nowhere\.so"):
        open_keys("pkcs11:token=a?module-path=/nowhere.so")
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(MissingExtra, match=r"pip install 'hauberk\[pkcs11\]'"):
        open_keys("pkcs11:token=a?module-path=/nowhere.so")
