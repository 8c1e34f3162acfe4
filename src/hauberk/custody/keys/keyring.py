"""`keyring:PATH`: every key in one file, encrypted under a passphrase. The key service of a single machine.

Safe under a kill and under concurrent writers: each change takes a lock beside the file, reads the file again,
and replaces it atomically. Readers detect a change and reload. `_vault` is the file's format, `_versions`
the keys themselves.

Answers: a stolen or altered file, as far as the passphrase resists guessing at Argon2id's cost.
Does not answer: a restored older copy of the file (it opens, without the keys made since), a reader of this process's
memory, or a passphrase from a word list.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

from hauberk.core import canonical
from hauberk.core.disk import Disk, explain
from hauberk.core.errors import InvalidInput, NotProven, Unavailable
from hauberk.custody.keys import _names
from hauberk.custody.keys._vault import LARGEST, Cost, FileKey, Vault
from hauberk.custody.keys._versions import (
    SigningVersion,
    Version,
    WrappingVersion,
    from_json,
    generate,
    wrapped_under,
)
from hauberk.custody.keys.passphrase import new_passphrase
from hauberk.custody.keys.port import Destroyed, KeyService, PublicKey, Signer
from hauberk.custody.keys.schemes import KEY_SERVICES, Passphrase

_LOCK_SECONDS = 30.0

_Keys = Mapping[str, tuple[Version, ...]]


@dataclass(frozen=True, slots=True)
class _State:
    """The content of the file at the last read. stamp: distinguishes it from later content. Oldest version first."""

    stamp: tuple[int, ...]
    keys: _Keys


class Keyring:
    """A `KeyService` in one encrypted file. `make` writes a new one, `open` reads one."""

    __slots__ = ("_disk", "_file_key", "_state", "path")

    def __init__(self, path: Path, file_key: FileKey, disk: Disk) -> None:
        self.path = path
        self._file_key = file_key
        self._disk = disk
        self._state = _State((), {})
        self._read_again()

    def __repr__(self) -> str:
        return f"<Keyring {self.path}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring cannot be pickled or copied: open it where it is needed")

    @classmethod
    def make(cls, path: Path, passphrase: bytes, *, disk: Disk | None = None, cost: Cost | None = None) -> Self:
        """Make an empty keyring that only its owner can read. Raises InvalidInput when the file exists."""
        path, disk = _real(path), disk or Disk()
        file_key = FileKey.fresh(passphrase, cost or Cost())
        with _locked(path):
            if path.exists():
                raise InvalidInput(f"{path} exists already. Nothing was changed; open it, or choose another path.")
            disk.write(path, file_key.lock(canonical.encode({})), mode=0o600)
        return cls(path, file_key, disk)

    @classmethod
    def open(cls, path: Path, passphrase: bytes, *, disk: Disk | None = None) -> Self:
        """Open an existing keyring.

        Raises InvalidInput when there is no file, when others can read it, when it is not a keyring, and for a wrong
        passphrase.
        """
        path = _real(path)
        data, _ = _read(path)
        file_key = Vault.read(data, what=f"keyring {path}").key(passphrase)
        return cls(path, file_key, disk or Disk())

    def names(self) -> Mapping[str, str]:
        """Return the algorithm of each key, sorted by name."""
        return {name: versions[-1].algorithm for name, versions in sorted(self._keys().items())}

    def create(self, name: str, algorithm: str) -> None:
        """Add a key. Raises InvalidInput when the name is taken or not allowed, or the algorithm unknown."""
        _names.usable(name)

        def created(keys: _Keys) -> _Keys:
            if name in keys:
                raise _names.taken(name)
            return {**keys, name: (generate(algorithm),)}

        self._change(created)

    def signer(self, name: str) -> Signer:
        """Return a signer for the current version of a signing key; a later rotation does not change it."""
        return self._signing(name)[-1]

    def publics(self, name: str) -> tuple[PublicKey, ...]:
        """Return every version's verifying key, the current one first."""
        return tuple(version.public for version in reversed(self._signing(name)))

    def rotate(self, name: str) -> None:
        """Make a new current version; older versions still verify and unwrap. Raises InvalidInput for no such key."""

        def rotated(keys: _Keys) -> _Keys:
            versions = _named(keys, name)
            return {**keys, name: (*versions, generate(versions[-1].algorithm))}

        self._change(rotated)

    def wrap(self, name: str, secret: bytes, associated: bytes) -> bytes:
        """Encrypt a data key under the current version of a key-encryption key, bound to `associated`.

        The result names the version, so that `unwrap` works after any number of rotations. One version may wrap
        2**32 times. Raises InvalidInput when `name` is not a key-encryption key.
        """
        return self._wrapping(name)[-1].wrap(secret, associated)

    def unwrap(self, name: str, wrapped: bytes, associated: bytes) -> bytes:
        """Return the data key from `wrap`. Raises NotProven when the key, the bytes or `associated` differ."""
        wanted = wrapped_under(wrapped)
        for version in self._wrapping(name):
            if version.id == wanted:
                return version.unwrap(wrapped, associated)
        raise NotProven(f"wrapped under another key: no version of {name!r} has the id {wanted}.")

    def ids(self, name: str) -> tuple[str, ...]:
        """Return the identifier of every version, the current one first."""
        return tuple(version.id for version in reversed(_named(self._keys(), name)))

    def is_current(self, name: str, wrapped: bytes) -> bool:
        """Return whether these bytes name the current version of `name`; False for bytes of another holder."""
        current = self._wrapping(name)[-1].id
        try:
            return wrapped_under(wrapped) == current
        except NotProven:
            return False

    def destroy(self, name: str) -> Destroyed:
        """Remove a key with all its versions, and overwrite the old file before it is released.

        Does not answer: copies of the file, snapshots, and storage that does not overwrite in place (flash,
        copy-on-write): there the old file remains, encrypted under its passphrase.
        """
        gone: tuple[Version, ...] = ()

        def destroyed(keys: _Keys) -> _Keys:
            nonlocal gone
            gone = _named(keys, name)
            return {other: versions for other, versions in keys.items() if other != name}

        self._change(destroyed, overwrite=True)
        return Destroyed(
            name=name,
            algorithm=gone[-1].algorithm,
            ids=tuple(version.id for version in reversed(gone)),
            waiting_days=0,
            remains=f"Backups, copies and snapshots of {self.path} from before still hold the key, locked by the "
            "passphrase of that time: delete them as well.",
        )

    def change_passphrase(self, new: bytes) -> None:
        """Encrypt the file under another passphrase with a new salt.

        Does not answer: an attacker who has an old copy of the file and the old passphrase. In that case rotate each
        key as well.
        """
        with _locked(self.path):
            self._read_again()
            file_key = FileKey.fresh(new, self._file_key.header.cost)
            self._write(file_key, self._state.keys)
            self._file_key = file_key
            self._read_again()

    def _keys(self) -> _Keys:
        self._refresh()
        return self._state.keys

    def _signing(self, name: str) -> list[SigningVersion]:
        versions = _named(self._keys(), name)
        signing = [version for version in versions if isinstance(version, SigningVersion)]
        if not signing:
            raise _names.cannot_sign(name, versions[-1].algorithm)
        return signing

    def _wrapping(self, name: str) -> list[WrappingVersion]:
        versions = _named(self._keys(), name)
        wrapping = [version for version in versions if isinstance(version, WrappingVersion)]
        if not wrapping:
            raise _names.cannot_encrypt(name, versions[-1].algorithm)
        return wrapping

    def _change(self, change: Callable[[_Keys], _Keys], *, overwrite: bool = False) -> None:
        with _locked(self.path), _kept_open(self.path) as old:
            self._read_again()  # keeps the changes that another process wrote while we waited
            self._write(self._file_key, change(self._state.keys))
            if overwrite:
                _overwrite(old, self.path)
            self._read_again()

    def _write(self, file_key: FileKey, keys: _Keys) -> None:
        self._disk.write(self.path, file_key.lock(_dump(keys)), mode=0o600)

    def _refresh(self) -> None:
        """Read the file again if it seems changed; sufficient for readers, not for writers."""
        if _stamp(self.path) != self._state.stamp:
            self._read_again()

    def _read_again(self) -> None:
        data, stamp = _read(self.path)
        what = f"keyring {self.path}"
        vault = Vault.read(data, what=what)
        if self._state.stamp and vault.header != self._file_key.header:
            raise InvalidInput(f"{what} is under another passphrase than when it was opened: open it again.")
        self._state = _State(stamp, _load(self._file_key.unlock(vault, what=what), what=what))


