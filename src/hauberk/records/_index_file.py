"""The file of an index: SQLite's bytes under an authentication code of this user.

    line, HMAC-SHA-256 (32 bytes), the SQLite database

The key of the code is 32 random bytes in the user's state folder, with the memory of checkpoints (`custody.seen`), and
outside of the project. The file is read whole and its code is checked before SQLite sees a byte of it; the queries then
run on these very bytes, in memory.

Answers: whoever can write the project's folder, and not the user's state folder, can neither add, change nor hide a row:
the changed file is discarded. Does not answer: a process of the same user, which can read the key. An older file
of the same user is accepted; it is a correct index of fewer entries, and the rest is read from the ledger.
"""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkError

MAGIC = b"hauberk index v1\n"  # a change of what is extracted from entries or envelopes is a new version
_CODE = 32
_MODE = 0o600


class IndexFile:
    """Where the index of one ledger is kept by one user. folder: of the project (`.hauberk`). key: the key's file."""

    def __init__(self, folder: Path, key: Path, disk: Disk) -> None:
        self._folder, self._key_file, self._disk = folder / "index", key, disk

    def read(self) -> bytes | None:
        """Return the database, or None where no file of this user is there, or its code does not hold."""
        key = self._key()
        if key is None:
            return None
        try:
            data = self._place(key).read_bytes()
        except OSError:
            return None
        start = len(MAGIC) + _CODE
        if not data.startswith(MAGIC) or not hmac.compare_digest(
            data[len(MAGIC) : start], _code(key, data[start:])
        ):
            return None
        return data[start:]

    def write(self, database: bytes) -> bool:
        """Replace the file. Returns False where this user may not write: the index then stays in memory."""
        try:
            # A read-only disk and a foreign folder are ordinary here, so they are asked about before a file is begun.
            if not os.access(self._folder if self._folder.exists() else self._folder.parent, os.W_OK):
                return False
            key = self._key() or self._made_key()
            self._disk.write(self._place(key), MAGIC + _code(key, database) + database, mode=_MODE)
        except (HauberkError, OSError):
            return False
        return True

    def _key(self) -> bytes | None:
        try:
            key = self._key_file.read_bytes()
        except OSError:
            return None
        return key if len(key) == _CODE else None

    def _made_key(self) -> bytes:
        # Two processes may make one at once; the file of the one that loses is then discarded and built again.
        self._disk.write(self._key_file, secrets.token_bytes(_CODE), mode=_MODE)
        return self._key_file.read_bytes()

    def _place(self, key: bytes) -> Path:
        # One file a user: two users of one project cannot check each other's codes, and would replace them in turn.
        return self._folder / f"{sha256(b'hauberk index user' + key).hexdigest()[:16]}.db"


def _code(key: bytes, database: bytes) -> bytes:
    return hmac.digest(key, MAGIC + database, "sha256")
