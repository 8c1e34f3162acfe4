"""The system's keyring: what it keeps, when it is none, and when half of it is missing."""

from __future__ import annotations

import stat
import sys

import pytest

from hauberk.core.errors import InvalidInput, MissingExtra, Unavailable
from hauberk.custody.keys import AES_256, open_keys

URI = "oskeyring:hauberk-test"


def test_the_keys_open_again_and_the_secret_is_the_systems(os_keyring, tmp_path):
    service = open_keys(URI, create=True)
    service.create("data", AES_256)
    wrapped = service.wrap("data", bytes(32), b"")
    assert open_keys(URI).unwrap("data", wrapped, b"") == bytes(32)
    ((entry, secret),) = os_keyring.kept.items()
    path = tmp_path / "share" / "hauberk" / "hauberk-test.keyring"
    assert entry == ("hauberk-test", str(path))
    assert len(secret) >= 43  # 256 bits
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret.encode() not in path.read_bytes()
    assert secret not in repr(service)


def test_two_files_have_two_secrets(os_keyring, tmp_path):
    for name in "ab":
        open_keys(f"oskeyring:svc?file={tmp_path / name}", create=True).create("data", AES_256)
    assert len(set(os_keyring.kept.values())) == 2
    assert list(open_keys(f"oskeyring:svc?file={tmp_path / 'a'}").names()) == ["data"]


def test_nothing_is_made_unasked(os_keyring):
    with pytest.raises(InvalidInput, match="hauberk keys create"):
        open_keys(URI)
    assert os_keyring.kept == {}


def test_a_file_without_its_secret_is_said_to_be_another_users(os_keyring):
    open_keys(URI, create=True)
    os_keyring.kept.clear()
    with pytest.raises(InvalidInput, match="another machine"):
        open_keys(URI, create=True)


def test_a_secret_without_its_file_is_taken_up_again(os_keyring, tmp_path):
    open_keys(URI, create=True)
    (tmp_path / "share" / "hauberk" / "hauberk-test.keyring").unlink()
    secret = dict(os_keyring.kept)
    open_keys(URI, create=True).create("data", AES_256)
    assert os_keyring.kept == secret


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660])
def test_a_file_that_others_may_read_is_refused(os_keyring, tmp_path, mode):
    assert os_keyring is not None
    open_keys(URI, create=True)
    (tmp_path / "share" / "hauberk" / "hauberk-test.keyring").chmod(mode)
    with pytest.raises(InvalidInput, match="chmod 600"):
        open_keys(URI)


def test_a_locked_keyring_is_unavailable(os_keyring):
    from keyring.errors import KeyringLocked

    os_keyring.failure = KeyringLocked("locked: secret things")
    with pytest.raises(Unavailable, match=r"KeyringLocked\). Unlock") as caught:
        open_keys(URI, create=True)
    assert "secret things" not in str(caught.value)


def test_a_keyring_that_forgets_is_noticed_before_a_key_is_made(os_keyring, monkeypatch, tmp_path):
    monkeypatch.setattr(type(os_keyring), "set_password", lambda *_arguments: None)
    with pytest.raises(Unavailable, match="did not keep"):
        open_keys(URI, create=True)
    assert not (tmp_path / "share").exists()


@pytest.mark.parametrize("module", ["keyring.backends.null", "keyring.backends.fail", "keyrings.alt.file"])
def test_a_system_without_a_keyring_or_with_one_in_the_clear_is_refused(os_keyring, monkeypatch, module):
    monkeypatch.setattr(type(os_keyring), "__module__", module)
    with pytest.raises(InvalidInput, match=f"found {module}"):
        open_keys(URI, create=True)
    assert os_keyring.kept == {}


@pytest.mark.parametrize("rest", ["a b", "../x", "x?file=", "x?colour=red", "//"])
def test_a_uri_that_does_not_fit_is_refused(os_keyring, rest):
    assert os_keyring is not None
    with pytest.raises(InvalidInput, match="names no service"):
        open_keys(f"oskeyring:{rest}")


def test_there_is_no_passphrase_to_change(os_keyring):
    assert os_keyring is not None
    with pytest.raises(InvalidInput, match="no passphrase"):
        open_keys(URI, create=True).change_passphrase(b"another long one")


def test_without_the_library_the_install_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingExtra, match=r"pip install 'hauberk\[os-keyring\]'"):
        open_keys(URI)