@KEY_SERVICES.register("keyring", practice="1b", threats=(), summary="an encrypted file on this machine")
def open_keyring(rest: str, *, passphrase: Passphrase | None, create: bool, disk: Disk) -> KeyService:
    """Open `keyring:PATH`; with `create`, make the file if it does not exist."""
    path = _real(Path(rest))
    missing = not path.exists()
    if missing and not create:
        raise InvalidInput(f"there is no keyring at {path}. Make one with `hauberk keys create NAME`.")
    if passphrase is None:
        raise InvalidInput(f"keyring {path} is encrypted: a passphrase is needed to open it.")
    if missing:
        return Keyring.make(path, new_passphrase(passphrase), disk=disk)
    return Keyring.open(path, passphrase(), disk=disk)


def _dump(keys: _Keys) -> bytes:
    return canonical.encode(
        {
            name: {"algorithm": versions[-1].algorithm, "versions": [version.to_json() for version in versions]}
            for name, versions in keys.items()
        }
    )


def _load(plaintext: bytes, *, what: str) -> _Keys:
    try:
        value: Any = canonical.decode(plaintext, what=what)
        return {
            name: tuple(from_json(entry["algorithm"], version) for version in entry["versions"])
            for name, entry in value.items()
            if entry["versions"]
        }
    except (ValueError, TypeError, KeyError, AttributeError, InvalidInput):
        # `from None`: the parser's error holds the text that it could not parse, which is secret.
        raise InvalidInput(
            f"{what} opened, but its keys cannot be read: was it written by a later version?"
        ) from None


