"""The keyring as a key service: rotation, concurrent writers, kills, and secrets that never show themselves."""

import base64
import copy
import errno
import json
import os
import pickle
import stat
import subprocess
import sys
import threading
import time
import traceback

import pytest

from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.custody.keys import AES_256, ECDSA_P256, ED25519, open_keys
from hauberk.custody.keys._vault import Cost, Vault
from hauberk.custody.keys.keyring import Keyring

CHEAP = Cost(time=1, memory=8, lanes=1)
PASSPHRASE = b"correct horse"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keyring"


@pytest.fixture
def keyring(path):
    return Keyring.make(path, PASSPHRASE, cost=CHEAP)


def secrets_in(path):
    """Every secret of a keyring file, as bytes and in the writings that could end up in a message."""
    vault = Vault.read(path.read_bytes(), what="keyring")
    held = json.loads(vault.key(PASSPHRASE).unlock(vault, what="keyring"))
    texts = [version["secret"] for entry in held.values() for version in entry["versions"]]
    raw = [base64.b64decode(text) for text in texts]
    return texts + [secret.hex() for secret in raw] + [repr(secret)[2:-1] for secret in raw]


@pytest.mark.parametrize("algorithm", [ED25519, ECDSA_P256])
def test_a_signature_holds_after_rotation_and_after_opening_again(path, keyring, algorithm):
    keyring.create("signing", algorithm)
    old = keyring.signer("signing")
    signature = old.sign(b"message")
    keyring.rotate("signing")
    new = Keyring.open(path, PASSPHRASE)
    assert [public.key_id for public in new.publics("signing")] == [
        new.signer("signing").public.key_id,
        old.public.key_id,
    ]
    new.publics("signing")[1].verify(signature, b"message")
    with pytest.raises(NotProven):
        new.publics("signing")[0].verify(signature, b"message")
    assert new.names() == {"signing": algorithm}
    assert new.publics("signing")[0].algorithm == algorithm


@pytest.mark.parametrize("algorithm", [ED25519, ECDSA_P256])
def test_the_same_bytes_give_the_same_signature(keyring, algorithm):
    keyring.create("signing", algorithm)
    assert len({keyring.signer("signing").sign(b"m") for _ in range(5)}) == 1


def test_what_was_wrapped_before_rotations_unwraps_after_them(path, keyring):
    keyring.create("sealing", AES_256)
    wrapped = []
    for number in range(4):
        wrapped.append(keyring.wrap("sealing", b"%032d" % number, b"context"))
        keyring.rotate("sealing")
    again = Keyring.open(path, PASSPHRASE)
    for number, item in enumerate(wrapped):
        assert again.unwrap("sealing", item, b"context") == b"%032d" % number


def test_wrapping_uses_the_current_version(keyring):
    keyring.create("sealing", AES_256)
    before = keyring.wrap("sealing", b"s" * 32, b"")
    keyring.rotate("sealing")
    assert keyring.wrap("sealing", b"s" * 32, b"")[1:17] != before[1:17]


