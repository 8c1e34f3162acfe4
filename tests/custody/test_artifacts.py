"""The artifact store: laws for every kind of place, then faults, kills and crowds in a folder."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, NotProven, Unavailable
from hauberk.custody.artifacts import DAY, Artifacts
from hauberk.custody.keys import open_keys
from hauberk.custody.keys.port import AES_256

MIB = 2**20


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=["folder", "file-url", "memory"])
def place(request, tmp_path):
    if request.param == "folder":
        return tmp_path / "store"
    if request.param == "file-url":
        return f"file://{tmp_path}/store"
    return f"memory://{uuid.uuid4().hex}/store"


@pytest.fixture
def store(place):
    return Artifacts(place)


def raw(place):
    """The target beneath, to damage it: (system, root)."""
    return fsspec.core.url_to_fs(str(place))


def overwrite(place, digest, data):
    system, root = raw(place)
    path = f"{root}/sha256/{digest[:2]}/{digest[2:]}"
    if "memory" not in str(place):
        Path(path).chmod(0o644)
    with system.open(path, "wb") as file:
        file.write(data)


# --- laws of every place ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=3000))
def test_what_was_put_comes_back_under_its_sha256(store, data):
    digest = store.put(data)
    assert digest == sha256(data)
    assert store.has(digest)
    assert store.get(digest) == data
    assert store.put(data) == digest


def test_the_layout_is_the_documented_one(store, place):
    digest = store.put(b"abc")
    system, root = raw(place)
    assert system.cat(f"{root}/sha256/{digest[:2]}/{digest[2:]}") == b"abc"
    assert [p.rsplit("/", 1)[1] for p in system.find(root)] == [digest[2:]]


def test_a_large_file_goes_in_and_out_by_streams(store, tmp_path):
    data = os.urandom(9 * MIB + 7)
    (tmp_path / "in").write_bytes(data)
    digest = store.put_file(tmp_path / "in")
    assert digest == sha256(data)
    store.copy_to(digest, tmp_path / "new" / "out")
    assert (tmp_path / "new" / "out").read_bytes() == data
    with store.open(digest) as file:
        file.seek(8 * MIB)
        assert file.read() == data[8 * MIB :]


def test_an_empty_file_is_an_artifact(store, tmp_path):
    (tmp_path / "empty").touch()
    assert store.get(store.put_file(tmp_path / "empty")) == b""


def test_an_absent_artifact_is_bad_input_that_says_what_to_do(store, tmp_path):
    digest = sha256(b"absent")
    assert not store.has(digest)
    for ask in (store.get, store.open, lambda d: store.copy_to(d, tmp_path / "out")):
        with pytest.raises(InvalidInput, match=rf"no artifact {digest} .*{digest[2:]}.* backup"):
            ask(digest)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "digest", ["", "ab", "../" * 20 + "abcd", "A" * 64, "g" * 64, "0" * 63 + "\n", "0" * 64 + "/"]
)
def test_what_is_no_digest_never_reaches_the_target(store, digest):
    for ask in (store.get, store.open, store.has):
        with pytest.raises(InvalidInput, match="not a SHA-256 digest"):
            ask(digest)


@pytest.mark.parametrize("damage", [b"", b"the right bytez", b"the right bytes and more"])
def test_a_damaged_artifact_is_never_given_out_and_the_file_is_named(store, place, tmp_path, damage):
    digest = store.put(b"the right bytes")
    overwrite(place, digest, damage)
    (tmp_path / "out").write_bytes(b"before")
    for ask in (store.get, store.open, lambda d: store.copy_to(d, tmp_path / "out")):
        with pytest.raises(NotProven, match=rf"{digest[2:]} is damaged.*Put the right bytes again"):
            ask(digest)
    assert (tmp_path / "out").read_bytes() == b"before"


@pytest.mark.parametrize("damage", [b"", b"the right bytez"])
def test_putting_the_right_bytes_again_heals(store, place, tmp_path, damage):
    (tmp_path / "in").write_bytes(b"the right bytes")
    for put in (lambda: store.put(b"the right bytes"), lambda: store.put_file(tmp_path / "in")):
        digest = put()
        overwrite(place, digest, damage)
        assert put() == digest
        assert store.get(digest) == b"the right bytes"


def test_cleaning_takes_old_temporary_files_and_nothing_else(store, place):
    digest = store.put(b"keep")
    system, root = raw(place)
    left = f"{root}/sha256/{digest[:2]}/.{digest[2:42]}.0123.tmp"
    with system.open(left, "wb") as file:
        file.write(b"half")
    now = time.time()
    assert store.clean(now) == 0
    assert system.exists(left)
    assert store.clean(now + DAY + 60) == 1
    assert not system.exists(left)
    assert store.get(digest) == b"keep"


# --- places ----------------------------------------------------------------------------------------------------


def test_an_unknown_kind_of_place_lists_the_known():
    with pytest.raises(InvalidInput, match=r"expected a folder or one of .*memory"):
        Artifacts("gopher://somewhere")


def test_a_kind_of_place_whose_library_is_absent_says_so():
    known = [name for name in ("gcs", "abfs", "s3", "oci", "dropbox") if _library_absent(name)]
    if not known:
        pytest.skip("every library is installed")
    with pytest.raises(Unavailable, match="needs a library that is not installed"):
        Artifacts(f"{known[0]}://bucket/path")


def _library_absent(protocol):
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError:
        return True
    return False


def test_artifacts_in_a_folder_are_read_only(tmp_path):
    store = Artifacts(tmp_path)
    digest = store.put(b"x")
    assert (tmp_path / "sha256" / digest[:2] / digest[2:]).stat().st_mode & 0o777 == 0o444


def test_putting_what_is_there_writes_nothing(tmp_path):
    store = Artifacts(tmp_path)
    path = tmp_path / "sha256" / sha256(b"x")[:2] / sha256(b"x")[2:]
    store.put(b"x")
    before = path.stat().st_ino, path.stat().st_mtime_ns
    store.put(b"x")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before


# --- faults ----------------------------------------------------------------------------------------------------


class FailsAt(Disk):
    """Fails at its n-th operation with an error, or lets it through when there are fewer."""

    def __init__(self, number, error):
        self.left, self.error = number, error

    def _step(self):
        self.left -= 1
        if self.left == 0:
            raise self.error

    def sync(self, descriptor):
        self._step()
        super().sync(descriptor)

    def rename(self, source, target):
        self._step()
        super().rename(source, target)


@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize(
    ("error", "expected"),
    [(OSError(errno.ENOSPC, "full"), Unavailable), (OSError(errno.EACCES, "denied"), InvalidInput)],
)
def test_a_fault_at_each_operation_leaves_a_sound_store(tmp_path, monkeypatch, unnamed, error, expected):
    if not unnamed:
        monkeypatch.setattr(os, "O_TMPFILE", 0)
    source = tmp_path / "in"
    source.write_bytes(b"payload" * 1000)
    digest, number, failed = sha256(source.read_bytes()), 0, True
    while failed:
        number += 1
        for how in ("put", "put_file"):
            place = tmp_path / f"{how}{number}"
            store = Artifacts(place, disk=FailsAt(number, error))
            try:
                store.put(source.read_bytes()) if how == "put" else store.put_file(source)
                failed = False
            except expected:
                failed = True
            assert not list(place.glob("**/.*"))
            clean = Artifacts(place)
            if clean.has(digest):
                assert clean.get(digest) == source.read_bytes()
            assert clean.put_file(source) == digest
            assert clean.get(digest) == source.read_bytes()
    assert number > 4  # folders made and synced, file synced, renamed, its folder synced


def test_a_file_that_changes_between_digest_and_copy_is_not_stored(tmp_path):
    source = tmp_path / "in"
    source.write_bytes(b"a" * 100)

    class Meddler(Disk):
        def sync_folder(self, path):  # called while the store makes its folders, before the copy
            with source.open("r+b") as file:
                file.write(b"b")
            super().sync_folder(path)

    with pytest.raises(InvalidInput, match="changed while it was being read"):
        Artifacts(tmp_path / "store", disk=Meddler()).put_file(source)
    assert not [p for p in (tmp_path / "store").rglob("*") if p.is_file()]


def test_an_unwritable_place_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises((InvalidInput, Unavailable), match="cannot write"):
        Artifacts(tmp_path / "file").put(b"x")


# --- kills and crowds ------------------------------------------------------------------------------------------


_WRITER = """
import sys
from pathlib import Path
from hauberk.custody.artifacts import Artifacts
print("ready", flush=True)
sys.stdin.readline()
store = Artifacts(Path(sys.argv[1]))
for number in range(60):
    content = bytes([(number * 7 + int(sys.argv[2])) % 40]) * 5000
    assert store.get(store.put(content)) == content