def _named(keys: _Keys, name: str) -> tuple[Version, ...]:
    try:
        return keys[name]
    except KeyError:
        raise _names.unknown(name, keys) from None


def _real(path: Path) -> Path:
    # Links are resolved: otherwise the next write would replace the link and not the file.
    return Path(os.path.realpath(path.expanduser()))


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        return _stamp_of(path.stat())
    except OSError:
        return ()


def _stamp_of(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _read(path: Path) -> tuple[bytes, tuple[int, ...]]:
    try:
        file = open(path, "rb", opener=_not_blocking)  # noqa: SIM115 - Path.open takes no opener; closed below
    except FileNotFoundError:
        raise InvalidInput(f"there is no keyring at {path}.") from None
    except OSError as error:
        raise InvalidInput(f"cannot read keyring {path}: {error.strerror or error}.") from error
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInput(f"keyring {path} is not a regular file.")
        if status.st_mode & 0o077:
            raise InvalidInput(
                f"keyring {path} is open to others (mode {stat.S_IMODE(status.st_mode):04o}), who can take it away "
                f"and guess at the passphrase. Run `chmod 600 {path}`; if others may have read it, rotate the keys."
            )
        if status.st_size > LARGEST:
            raise InvalidInput(f"keyring {path} has {status.st_size} bytes, and {LARGEST} is the limit.")
        return file.read(LARGEST + 1), _stamp_of(status)


@contextmanager
def _kept_open(path: Path) -> Iterator[int]:
    """Keep the present file open, so that its bytes can be overwritten after another file has its name."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise explain(error, path) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _overwrite(descriptor: int, path: Path) -> None:
    """Overwrite the old file with zeros; the new file has its name already."""
    try:
        os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
        os.fsync(descriptor)
    except OSError as error:
        raise explain(error, path) from error


def _not_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe in the file's place cannot block the program


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the write lock: a file beside the keyring, since the keyring itself is replaced at each write."""
    beside = path.with_name(f".{path.name}.lock")
    try:
        beside.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise explain(error, beside) from error
    try:
        _wait_for(descriptor, path)
        yield
    finally:
        os.close(descriptor)  # which releases the lock


def _wait_for(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unavailable(f"another process has been changing {path} for {_LOCK_SECONDS:.0f} s.") from None
            time.sleep(0.01)
        else:
            return
