"""Envelope encryption: what opens, what is refused and with which words, and what is left on the disk."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hauberk.core import canonical
from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.custody import _files, sealing

SEGMENT = 2**20


class Keys:
    """A key service in memory: AES-GCM under named keys with versions, as the port asks."""

    def __init__(self, *names):
        self.keys = {name: [os.urandom(32)] for name in names}

    def names(self):
        return dict.fromkeys(self.keys, "aes-256")

    def create(self, name, _algorithm):
        self.keys[name] = [os.urandom(32)]

    def rotate(self, name):
        self.keys[name].insert(0, os.urandom(32))

    def signer(self, name):
        raise InvalidInput(f"{name} signs nothing")

    def publics(self, name):
        raise InvalidInput(f"{name} has no public key")

    def wrap(self, name, secret, associated):
        nonce = os.urandom(12)
        return nonce + AESGCM(self._versions(name)[0]).encrypt(nonce, secret, associated)

    def unwrap(self, name, wrapped, associated):
        for key in self._versions(name):
            try:
                return AESGCM(key).decrypt(wrapped[:12], wrapped[12:], associated)
            except (InvalidTag, ValueError):
                continue
        raise NotProven("does not unwrap")

    def _versions(self, name):
        if name not in self.keys:
            raise InvalidInput(f"there is no key {name!r}")
        return self.keys[name]


@pytest.fixture
def keys():
    return Keys("data", "other")


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "plain.bin"
    path.write_bytes(os.urandom(3 * SEGMENT + 5))
    return path


@pytest.fixture
def sealed(tmp_path, plain, keys):
    path = tmp_path / "plain.sealed"
    sealing.seal_file(plain, path, keys, "data", associated=b"release 7")
    return path


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "opened.bin"


def refused(sealed, target, keys, message, *, error=NotProven, associated=b"release 7", key_name=None):
    """Every way of opening refuses with these words, and the target's folder stays empty."""
    with pytest.raises(error, match=message):
        sealing.unseal_file(sealed, target, keys, key_name, associated=associated)
    assert list(target.parent.iterdir()) == []
    with pytest.raises(error, match=message):
        sealing.unseal_bytes(sealed.read_bytes(), keys, key_name, associated=associated)
    with (
        pytest.raises(error, match=message),
        sealing.open_sealed(sealed, keys, key_name, associated=associated) as file,
    ):
        file.read()


def stream_start(data):
    return 22 + int.from_bytes(data[18:22], "big")


def edit_header(path, **members):
    data = path.read_bytes()
    start = stream_start(data)
    header = canonical.encode(json.loads(data[22:start]) | members)
    path.write_bytes(data[:18] + len(header).to_bytes(4, "big") + header + data[start:])


# --- what opens ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 56, SEGMENT - 55, 2 * SEGMENT + 17])
def test_a_file_opens_to_the_same_bytes_and_its_digest_is_the_sealed_files(tmp_path, keys, size):
    source, sealed, opened = tmp_path / "a", tmp_path / "deep" / "er" / "b", tmp_path / "c"
    source.write_bytes(os.urandom(size))
    digest = sealing.seal_file(source, sealed, keys, "data")
    assert digest == hashlib.sha256(sealed.read_bytes()).hexdigest()
    sealing.unseal_file(sealed, opened, keys)
    assert opened.read_bytes() == source.read_bytes()
    assert opened.stat().st_mode & 0o777 == 0o600
    with sealing.open_sealed(sealed, keys) as file:
        assert file.read() == source.read_bytes()


def test_bytes_and_files_are_one_format(tmp_path, keys, plain, sealed):
    assert sealing.unseal_bytes(sealed.read_bytes(), keys, associated=b"release 7") == plain.read_bytes()
    (tmp_path / "b").write_bytes(sealing.seal_bytes(b"small", keys, "data", associated=b"x"))
    sealing.unseal_file(tmp_path / "b", tmp_path / "c", keys, associated=b"x")
    assert (tmp_path / "c").read_bytes() == b"small"


def test_a_sealed_file_is_read_from_the_middle_without_the_rest(keys, plain, sealed):
    data = plain.read_bytes()
    broken = bytearray(sealed.read_bytes())
    broken[stream_start(broken) + SEGMENT + 9] ^= 1  # the second of four segments
    sealed.write_bytes(broken)
    with sealing.open_sealed(sealed, keys, associated=b"release 7") as file:
        file.seek(2 * SEGMENT + 3)
        assert file.read(1000) == data[2 * SEGMENT + 3 :][:1000]
        file.seek(SEGMENT + 3)
        with pytest.raises(NotProven, match="segment 2 of 4"):
            file.read(10)


