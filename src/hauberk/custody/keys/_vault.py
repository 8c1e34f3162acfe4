"""The keyring's file format: bytes encrypted under a passphrase. No I/O.

Canonical JSON (RFC 8785), one line:

    argon2id   {"lanes", "memory" (KiB), "salt" (base64, 16 bytes), "time"} parameters of Argon2id v1.3 (RFC 9106)
    check      base64 of 32 bytes: the commitment to the key
    format     "https://hauberk.dev/keyring/v1"
    sealed     base64 of nonce (12 bytes), AES-256-GCM ciphertext and tag

Argon2id outputs 64 bytes: 32 are the AES key, 32 the commitment `check`. All fields but `sealed` are associated
data. Without the commitment, one forged file could open under many passphrases, and opening it would reveal which of
them a user has (Len, Grubbs, Ristenpart 2021, "Partitioning Oracle Attacks").
"""

from __future__ import annotations

import base64
import hmac
import os
from dataclasses import dataclass
from typing import Any, NoReturn

from argon2.exceptions import HashingError
from argon2.low_level import ARGON2_VERSION, Type, hash_secret_raw

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven, Unavailable
from hauberk.custody.keys import _aead

FORMAT = "https://hauberk.dev/keyring/v1"
LARGEST = 4 * 1024 * 1024  # bytes of a keyring file: room for some ten thousand keys
_SALT_SIZE = 16
_MOST_TIME = 16
_MOST_MEMORY = 1024 * 1024  # KiB: 1 GiB
_MOST_LANES = 16


@dataclass(frozen=True, slots=True)
class Cost:
    """Argon2id's cost of one guess: passes, memory in KiB, lanes. Defaults: RFC 9106 §4, second recommendation.

    Raises InvalidInput beyond 16 passes, 1 GiB or 16 lanes, so that a file cannot exhaust the machine.
    """

    time: int = 3
    memory: int = 64 * 1024
    lanes: int = 4

    def __post_init__(self) -> None:
        whole = all(type(value) is int for value in (self.time, self.memory, self.lanes))
        if not (
            whole
            and 1 <= self.time <= _MOST_TIME
            and 1 <= self.lanes <= _MOST_LANES
            and 8 * self.lanes <= self.memory <= _MOST_MEMORY
        ):
            raise InvalidInput(
                f"Argon2id parameters out of bounds: expected time 1 to {_MOST_TIME}, lanes 1 to {_MOST_LANES}, "
                f"memory 8 KiB a lane to {_MOST_MEMORY} KiB."
            )


@dataclass(frozen=True, slots=True)
class Header:
    """The unencrypted fields of a keyring file."""

    cost: Cost
    salt: bytes
    check: bytes

    def to_json(self) -> dict[str, Any]:
        """Return the fields other than `sealed`; their canonical bytes are the associated data."""
        cost = {"lanes": self.cost.lanes, "memory": self.cost.memory, "time": self.cost.time}
        return {"argon2id": cost | {"salt": _text(self.salt)}, "check": _text(self.check), "format": FORMAT}


class FileKey:
    """The key of one keyring file, derived from a passphrase and kept, so that Argon2id runs once and not at every write.

    The salt changes only with the passphrase; each write draws a fresh nonce.
    """

    __slots__ = ("_key", "header")

    def __init__(self, passphrase: bytes, salt: bytes, cost: Cost) -> None:
        try:
            derived = hash_secret_raw(
                passphrase,
                salt,
                time_cost=cost.time,
                memory_cost=cost.memory,
                parallelism=cost.lanes,
                hash_len=2 * _aead.KEY_SIZE,
                type=Type.ID,
                version=ARGON2_VERSION,
            )
        except (HashingError, MemoryError):
            raise Unavailable(
                f"Argon2id could not run: it needs {cost.memory // 1024} MiB of memory. Free some and run again."
            ) from None
        self._key = derived[: _aead.KEY_SIZE]
        self.header = Header(cost, salt, derived[_aead.KEY_SIZE :])

    def __repr__(self) -> str:
        return "<keyring file key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret key cannot be pickled or copied")

    @classmethod
    def fresh(cls, passphrase: bytes, cost: Cost) -> FileKey:
        """Return a key for a new file or passphrase, with a new salt."""
        return cls(passphrase, os.urandom(_SALT_SIZE), cost)

    def lock(self, plaintext: bytes) -> bytes:
        """Return the file's bytes. Raises InvalidInput when the file would be too large to be read."""
        sealed = _aead.seal(self._key, plaintext, canonical.encode(self.header.to_json()))
        data = Vault(self.header, sealed).to_bytes()
        if len(data) > LARGEST:
            raise InvalidInput(f"the keyring would have {len(data)} bytes, and {LARGEST} is the limit.")
        return data

    def unlock(self, vault: Vault, *, what: str) -> bytes:
        """Return the plaintext. Raises InvalidInput, with one message for a wrong passphrase and an altered file."""
        refusal = InvalidInput(
            f"{what} does not open: the passphrase is wrong, or the file was changed. Try the passphrase again; if "
            "it is surely right, restore the file from a backup."
        )
        if not hmac.compare_digest(self.header.check, vault.header.check):
            raise refusal
        try:
            return _aead.unseal(self._key, vault.sealed, canonical.encode(vault.header.to_json()))
        except NotProven:
            raise refusal from None


@dataclass(frozen=True, slots=True)
class Vault:
    """A keyring file that was parsed but not decrypted."""

    header: Header
    sealed: bytes

    @classmethod
    def read(cls, data: bytes, *, what: str) -> Vault:
        """Parse the file. Raises InvalidInput unless it is exactly what `FileKey.lock` writes."""
        value = canonical.decode(data, what=what)
        try:
            cost = dict(value["argon2id"])
            salt = base64.b64decode(cost.pop("salt"))
            header = Header(Cost(**cost), salt, base64.b64decode(value["check"]))
            vault = cls(header, base64.b64decode(value["sealed"]))
            # JSON and base64 have several encodings of one value: only the canonical one is accepted.
            known = vault.to_bytes() == data and len(salt) == _SALT_SIZE
        except (ValueError, TypeError, KeyError, AttributeError):
            known = False
        if not known:
            raise InvalidInput(f"{what} is not a Hauberk keyring, or it was damaged. Restore it from a backup.")
        return vault

    def key(self, passphrase: bytes) -> FileKey:
        """Derive the key from a passphrase, whether it is the right one or not."""
        return FileKey(passphrase, self.header.salt, self.header.cost)

    def to_bytes(self) -> bytes:
        """Return the file's bytes."""
        return canonical.encode(self.header.to_json() | {"sealed": _text(self.sealed)})


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
