from __future__ import annotations

import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.keys.port import PublicKey
from hauberk.custody.ledger import notes
from hauberk.custody.seen import Seen, default_place


class _Signer:
    def __init__(self) -> None:
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
        spki = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public = PublicKey.from_spki(spki)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def _note(size: int, fill: int = 1, origin: str = "one") -> bytes:
    return notes.sign(notes.Checkpoint(origin, size, bytes([fill]) * 32).text(), origin, _Signer())


def test_what_was_recorded_is_remembered_by_origin_across_objects(tmp_path):
    place = tmp_path / "state" / "seen"
    Seen(place).record("one", _note(3))
    Seen(place).record("two/with a path", _note(5))
    assert Seen(place).get("one") == _note(3)
    assert Seen(place).get("two/with a path") == _note(5)
    assert Seen(place).get("three") is None
    assert [path.stat().st_mode & 0o777 for path in place.glob("*.json")] == [0o600, 0o600]


def test_an_older_checkpoint_does_not_replace_a_newer_one(tmp_path):
    seen = Seen(tmp_path)
    for size in (7, 3, 7):
        seen.record("one", _note(size))
        assert seen.get("one") == _note(7)
    seen.record("one", _note(8))
    assert seen.get("one") == _note(8)


def test_two_roots_of_one_size_are_a_fork(tmp_path):
    seen = Seen(tmp_path)
    seen.record("one", _note(7, 1))
    with pytest.raises(NotProven, match="fork"):
        seen.record("one", _note(7, 2))
    assert seen.get("one") == _note(7, 1)


def test_only_a_checkpoint_is_recorded(tmp_path):
    with pytest.raises(NotProven):
        Seen(tmp_path).record("one", b"note 1\n")
    assert Seen(tmp_path).get("one") is None


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"one":1}', b"\xff", "version", "origin"])
def test_a_damaged_record_is_not_taken_for_a_missing_one(tmp_path, damage):
    Seen(tmp_path).record("one", _note(1))
    (record,) = tmp_path.glob("*.json")
    if isinstance(damage, str):
        value = json.loads(record.read_bytes()) | {damage: 99}
        damage = json.dumps(value).encode()
    record.write_bytes(damage)
    with pytest.raises(InvalidInput, match=r"\.json"):
        Seen(tmp_path).get("one")


RECORDS = """
import sys
from pathlib import Path
from hauberk.custody.seen import Seen
seen = Seen(Path(sys.argv[1]))
for line in sys.stdin:
    origin, note = line.split(" ")
    seen.record(origin, bytes.fromhex(note))
"""


def test_processes_that_record_at_once_leave_the_newest_of_each_origin(tmp_path):
    started = [
        subprocess.Popen([sys.executable, "-c", RECORDS, str(tmp_path)], stdin=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for number, process in enumerate(started):
        sizes = range(1 + number, 31 + number)
        lines = [
            f"{name} {_note(size, origin=name).hex()}\n"
            for size in (*sizes, *sizes[::-1])
            for name in ("one", "two")
        ]
        process.stdin.write("".join(lines))
        process.stdin.close()
    assert [process.wait() for process in started] == [0, 0, 0]
    assert [Seen(tmp_path).get(name) for name in ("one", "two")] == [_note(32), _note(32, origin="two")]


def test_the_place_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("HAUBERK_STATE", raising=False)
    assert default_place() == tmp_path / "hauberk" / "seen"
    monkeypatch.setenv("HAUBERK_STATE", str(tmp_path / "mine"))
    assert default_place() == tmp_path / "mine"