def test_the_header_shows_no_secret_and_no_associated_data(sealed):
    start = sealed.read_bytes()[: stream_start(sealed.read_bytes())]
    assert b"release 7" not in start
    assert hashlib.sha256(b"release 7").hexdigest().encode() not in start
    header = sealing.read_header(sealed)
    assert (header.key, header.plain_size) == ("data", 3 * SEGMENT + 5)


def test_a_file_may_be_sealed_in_place(keys, plain):
    data = plain.read_bytes()
    sealing.seal_file(plain, plain, keys, "data")
    assert sealing.unseal_bytes(plain.read_bytes(), keys) == data


def test_the_stream_inside_is_tinks(keys, sealed, plain):
    """The documented layout, followed by hand down to a plain stream under the data key."""
    from hauberk.custody import streams

    data = sealed.read_bytes()
    start = stream_start(data)
    header = json.loads(data[22:start])
    wrapped = base64.b64decode(header.pop("wrapped"))
    header.pop("key")
    core = b"hauberk-sealed-v1\n" + json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    data_key = keys.unwrap("data", wrapped, core)
    bound = len(core).to_bytes(8, "big") + core + (9).to_bytes(8, "big") + b"release 7"
    stream, out = data[start:], bytearray(header["plain_size"])

    def read(offset, view):
        view[:] = stream[offset : offset + len(view)]

    def write(offset, view):
        out[offset : offset + len(view)] = view

    streams.decrypt(data_key, read, write, size=len(stream), associated=bound)
    assert bytes(out) == plain.read_bytes()


# --- rotation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [True, False])
def test_rewrapping_moves_a_file_to_a_new_key_and_keeps_its_ciphertext(keys, plain, sealed, monkeypatch, kernel):
    def unable(*_arguments):
        raise OSError(errno.EXDEV, "no copying between these")

    if not kernel:
        monkeypatch.setattr(os, "copy_file_range", unable, raising=False)
    sealed.chmod(0o640)
    before = sealed.read_bytes()
    sealing.rewrap(sealed, keys, "other")
    after = sealed.read_bytes()
    assert sealed.stat().st_mode & 0o777 == 0o640
    assert after[stream_start(after) :] == before[stream_start(before) :]
    del keys.keys["data"]
    assert sealing.unseal_bytes(after, keys, "other", associated=b"release 7") == plain.read_bytes()


def test_after_rotation_and_rewrapping_the_old_version_may_be_destroyed(keys, plain, sealed):
    keys.rotate("data")
    sealing.unseal_bytes(sealed.read_bytes(), keys, associated=b"release 7")
    sealing.rewrap(sealed, keys, "data")
    keys.keys["data"].pop()
    assert sealing.unseal_bytes(sealed.read_bytes(), keys, associated=b"release 7") == plain.read_bytes()


class Forgetful(Keys):
    """Wraps one key and gives back another."""

    def unwrap(self, name, wrapped, associated):
        super().unwrap(name, wrapped, associated)
        return os.urandom(32)


def test_a_service_that_gives_back_another_key_costs_no_file(plain, tmp_path, keys, sealed):
    with pytest.raises(NotProven, match="returns a data key other"):
        sealing.seal_file(plain, tmp_path / "new", Forgetful("data"), "data")
    assert not (tmp_path / "new").exists()
    before = sealed.read_bytes()
    with pytest.raises(NotProven, match="returns a data key other"):
        sealing.rewrap(sealed, Forgetful("data"), "data", held_by=keys)
    assert sealed.read_bytes() == before


def test_rewrapping_refuses_a_file_whose_key_is_not_there_and_leaves_it(sealed):
    before = sealed.read_bytes()
    with pytest.raises(NotProven, match="not the one it was sealed under"):
        sealing.rewrap(sealed, Keys("data"), "data")
    assert sealed.read_bytes() == before


# --- what is refused -------------------------------------------------------------------------------------------


def test_truncation_is_called_so_wherever_the_cut_is(keys, sealed, target):
    data = sealed.read_bytes()
    start = stream_start(data)
    for size in (start, start + 30, start + SEGMENT, start + 2 * SEGMENT + 77, len(data) - 1):
        sealed.write_bytes(data[:size])
        refused(sealed, target, keys, r"is truncated, \d+ bytes of ciphertext where \d+ were sealed")


def test_appended_bytes_are_called_so(keys, sealed, target):
    sealed.write_bytes(sealed.read_bytes() + b"\0")
    refused(sealed, target, keys, "bytes were appended")


def test_reordered_segments_are_called_so(keys, sealed, target):
    data = sealed.read_bytes()
    start = stream_start(data)
    one, two = start + SEGMENT, start + 2 * SEGMENT
    sealed.write_bytes(data[:one] + data[two : two + SEGMENT] + data[one:two] + data[two + SEGMENT :])
    refused(sealed, target, keys, "out of order: at position 2 is the one sealed as number 3")