def test_a_wrapped_secret_with_any_bit_flipped_cut_or_in_another_context_is_refused(keyring):
    keyring.create("sealing", AES_256)
    keyring.create("other", AES_256)
    wrapped = keyring.wrap("sealing", b"s" * 32, b"context")
    changed = [wrapped[:length] for length in range(len(wrapped))] + [wrapped + b"\0"]
    for bit in range(8 * len(wrapped)):
        flipped = bytearray(wrapped)
        flipped[bit // 8] ^= 1 << bit % 8
        changed.append(bytes(flipped))
    for item in changed:
        with pytest.raises(NotProven):
            keyring.unwrap("sealing", item, b"context")
    with pytest.raises(NotProven):
        keyring.unwrap("sealing", wrapped, b"another context")
    with pytest.raises(NotProven, match="another key"):
        keyring.unwrap("other", wrapped, b"context")


def test_a_version_id_moved_onto_another_versions_wrapping_is_refused(keyring):
    keyring.create("sealing", AES_256)
    old = keyring.wrap("sealing", b"s" * 32, b"")
    keyring.rotate("sealing")
    new = keyring.wrap("sealing", b"s" * 32, b"")
    with pytest.raises(NotProven):
        keyring.unwrap("sealing", new[:17] + old[17:], b"")


def test_a_key_is_used_only_for_what_it_is_for(keyring):
    keyring.create("signing", ED25519)
    keyring.create("sealing", AES_256)
    for misuse in (
        lambda: keyring.signer("sealing"),
        lambda: keyring.publics("sealing"),
        lambda: keyring.wrap("signing", b"s", b""),
        lambda: keyring.unwrap("signing", b"\1" + bytes(50), b""),
    ):
        with pytest.raises(InvalidInput, match="cannot"):
            misuse()


def test_unknown_names_and_algorithms_list_the_known_ones(keyring):
    keyring.create("signing", ED25519)
    with pytest.raises(InvalidInput, match="signing"):
        keyring.signer("singing")
    with pytest.raises(InvalidInput, match="signing"):
        keyring.rotate("singing")
    with pytest.raises(InvalidInput, match="ecdsa-p256"):
        keyring.create("other", "rsa")
    assert set(keyring.names()) == {"signing"}


def test_a_taken_name_is_refused_and_the_key_stays(keyring):
    keyring.create("signing", ED25519)
    before = keyring.publics("signing")
    with pytest.raises(InvalidInput, match="exists already"):
        keyring.create("signing", ED25519)
    assert keyring.publics("signing") == before


@pytest.mark.parametrize("name", ["", "A", "../x", "a b", "a\n", "-a", "x" * 65, "é"])
def test_unfit_names_are_refused(keyring, name):
    with pytest.raises(InvalidInput, match="cannot name"):
        keyring.create(name, ED25519)


# Opening


@pytest.mark.usefixtures("keyring")
def test_a_wrong_passphrase_is_bad_input_and_is_not_shown(path):
    wrong = b"wrong " + b"s3" + b"cret"
    with pytest.raises(InvalidInput, match="passphrase is wrong") as caught:
        Keyring.open(path, wrong)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_flipping_a_byte_of_the_file_is_refused(path, keyring):
    keyring.create("signing", ED25519)
    data = path.read_bytes()
    for place in range(0, len(data), 3):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(InvalidInput):
            Keyring.open(path, PASSPHRASE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o601])
def test_a_keyring_that_others_may_read_is_refused_with_the_command_that_helps(path, keyring, mode):
    path.chmod(mode)
    for attempt in (lambda: Keyring.open(path, PASSPHRASE), keyring.names):
        with pytest.raises(InvalidInput, match=f"chmod 600 {path}"):
            attempt()


def test_the_file_and_its_lock_belong_to_the_owner_alone(path, keyring):
    keyring.create("signing", ED25519)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert {file.name for file in path.parent.iterdir()} == {"keyring", ".keyring.lock"}


def test_a_folder_a_pipe_and_a_giant_in_its_place_are_refused(tmp_path):
    folder, pipe, giant = tmp_path / "folder", tmp_path / "pipe", tmp_path / "giant"
    folder.mkdir()
    os.mkfifo(pipe, 0o600)
    with giant.open("wb") as file:
        file.truncate(10 * 2**30)
    giant.chmod(0o600)
    for place in (folder, pipe, giant):
        with pytest.raises(InvalidInput):
            Keyring.open(place, PASSPHRASE)


def test_make_refuses_to_replace_a_keyring(path, keyring):
    keyring.create("signing", ED25519)
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match="exists already"):
        Keyring.make(path, PASSPHRASE, cost=CHEAP)
    assert path.read_bytes() == before


def test_a_keyring_behind_a_link_is_changed_where_it_is(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    Keyring.make(real, PASSPHRASE, cost=CHEAP)
    link.symlink_to(real)
    Keyring.open(link, PASSPHRASE).create("signing", ED25519)
    assert link.is_symlink()
    assert set(Keyring.open(real, PASSPHRASE).names()) == {"signing"}


# Passphrase


def test_a_changed_passphrase_opens_and_the_old_one_does_not(path, keyring):
    keyring.create("signing", ED25519)
    before = keyring.publics("signing")
    salt = json.loads(path.read_bytes())["argon2id"]["salt"]
    keyring.change_passphrase(b"battery staple")
    assert Keyring.open(path, b"battery staple").publics("signing") == before == keyring.publics("signing")
    assert json.loads(path.read_bytes())["argon2id"]["salt"] != salt
    with pytest.raises(InvalidInput):
        Keyring.open(path, PASSPHRASE)
    keyring.create("another", ED25519)
    assert set(Keyring.open(path, b"battery staple").names()) == {"another", "signing"}


def test_whoever_had_it_open_under_the_old_passphrase_is_told_so_and_overwrites_nothing(path, keyring):
    other = Keyring.open(path, PASSPHRASE)
    keyring.change_passphrase(b"battery staple")
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match="open it again"):
        other.create("signing", ED25519)
    assert path.read_bytes() == before


# Others at work


