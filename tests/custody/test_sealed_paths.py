"""What is sealed and opened to where, and what a refusal looks like."""

from __future__ import annotations

import hashlib
import os
import stat
import threading

import pytest

from hauberk.core.errors import HauberkError, InvalidInput, NotProven
from hauberk.custody import sealed_paths
from hauberk.custody.keys.keyring import Keyring


@pytest.fixture
def keys(tmp_path, cheap_keys):
    from hauberk.custody.keys import open_keys

    service = open_keys(cheap_keys(tmp_path / "keys" / "keyring"), passphrase=lambda: b"correct horse")
    assert isinstance(service, Keyring)
    assert sealed_paths.make_key(service, "data")
    assert not sealed_paths.make_key(service, "data")
    return service


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "set"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a" * 10)
    (folder / "deep" / "b.bin").write_bytes(b"b" * 20)
    (folder / ".hidden").write_bytes(b"h")
    (folder / "link").symlink_to("a.bin")
    return folder


def test_a_folder_goes_there_and_back(folder, keys, tmp_path):
    pairs = sealed_paths.plan_sealing(folder)
    assert [str(pair.target.relative_to(tmp_path)) for pair in pairs] == [
        "set.sealed/a.bin.sealed",
        "set.sealed/deep/b.bin.sealed",
    ]
    done = []

    class Watched:
        def update(self, share, *, text=""):
            done.append((share, text))

    sealed = sealed_paths.seal_all(pairs, keys, "data", associated=b"x", task=Watched())
    assert [one.plain_size for one in sealed] == [10, 20]
    assert [one.sha256 for one in sealed] == [hashlib.sha256(one.path.read_bytes()).hexdigest() for one in sealed]
    assert done == sorted(done)
    assert done[-1] == (1.0, "2 of 2")
    assert sorted(path.name for path in sealed_paths.left_open(folder, pairs)) == [".hidden", "link"]

    back = sealed_paths.plan_opening(tmp_path / "set.sealed", tmp_path / "again")
    opened = sealed_paths.open_all(back, keys, associated=b"x")
    assert [(one.path.name, one.key, one.plain_size) for one in opened] == [
        ("a.bin", "data", 10),
        ("b.bin", "data", 20),
    ]
    assert (tmp_path / "again" / "deep" / "b.bin").read_bytes() == b"b" * 20


def test_sealed_files_are_not_sealed_again(folder, keys):
    sealed_paths.seal_all(sealed_paths.plan_sealing(folder, folder / "out"), keys, "data")
    assert {pair.source.name for pair in sealed_paths.plan_sealing(folder)} == {"a.bin", "b.bin"}


def test_plaintext_goes_through_a_pipe_only_when_it_has_verified(folder, keys, tmp_path):
    (pair,) = sealed_paths.plan_sealing(folder / "a.bin")
    sealed_paths.seal_all([pair], keys, "data")
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    sealed_paths.open_all(sealed_paths.plan_opening(pair.target, pipe), keys)
    reader.join(timeout=20)
    assert got == [b"a" * 10]
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    data = bytearray(pair.target.read_bytes())
    data[-1] ^= 1
    pair.target.write_bytes(data)
    with pytest.raises(NotProven):  # nobody reads the pipe: opening it would wait for ever
        sealed_paths.open_all(sealed_paths.plan_opening(pair.target, pipe), keys)


def test_a_refusal_names_key_and_digest(folder, keys):
    (pair,) = sealed_paths.plan_sealing(folder / "a.bin")
    sealed_paths.seal_all([pair], keys, "data", associated=b"one")
    told = []

    def refused(error, key, sha256):
        told.append((type(error), key, sha256))
        return InvalidInput("erased")

    plan = sealed_paths.plan_opening(pair.target, folder / "b")
    with pytest.raises(InvalidInput, match="erased"):
        sealed_paths.open_all(plan, keys, associated=b"other", refused=refused)
    assert told == [(NotProven, "data", hashlib.sha256(pair.target.read_bytes()).hexdigest())]
    with pytest.raises(NotProven):
        sealed_paths.open_all(plan, keys, associated=b"other")


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (lambda folder: sealed_paths.plan_sealing(folder / "absent"), "there is no file"),
        (sealed_paths.plan_opening, "holds no sealed file"),
        (lambda folder: sealed_paths.plan_opening(folder / "a.bin"), "give --output"),
        (lambda folder: sealed_paths.plan_opening(folder / "a.bin", folder / "x"), "a.bin"),
        (sealed_paths.plan_column_sealing, "there is no file"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_without_keys(folder, plan, message):
    with pytest.raises(HauberkError, match=message):
        plan(folder)


def test_columns_are_named_with_or_without_a_key():
    assert sealed_paths.read_columns("a, b=other,,c", "data") == {"a": "data", "b": "other", "c": "data"}