def test_a_segment_of_another_file_is_called_spliced(tmp_path, keys, plain, sealed, target):
    other = tmp_path / "other.sealed"
    sealing.seal_file(plain, other, keys, "data", associated=b"release 7")
    one, two = sealed.read_bytes(), other.read_bytes()
    start = stream_start(one)
    sealed.write_bytes(
        one[: start + SEGMENT] + two[start + SEGMENT : start + 2 * SEGMENT] + one[start + 2 * SEGMENT :]
    )
    refused(sealed, target, keys, "segment 2 of 4 was changed or spliced in")


def test_a_whole_stream_under_another_files_header_does_not_open(tmp_path, keys, plain, sealed, target):
    other = tmp_path / "other.sealed"
    sealing.seal_file(plain, other, keys, "data", associated=b"release 7")
    one, two = sealed.read_bytes(), other.read_bytes()
    sealed.write_bytes(one[: stream_start(one)] + two[stream_start(two) :])
    refused(sealed, target, keys, "no segment authenticates")


@pytest.mark.parametrize("wrong", [b"", b"release 8", b"release 7\0"])
def test_wrong_associated_data_is_called_so_and_the_key_is_not_blamed(keys, sealed, target, wrong):
    refused(
        sealed, target, keys, "associated data is not what it was sealed with. The key is right", associated=wrong
    )


def test_a_wrong_key_is_called_so(sealed, target):
    refused(sealed, target, Keys("data"), "this key 'data' is not the one it was sealed under")


def test_a_key_that_is_not_there_is_bad_input(sealed, target):
    refused(sealed, target, Keys("else"), "there is no key 'data'", error=InvalidInput)


def test_a_file_under_another_key_than_the_one_asked_for_is_refused(tmp_path, keys, target):
    sealed = tmp_path / "s"
    sealed.write_bytes(sealing.seal_bytes(b"made by somebody who may use 'other'", keys, "other"))
    refused(sealed, target, keys, "under the key 'other', expected 'data'", error=InvalidInput, key_name="data")


@pytest.mark.parametrize(
    "members", [{"plain_size": 3 * SEGMENT + 4}, {"associated": "0" * 64}, {"key": "other"}, {"wrapped": "AAAA"}]
)
def test_an_altered_header_is_refused(keys, sealed, target, members):
    edit_header(sealed, **members)
    refused(sealed, target, keys, "not the one it was sealed under, or its header was altered")


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_one_byte_change_opens(keys, data):
    sealed = bytearray(sealing.seal_bytes(b"payload", keys, "data"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(HauberkError):
        sealing.unseal_bytes(bytes(sealed), keys)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_garbage_is_bad_input_whatever_it_is(keys, data):
    for start in (b"", b"hauberk-sealed-v1\n", b"hauberk-sealed-v1\n" + (len(data)).to_bytes(4, "big")):
        with pytest.raises(InvalidInput):
            sealing.unseal_bytes(start + data, keys)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"", "not a sealed file"),
        (b"PK\x03\x04 something else entirely", "not a sealed file"),
        (b"hauberk-sealed-v2\n\0\0\0\x02{}", "in a format this version does not know"),
        (b"hauberk-sealed-v1\n\xff\xff\xff\xff{}", "claims 4294967295 bytes, expected 2 to 65536"),
        (b"hauberk-sealed-v1\n\0\0", "damaged header"),
        (b"hauberk-sealed-v1\n\0\0\x10\0{", "not valid JSON"),
        (b"hauberk-sealed-v1\n\0\0\0\x02[]", "its members must be"),
    ],
)
def test_a_hostile_start_is_bad_input_with_clear_words(tmp_path, keys, target, start, message):
    sealed = tmp_path / "s"
    sealed.write_bytes(start)
    refused(sealed, target, keys, message, error=InvalidInput)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"cipher": "ROT13"}, "cipher 'ROT13'"),
        ({"plain_size": -1}, "`plain_size` is negative"),
        ({"plain_size": True}, "`plain_size` is not of type int"),
        ({"plain_size": "5"}, "`plain_size` is not of type int"),
        ({"wrapped": "@@"}, "not base64"),
        ({"associated": "é" * 64}, "not 64 hex digits"),
        ({"more": 1}, "its members must be"),
    ],
)
def test_a_hostile_header_is_bad_input_with_clear_words(keys, sealed, target, members, message):
    edit_header(sealed, **members)
    refused(sealed, target, keys, message, error=InvalidInput)


def test_a_header_in_another_spelling_is_refused(keys, sealed, target):
    data = sealed.read_bytes()
    start = stream_start(data)
    header = json.dumps(json.loads(data[22:start])).encode()
    sealed.write_bytes(data[:18] + len(header).to_bytes(4, "big") + header + data[start:])
    refused(sealed, target, keys, "not in canonical form", error=InvalidInput)