"""


def test_concurrent_writers_of_the_same_bytes_do_not_disturb_each_other(tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, tmp_path, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for seed in (0, 7, 14, 21)
    ]
    for writer in writers:
        writer.stdout.readline()  # all are up before any begins
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0] * 4
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 40
    assert all(sha256(path.read_bytes()) == path.parent.name + path.name for path in files)


_KILLED = """
import os, sys
if sys.argv[2] == "named":
    os.O_TMPFILE = 0
from pathlib import Path
from hauberk.custody.artifacts import Artifacts
store = Artifacts(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(10**6):
    store.put(number.to_bytes(4, "big") * 200_000)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["unnamed", "named"])
def test_a_killed_writer_leaves_whole_artifacts_and_at_most_temporary_files(tmp_path, how):
    for step in range(10):
        process = subprocess.Popen([sys.executable, "-c", _KILLED, tmp_path, how], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(0.02 + step * 0.013)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        for path in tmp_path.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                assert sha256(path.read_bytes()) == path.parent.name + path.name
    store = Artifacts(tmp_path)
    store.clean(time.time() + DAY + 60)
    assert not list(tmp_path.rglob(".*"))
    assert store.put((0).to_bytes(4, "big") * 200_000)


# --- many at once ----------------------------------------------------------------------------------------------


def test_many_are_kept_as_one_is_and_a_damaged_one_is_healed(store, place):
    items = [b"%d" % (number % 30) * 50 for number in range(40)]
    digests = store.put_many(items)
    assert digests == [sha256(item) for item in items]
    assert [store.get(digest) for digest in digests] == items
    if not isinstance(place, str):
        path = place / "sha256" / digests[3][:2] / digests[3][2:]
        path.chmod(0o644)
        path.write_bytes(b"x")
    assert store.put_many(items) == digests
    assert [store.get(digest) for digest in digests] == items


def test_many_cost_two_syncs_of_the_disk_and_no_name_is_given_before_the_first(tmp_path):
    class Counting(Disk):
        done = ""

        def sync_system(self, folder):
            self.done += "S"
            return super().sync_system(folder)

        def rename(self, source, target):
            self.done += "r"
            super().rename(source, target)

        def sync(self, descriptor):
            self.done += "s"
            super().sync(descriptor)

    disk = Counting()
    store = Artifacts(tmp_path, disk=disk)
    store.put_many([b"%d" % number for number in range(20)])
    assert disk.done == "S" + "r" * 20 + "S"


def test_where_the_system_cannot_sync_all_at_once_each_is_synced(tmp_path):
    class Old(Disk):
        synced: tuple[str, ...] = ()

        def sync_system(self, folder):  # noqa: ARG002 - the shape of Disk
            return False

        def sync_file(self, path):
            self.synced += (path.name,)
            super().sync_file(path)

    disk = Old()
    digests = Artifacts(tmp_path / "store", disk=disk).put_many([b"%d" % number for number in range(20)])
    assert sum(name.endswith(".tmp") for name in disk.synced) == 20
    assert {digest[:2] for digest in digests} | {"sha256", "store"} <= set(disk.synced)


def test_a_fault_while_many_are_written_leaves_a_sound_store(tmp_path):
    items = [b"%d" % number * 100 for number in range(12)]
    for number in range(1, 13):
        place = tmp_path / str(number)
        with pytest.raises(Unavailable, match="no space"):
            Artifacts(place, disk=FailsAt(number, OSError(errno.ENOSPC, "full"))).put_many(items)
        assert not list(place.glob("**/.*"))
        store = Artifacts(place)
        assert all(store.get(sha256(item)) == item for item in items if store.has(sha256(item)))
        assert store.put_many(items) == [sha256(item) for item in items]


# --- sealed ----------------------------------------------------------------------------------------------------

SECRET = b"the weights of a model that nobody else may have " * 50


@pytest.fixture
def keys(tmp_path, cheap_keys):
    service = open_keys(cheap_keys(tmp_path / "keyring"), passphrase=lambda: b"correct horse")
    service.create("model", AES_256)
    return service


def _stored(place):
    if isinstance(place, str) and place.startswith("memory"):
        system, root = fsspec.core.url_to_fs(place)
        return {path: system.cat(path) for path in system.find(root)}
    folder = Path(str(place).removeprefix("file://"))
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("how", ["put", "put_file", "seal"])
def test_a_sealed_artifact_is_known_by_its_plaintext_and_lies_nowhere_in_the_clear(place, keys, tmp_path, how):
    store = Artifacts(place, keys=keys)
    source = tmp_path / "in"
    source.write_bytes(SECRET)
    digest = sha256(SECRET)
    if how == "put":
        assert store.put(SECRET, key="model") == digest
    elif how == "put_file":
        assert store.put_file(source, key="model") == digest
    else:
        assert store.put(SECRET) == digest
        assert any(SECRET[:49] in data for data in _stored(place).values())
        store.seal(digest, key="model")
    stored = _stored(place)
    assert len(stored) == 1
    assert not any(SECRET[:49] in data for data in stored.values())
    assert store.get(digest) == SECRET
    with store.open(digest) as file:
        assert (file.seek(10), file.read(7)) == (10, SECRET[10:17])
    store.copy_to(digest, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == SECRET
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    assert store.put(SECRET, key="model") == digest
    assert _stored(place) == stored  # intact, so not sealed again


def test_without_keys_a_sealed_artifact_is_there_and_does_not_open(place, keys):
    digest = Artifacts(place, keys=keys).put(SECRET, key="model")
    bare = Artifacts(place)
    assert bare.has(digest)
    for call in (bare.get, bare.open):
        with pytest.raises(InvalidInput, match=r"sealed under the key 'model'.*without keys"):
            call(digest)
    with pytest.raises(InvalidInput, match="without keys"):
        bare.put(b"other", key="model")


def test_a_sealed_artifact_under_another_digest_does_not_open(tmp_path, keys):
    store = Artifacts(tmp_path / "store", keys=keys)
    one, other = store.put(b"one" * 100, key="model"), store.put(b"two" * 100, key="model")
    paths = [tmp_path / "store" / "sealed" / digest[:2] / digest[2:] for digest in (one, other)]
    paths[1].chmod(0o644)
    paths[1].write_bytes(paths[0].read_bytes())
    with pytest.raises(NotProven, match="associated"):
        store.get(other)
    assert store.put(b"two" * 100, key="model") == other  # healed
    assert store.get(other) == b"two" * 100


@pytest.mark.parametrize("damage", ["flip", "cut", "foreign", "empty"])
def test_a_damaged_sealed_artifact_is_refused_and_healed(tmp_path, keys, damage):
    store = Artifacts(tmp_path / "store", keys=keys)
    digest = store.put(SECRET, key="model")
    path = tmp_path / "store" / "sealed" / digest[:2] / digest[2:]
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(
        {
            "flip": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
            "cut": data[:-9],
            "foreign": b"x" * 400,
            "empty": b"",
        }[damage]
    )
    with pytest.raises(NotProven):
        store.get(digest)
    assert store.put(SECRET, key="model") == digest
    assert store.get(digest) == SECRET


def test_once_its_key_is_erased_an_artifact_says_so(tmp_path, keys):
    store = Artifacts(tmp_path / "store", keys=keys)
    digest = store.put(SECRET, key="model")
    keys.destroy("model")
    assert store.has(digest)
    with pytest.raises(InvalidInput, match=r"'model', which does not exist any more"):
        store.get(digest)
    keys.create("model", AES_256)  # another key of the same name opens nothing
    with pytest.raises(NotProven, match="not the one it was sealed under"):
        store.get(digest)
    assert store.put(SECRET, key="model") == digest
    assert store.get(digest) == SECRET


def test_after_a_rotation_what_was_sealed_before_still_opens(tmp_path, keys):
    store = Artifacts(tmp_path / "store", keys=keys)
    digest = store.put(SECRET, key="model")
    keys.rotate("model")
    assert store.get(digest) == SECRET


def test_a_fault_while_sealing_leaves_the_artifact_as_it_was(tmp_path, keys):
    digest, number, failed = sha256(SECRET), 0, True
    while failed:
        number += 1
        place = tmp_path / str(number)
        Artifacts(place).put(SECRET)
        try:
            Artifacts(place, keys=keys, disk=FailsAt(number, OSError(errno.ENOSPC, "full"))).seal(
                digest, key="model"
            )
            failed = False
        except Unavailable:
            assert Artifacts(place, keys=keys).get(digest) == SECRET
        Artifacts(place, keys=keys).seal(digest, key="model")
        assert [path.parts[-3] for path in place.rglob("*") if path.is_file()] == ["sealed"]
    assert number > 3