def test_a_key_made_elsewhere_is_seen(path, keyring):
    other = Keyring.open(path, PASSPHRASE)
    keyring.create("sealing", AES_256)
    wrapped = other.wrap("sealing", b"s" * 32, b"")
    other.rotate("sealing")
    assert keyring.unwrap("sealing", other.wrap("sealing", b"t" * 32, b""), b"") == b"t" * 32
    assert keyring.unwrap("sealing", wrapped, b"") == b"s" * 32


ROTATE = """
import sys
from pathlib import Path
from hauberk.custody.keys.keyring import Keyring

keyring = Keyring.open(Path(sys.argv[1]), sys.argv[2].encode())
for number in range(int(sys.argv[3])):
    keyring.rotate("signing")
    if number == 0:
        print("started", flush=True)
"""


def rotating(path, times):
    """Another process that rotates a key so many times, and says "started" after the first."""
    command = [sys.executable, "-c", ROTATE, str(path), PASSPHRASE.decode(), str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def test_rotations_by_processes_and_threads_at_once_lose_no_key(path, keyring):
    keyring.create("signing", ED25519)
    workers = [rotating(path, 10) for _ in range(3)]
    for worker in workers:
        worker.stdout.readline()
    threads = [threading.Thread(target=lambda: [keyring.rotate("signing") for _ in range(10)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        worker.communicate(timeout=60)
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    publics = Keyring.open(path, PASSPHRASE).publics("signing")
    assert len({public.key_id for public in publics}) == len(publics) == 1 + 3 * 10 + 2 * 10


class Faulty(Disk):
    """Fails at the n-th operation that it does."""

    def __init__(self, at, kind=None):
        self.left, self.kind = at, kind or OSError(errno.ENOSPC, "full")

    def _step(self):
        self.left -= 1
        if self.left == 0:
            raise self.kind

    def sync(self, descriptor):
        self._step()
        super().sync(descriptor)

    def rename(self, source, target):
        self._step()
        super().rename(source, target)


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("kind", [None, Killed()])
@pytest.mark.parametrize(
    "act",
    [
        lambda keyring: keyring.rotate("signing"),
        lambda keyring: keyring.create("new", ED25519),
        lambda keyring: keyring.change_passphrase(b"battery staple"),
    ],
)
def test_a_write_that_fails_anywhere_leaves_the_old_file_or_the_new_and_no_litter(path, keyring, at, kind, act):
    keyring.create("signing", ED25519)
    old = path.read_bytes()
    first = keyring.publics("signing")[-1]
    broken = Keyring.open(path, PASSPHRASE, disk=Faulty(at, kind))
    with pytest.raises((Unavailable, Killed)):
        act(broken)
    assert {file.name for file in path.parent.iterdir()} == {"keyring", ".keyring.lock"}
    if at < 3:  # before the rename, nothing has changed; after it, the new file stands
        assert path.read_bytes() == old
        act(broken)
    changed = Vault.read(path.read_bytes(), what="keyring").header != Vault.read(old, what="keyring").header
    again = Keyring.open(path, b"battery staple" if changed else PASSPHRASE)
    assert first in again.publics("signing")


@pytest.mark.usefixtures("keyring")
def test_no_space_says_so(path):
    with pytest.raises(Unavailable, match="no space left"):
        Keyring.open(path, PASSPHRASE, disk=Faulty(1)).create("signing", ED25519)


@pytest.mark.usefixtures("keyring")
def test_a_key_that_could_not_be_written_is_not_used(path):
    broken = Keyring.open(path, PASSPHRASE, disk=Faulty(1))
    with pytest.raises(Unavailable):
        broken.create("signing", ED25519)
    with pytest.raises(InvalidInput):
        broken.signer("signing")


# Secrets


def test_no_secret_shows_in_repr_str_or_format(path, keyring):
    for name, algorithm in (("a", ED25519), ("b", ECDSA_P256), ("c", AES_256)):
        keyring.create(name, algorithm)
    shown = [
        keyring,
        keyring._file_key,
        keyring._state,
        dict(keyring._keys()),
        keyring.signer("a"),
        keyring.signer("b"),
    ]
    text = "".join(f"{thing!r}{thing!s}{thing}" for thing in shown)
    secrets = secrets_in(path)
    assert len(secrets) == 9
    assert not [secret for secret in secrets if secret in text]
    assert PASSPHRASE.decode() not in text
    assert keyring.signer("a").public.key_id[:16] in text


def test_kill_9_while_writing_loses_no_key_and_leaves_no_lock(path, keyring):
    keyring.create("signing", ED25519)
    for wait in (0.001, 0.01, 0.03):
        before = keyring.publics("signing")
        victim = rotating(path, 100_000)
        assert victim.stdout.readline() == b"started\n"
        time.sleep(wait)
        victim.kill()
        victim.communicate()
        keyring.rotate("signing")
        after = Keyring.open(path, PASSPHRASE).publics("signing")
        assert len(after) >= len(before) + 2
        assert after[-len(before) :] == before


def test_no_secret_shows_in_any_error(path, keyring):
    keyring.create("a", AES_256)
    keyring.create("b", ED25519)
    wrapped = keyring.wrap("a", b"the wrapped secret itself", b"")
    attempts = [
        lambda: keyring.unwrap("a", wrapped[:-1], b""),
        lambda: keyring.unwrap("a", wrapped, b"other"),
        lambda: keyring.signer("a"),
        lambda: keyring.create("a", AES_256),
        lambda: Keyring.open(path, PASSPHRASE + b"!"),
    ]
    for attempt in attempts:
        with pytest.raises(HauberkError) as caught:
            attempt()
        text = "".join(traceback.format_exception(caught.value))
        assert not [secret for secret in secrets_in(path) if secret in text]
        assert "the wrapped secret itself" not in text
        assert PASSPHRASE.decode() not in text


def test_secrets_on_disk_are_encrypted(path, keyring):
    keyring.create("a", AES_256)
    data = path.read_bytes()
    assert not [secret for secret in secrets_in(path) if secret.encode() in data]
    assert b"aes-256" not in data  # nor do names and algorithms show


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_keys_cannot_be_pickled_or_copied(keyring, duplicate):
    keyring.create("a", ED25519)
    keyring.create("b", AES_256)
    for thing in (keyring, keyring.signer("a"), keyring._wrapping("b")[0], keyring._file_key):
        with pytest.raises(TypeError, match="pickled or copied"):
            duplicate(thing)


def test_keys_that_authenticated_but_cannot_be_read_are_refused_without_showing_them(path, keyring):
    for text in (
        b'{"a": "s3cret',
        b'{"a":{"algorithm":"ed25519","versions":[{"id":"x","secret":"s3cret"}]}}',
        b"[]",
        b"7",
    ):
        Disk().write(path, keyring._file_key.lock(text), mode=0o600)
        with pytest.raises(InvalidInput, match="cannot be read") as caught:
            Keyring.open(path, PASSPHRASE)
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))


# By URI


def test_a_uri_opens_what_it_made_and_asks_twice_only_when_making(path):
    asked = []

    def source():
        asked.append(1)
        return PASSPHRASE

    open_keys(f"keyring:{path}", passphrase=source, create=True).create("signing", ED25519)
    assert len(asked) == 2
    assert open_keys(f"keyring:{path}", passphrase=source).names() == {"signing": ED25519}
    assert len(asked) == 3


def test_a_relative_path_is_relative_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_keys("keyring:.hauberk/keyring", passphrase=lambda: PASSPHRASE, create=True)
    assert (tmp_path / ".hauberk" / "keyring").exists()


def test_without_a_keyring_the_command_that_makes_one_is_named(path):
    with pytest.raises(InvalidInput, match="hauberk keys create"):
        open_keys(f"keyring:{path}", passphrase=lambda: PASSPHRASE)
    assert not list(path.parent.iterdir())


def test_a_short_new_passphrase_makes_no_file(path):
    with pytest.raises(InvalidInput, match="at least 8"):
        open_keys(f"keyring:{path}", passphrase=lambda: b"short", create=True)
    assert not path.exists()


@pytest.mark.usefixtures("keyring")
def test_without_a_passphrase_it_says_that_one_is_needed(path):
    with pytest.raises(InvalidInput, match="passphrase is needed"):
        open_keys(f"keyring:{path}")


def test_a_destroyed_key_is_gone_from_the_disk_blocks_of_the_old_file_too(path, keyring):
    keyring.create("claims", AES_256)
    keyring.create("other", AES_256)
    kept = path.with_name("still-open")
    os.link(path, kept)  # the old file, which would otherwise live on until its blocks are used again
    size = kept.stat().st_size
    keyring.destroy("claims")
    assert kept.read_bytes() == bytes(size)
    assert list(Keyring.open(path, PASSPHRASE).names()) == ["other"]


def test_a_destruction_that_cannot_be_written_destroys_nothing(path, keyring):
    keyring.create("claims", AES_256)
    before = path.read_bytes()

    class Full(Disk):
        def store(self, _descriptor, _data):
            raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(Unavailable, match="no space"):
        Keyring.open(path, PASSPHRASE, disk=Full()).destroy("claims")
    assert path.read_bytes() == before