# --- files and disks -------------------------------------------------------------------------------------------


class FailingDisk(Disk):
    """Fails at one kind of operation."""

    def __init__(self, where, error):
        self.where, self.error = where, error

    def _fail(self, where):
        if where == self.where:
            raise self.error

    def sync(self, descriptor):
        self._fail("sync")
        super().sync(descriptor)

    def rename(self, source, target):
        self._fail("rename")
        super().rename(source, target)


@pytest.mark.parametrize("where", ["sync", "rename"])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), Unavailable),
        (OSError(errno.EIO, "Input/output error"), Unavailable),
        (PermissionError(errno.EACCES, "Permission denied"), InvalidInput),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
@pytest.mark.parametrize("unnamed", [True, False])
def test_a_failure_at_any_step_leaves_nothing(  # noqa: PLR0917 - fixtures
    monkeypatch, keys, sealed, target, where, error, expected, unnamed
):
    if not unnamed:
        monkeypatch.setattr(os, "O_TMPFILE", 0)
    target.write_bytes(b"what was there before")
    with pytest.raises(expected):
        sealing.unseal_file(sealed, target, keys, associated=b"release 7", disk=FailingDisk(where, error))
    assert list(target.parent.iterdir()) == [target]
    assert target.read_bytes() == b"what was there before"


@pytest.mark.parametrize("unnamed", [True, False])
def test_an_interrupt_in_the_middle_leaves_nothing(monkeypatch, keys, sealed, target, unnamed):
    if not unnamed:
        monkeypatch.setattr(os, "O_TMPFILE", 0)

    class Impatient:
        def update(self, _done, **_text):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sealing.unseal_file(sealed, target, keys, associated=b"release 7", task=Impatient())
    assert list(target.parent.iterdir()) == []


def test_a_full_disk_says_so_and_leaves_nothing(keys, sealed, target):
    """The system itself refuses to write on: a limit on the size of files stands in for the disk's end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT, hard))
    try:
        with pytest.raises(Unavailable, match=r"cannot write .*opened\.bin: File too large"):
            sealing.unseal_file(sealed, target, keys, associated=b"release 7")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert list(target.parent.iterdir()) == []


def test_a_source_that_is_no_file_is_bad_input(tmp_path, keys):
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "absent", "there is no file"),
        (tmp_path, "regular"),
        (tmp_path / "pipe", "regular"),
    ):
        with pytest.raises(InvalidInput, match=message):
            sealing.seal_file(path, tmp_path / "out", keys, "data")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_told(keys, plain):
    with pytest.raises((InvalidInput, Unavailable), match="cannot write"):
        sealing.seal_file(plain, plain / "below" / "a file", keys, "data")


def test_a_source_that_changes_meanwhile_is_refused(tmp_path, keys, plain):
    class Meddler:
        def update(self, _done, **_text):
            with plain.open("r+b") as file:
                file.write(b"changed")
            os.utime(plain, ns=(1, 1))

    with pytest.raises(InvalidInput, match="changed while it was being read"):
        sealing.seal_file(plain, tmp_path / "out", keys, "data", task=Meddler())
    assert not (tmp_path / "out").exists()


def test_a_source_that_shrinks_meanwhile_is_refused(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(100))
    with _files.source(path) as file:
        os.truncate(path, 50)
        with pytest.raises(InvalidInput, match="changed while it was being read"):
            file.read_at(0, memoryview(bytearray(100)))


@pytest.mark.slow
def test_a_killed_process_leaves_no_plaintext(tmp_path):
    """SIGKILL at many moments of an unsealing: the folder holds nothing, or the whole file."""
    source, sealed, folder = tmp_path / "a", tmp_path / "s", tmp_path / "out"
    source.write_bytes(os.urandom(48 * SEGMENT))
    key = os.urandom(32)
    keys = Keys("data")
    keys.keys["data"] = [key]
    sealing.seal_file(source, sealed, keys, "data")
    folder.mkdir()
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path; from test_sealing import Keys, sealing\n"
        f"keys = Keys('data'); keys.keys['data'] = [bytes.fromhex({key.hex()!r})]\n"
        "print('ready', flush=True)\n"
        f"sealing.unseal_file(Path({str(sealed)!r}), Path({str(folder / 'opened')!r}), keys)\n"
    )
    killed = 0
    for step in range(12):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(step * 0.006)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
        left = list(folder.iterdir())
        assert all(path.name == "opened" or hasattr(os, "O_TMPFILE") is False for path in left), left
        for path in left:
            assert path.read_bytes() == source.read_bytes()
            path.unlink()
    assert killed > 3
