"""A signer that remembers what it signed, and a disk that dies when told to."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from hauberk.core.disk import Disk
from hauberk.core.errors import NotProven
from hauberk.custody.keys.port import PublicKey
from hauberk.custody.ledger import Ledger, notes

ORIGIN = "ledger.example/test"


class MemorySigner:
    """An Ed25519 key from a seed byte, with every message that it signed."""

    origin = ORIGIN

    def __init__(self, seed: int = 1) -> None:
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        spki = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public = PublicKey.from_spki(spki)
        self.messages: list[bytes] = []

    def sign(self, message: bytes) -> bytes:
        self.messages.append(message)
        return self._key.sign(message)

    def heads(self) -> dict[int, set[bytes]]:
        """Size to the roots that were signed for it, over the signer's whole life."""
        found: dict[int, set[bytes]] = {}
        for message in self.messages:
            checkpoint = notes.parse_checkpoint(message)
            if checkpoint.origin == ORIGIN:
                found.setdefault(checkpoint.size, set()).add(checkpoint.root)
        return found


class Killed(BaseException):
    """The process is gone: nothing after this line ran."""


class FaultyDisk(Disk):
    """Goes wrong at the `at`-th operation, in one of these ways.

    full     the operation fails with ENOSPC; everything after it works
    kill     the process dies before the operation; what was written stays
    torn     as kill, and a write under way leaves half of its bytes
    power    as torn, and the machine loses what was not synced: file bytes, folder entries, renames
    """

    killed = Killed

    def __init__(self, folder: Path, at: int, how: str) -> None:
        self.folder, self.at, self.how = folder, at, how
        self.count = 0
        self.dead = False
        self._unsynced: set[Path] = set()
        self._replaced: dict[Path, bytes | None] = {}
        self._entries: dict[Path, set[str]] = {}
        for place in [folder, *folder.rglob("*")] if folder.exists() else []:
            self._note(place)

    def restart(self, at: int, how: str) -> FaultyDisk:
        """Go on after the death: the next process on the same machine, or the same disk after a power cut."""
        if self.how == "power":
            return FaultyDisk(self.folder, at, how)
        self.at, self.how, self.count, self.dead = at, how, 0, False
        return self

    def beside(self) -> FaultyDisk:
        """Another process on the same machine, without a fault of its own: both share what was not synced."""
        other = FaultyDisk(self.folder, 0, self.how)
        other._unsynced, other._replaced, other._entries = self._unsynced, self._replaced, self._entries
        return other

    def _note(self, place: Path) -> None:
        if place.is_dir():
            self._entries[place] = {child.name for child in place.iterdir()}

    def _step(self) -> bool:
        """Count an operation; True when it is this one that the process dies in."""
        if self.dead:
            raise Killed
        self.count += 1
        if self.count != self.at:
            return False
        if self.how == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return True

    def _die(self) -> None:
        self.dead = True
        if self.how == "power":
            self.lose()
        raise Killed

    def lose(self) -> None:
        """Take back what was not synced."""
        for path in self._unsynced:
            if path.exists():
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        for path, before in self._replaced.items():
            if before is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(before)
        for place in sorted(self.folder.rglob("*"), reverse=True):
            if place.parent in self._entries and place.name in self._entries[place.parent]:
                continue
            shutil.rmtree(place) if place.is_dir() else place.unlink()

    def store(self, descriptor, data):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if self._step():
            if self.how != "kill":
                os.write(descriptor, data[: len(data) // 2])
                self._unsynced.add(path)
            self._die()
        self._unsynced.add(path)
        super().store(descriptor, data)

    def sync(self, descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not path.is_dir():  # a folder is counted in sync_folder
            if self._step():
                self._die()
            self._unsynced.discard(path)
        super().sync(descriptor)

    def rename(self, source, target):
        if self._step():
            self._die()
        self._replaced.setdefault(target, target.read_bytes() if target.exists() else None)
        super().rename(source, target)

    def sync_folder(self, path):
        if self._step():
            self._die()
        super().sync_folder(path)
        self._note(path)
        for target in [target for target in self._replaced if target.parent == path]:
            del self._replaced[target]

    def remove(self, path):
        if self._step():
            self._die()
        super().remove(path)


@pytest.fixture
def place(tmp_path):
    """A folder in memory where there is one: the faults are simulated, so syncing for real only takes time."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture
def signer() -> MemorySigner:
    return MemorySigner()


@pytest.fixture
def origin() -> str:
    return ORIGIN


@pytest.fixture
def another_signer() -> MemorySigner:
    return MemorySigner(2)


@pytest.fixture
def lab():
    """What a fault is made with."""
    return SimpleNamespace(signer=MemorySigner, disk=FaultyDisk, killed=Killed)


@pytest.fixture
def refused():
    """Whether a call raises NotProven; for vectors that say which are bad."""

    def check(call, *args) -> bool:
        try:
            call(*args)
        except NotProven:
            return True
        return False

    return check


SIZES = (1, 2, 3, 255, 256, 257, 511, 512, 700)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A log of 700 entries `entry N`, its signer, and the checkpoints of sizes 0 and SIZES; only to be read."""
    folder, signer = tmp_path_factory.mktemp("filled") / "log", MemorySigner()
    with Ledger.create(folder, ORIGIN, signer) as log:
        checkpoints = [log.checkpoint()]
        for start, stop in pairwise((0, *SIZES)):
            log.append_many([b"entry %d" % index for index in range(start, stop)])
            checkpoints.append(log.checkpoint())
    return folder, signer, checkpoints


@pytest.fixture(scope="session")
def made_logs(tmp_path_factory):
    """The twins of the published logs, written by tests/vectors/make.py: their folder and their roots."""
    source = Path(__file__).parents[2] / "vectors/make.py"
    spec = importlib.util.spec_from_file_location("made_vectors", source)
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    folder = tmp_path_factory.mktemp("logs")
    return folder, make.logs(folder)


@pytest.fixture(scope="session")
def logs(either, request):
    """The folder of logs: ours, then the published ones."""
    ours = either.resolve() == Path(__file__).resolve().parents[2] / "vectors"
    return request.getfixturevalue("made_logs")[0] if ours else either / "merkle"
