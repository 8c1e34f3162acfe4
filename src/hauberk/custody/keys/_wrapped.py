r"""The encoding of a data key that a service or a token wrapped. No I/O.

    b"\x02"            the format; b"\x01" is the keyring's (`_versions`)
    holder             1 byte length, ASCII: the scheme of the holder, such as "awskms"
    version            2 bytes length big endian, ASCII: the version of the wrapping key, as the holder identifies it
    sealed             the output of the holder

The holder encrypts the data key followed by an HMAC-SHA-256 of the caller's associated data under that data key. So a
service that returns the plaintext of another request, or decrypts with another key, is detected here, and not after a
file was rewrapped under a key that nobody has. The HMAC also binds the associated data for holders without such a field.

Does not answer: a malicious service. It sees the data key and could invent another.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from hauberk.core.errors import InvalidInput, NotProven

_FORM = b"\x02"
_CHECK = b"hauberk.dev/key-check/v1\0"
_CONTEXT = b"hauberk.dev/key-context/v1\0"
_CHECK_SIZE = 32


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A wrapped data key: holder and version of the wrapping key, and the ciphertext."""

    holder: str
    version: str
    sealed: bytes

    def to_bytes(self) -> bytes:
        """Return the encoding above."""
        holder, version = self.holder.encode("ascii"), self.version.encode("ascii")
        return _FORM + bytes([len(holder)]) + holder + len(version).to_bytes(2, "big") + version + self.sealed

    @classmethod
    def read(cls, data: bytes, *, holder: str) -> Wrapped:
        """Parse bytes for `holder` to unwrap. Raises NotProven for bytes of another holder or format."""
        try:
            if data[:1] == b"\x01":
                raise NotProven(f"wrapped by a keyring, not by {holder}: give the keyring's URI.")
            end = 2 + data[1]
            size = int.from_bytes(data[end : end + 2], "big")
            start = end + 2 + size
            value = cls(data[2:end].decode("ascii"), data[end + 2 : start].decode("ascii"), data[start:])
        except (IndexError, UnicodeDecodeError):
            value = None
        if value is None or not value.sealed or value.to_bytes() != data:
            raise NotProven("these bytes are no wrapped data key, or they were cut short.")
        if value.holder != holder:
            raise NotProven(f"wrapped by {value.holder[:40]!r}, not by {holder}: give the URI of those keys.")
        return value


def guard(secret: bytes, associated: bytes) -> bytes:
    """Return the bytes for the holder to encrypt: the secret and its HMAC. Raises InvalidInput for an empty secret."""
    if not secret:
        raise InvalidInput("there is nothing to wrap: a data key has at least one byte.")
    return secret + _check(secret, associated)


def unguard(plaintext: bytes, associated: bytes) -> bytes:
    """Return the secret from the bytes that the holder decrypted. Raises NotProven when the HMAC does not match."""
    secret, check = plaintext[:-_CHECK_SIZE], plaintext[-_CHECK_SIZE:]
    if not secret or not hmac.compare_digest(check, _check(secret, associated)):
        raise NotProven(
            "the holder of the keys returned something else than was wrapped, or for another context: nothing of it "
            "is used. Ask who runs it whether the key was replaced."
        )
    return secret


def context(associated: bytes) -> str:
    """Return the digest of the associated data that is sent to holders, since services log it."""
    return hashlib.sha256(_CONTEXT + associated).hexdigest()


def _check(secret: bytes, associated: bytes) -> bytes:
    return hmac.digest(secret, _CHECK + associated, "sha256")
