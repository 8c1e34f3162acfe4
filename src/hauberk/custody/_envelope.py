r"""The envelope of a sealed file: the authenticated header that says how to open the rest.

    line       b"hauberk-sealed-v1\n"
    length     uint32 big endian, of the header, at most 65536
    header     canonical JSON (RFC 8785), exactly these members:
                 associated   64 hex digits: HMAC-SHA-256 over the caller's associated data, under a key derived
                              from the data key
                 cipher       "AES256_GCM_HKDF_1MB"
                 key          name of the key-encryption key
                 plain_size   bytes of plaintext
                 wrapped      base64: the data key, wrapped by the key service
    stream     Tink's wire format (`streams`) under the data key; its associated data is
                 uint64(length of core) || core || uint64(length of the caller's) || the caller's associated data

*core* is the magic line and the canonical JSON of the header without `key` and `wrapped`. The key service binds the
wrapped data key to the same core. So every member is authenticated, and the data key can still be wrapped
under another key-encryption key without re-encrypting the stream.

The HMAC commits the file to its data key and to its associated data (AES-GCM alone commits to neither), and lets a
reader tell wrong associated data from a wrong key. Because its key is secret, it reveals nothing about the data to others.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody._segments import derive

MAGIC = b"hauberk-sealed-v1\n"
CIPHER = "AES256_GCM_HKDF_1MB"
FIXED = len(MAGIC) + 4
"""Bytes before the header: line and length."""
_LARGEST = 65536
_COMMITMENT = b"hauberk-sealed-v1 associated data"
_HMAC = re.compile("[0-9a-f]{64}")
_MEMBERS = {"associated": str, "cipher": str, "key": str, "plain_size": int, "wrapped": str}


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a sealed file. It is not authenticated until the data key has been unwrapped with it.

    key: name of the key-encryption key. plain_size: bytes. associated: HMAC as hex. wrapped: the data key.
    """

    key: str
    plain_size: int
    associated: str
    wrapped: bytes

    @property
    def core(self) -> bytes:
        """The bytes to which both the wrapped key and the stream are bound."""
        return MAGIC + canonical.encode(self._core())

    def _core(self) -> dict[str, Any]:
        return {"associated": self.associated, "cipher": CIPHER, "plain_size": self.plain_size}

    def to_bytes(self) -> bytes:
        """Return line, length and header. Raises InvalidInput when the key service's answer is too large."""
        wrapped = base64.b64encode(self.wrapped).decode("ascii")
        body = canonical.encode(self._core() | {"key": self.key, "wrapped": wrapped})
        if len(body) > _LARGEST:
            raise InvalidInput(
                f"the header would have {len(body)} bytes, at most {_LARGEST} fit. Shorten the name."
            )
        return MAGIC + len(body).to_bytes(4, "big") + body

    def stream_associated(self, associated: bytes) -> bytes:
        """Return the associated data of the stream, given the caller's."""
        core = self.core
        return len(core).to_bytes(8, "big") + core + len(associated).to_bytes(8, "big") + associated

    def check_associated(self, data_key: bytes, associated: bytes, *, what: str) -> None:
        """Raise NotProven unless the file was sealed with this associated data."""
        if not hmac.compare_digest(commit(data_key, associated), self.associated):
            raise NotProven(
                f"{what} does not open: the associated data is not what it was sealed with. The key is right; give "
                "the associated data that was given when it was sealed, or find out who swapped the file."
            )


def commit(data_key: bytes, associated: bytes) -> str:
    """Return HMAC-SHA-256 over `associated`, as hex, under a key that is derived from the data key for this purpose only."""
    # The empty salt separates this derivation from the stream's, which uses 32 random bytes.
    return hmac.new(derive(data_key, b"", _COMMITMENT, size=32), associated, "sha256").hexdigest()


def header_length(start: bytes, *, what: str) -> int:
    """Check the first `FIXED` bytes of a file and return the length of its header. Raises InvalidInput."""
    if start[: len(MAGIC)] != MAGIC:
        if start[:15] == MAGIC[:15] and len(start) == FIXED:
            raise InvalidInput(
                f"{what} is sealed in a format this version does not know; it knows v1. Upgrade Hauberk."
            )
        raise InvalidInput(f"{what} is not a sealed file: it does not begin with {MAGIC.decode().strip()!r}.")
    length = int.from_bytes(start[len(MAGIC) :], "big")
    if len(start) < FIXED or not 2 <= length <= _LARGEST:
        raise InvalidInput(
            f"{what} has a damaged header: it claims {length} bytes, expected 2 to {_LARGEST}. Fetch it again."
        )
    return length


def parse(body: bytes, *, what: str) -> Header:
    """Parse the header's JSON. Raises InvalidInput unless it is in canonical form."""
    found = canonical.decode(body, what=f"the header of {what}")
    _check_members(found, what=what)
    if found["cipher"] != CIPHER:
        raise InvalidInput(f"{what} uses the cipher {found['cipher'][:40]!r}; this version knows {CIPHER}.")
    try:
        wrapped = base64.b64decode(found["wrapped"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(
            f"{what} has a damaged header: `wrapped` is not base64. Fetch the file again."
        ) from error
    header = Header(found["key"], found["plain_size"], found["associated"], wrapped)
    # Only the canonical form is accepted; otherwise a file could be altered, if harmlessly, without notice.
    if header.to_bytes()[FIXED:] != body:
        raise InvalidInput(f"{what} has a damaged header: it is not in canonical form. Fetch the file again.")
    return header


def _check_members(found: Any, *, what: str) -> None:  # noqa: ANN401 - any JSON value
    if not isinstance(found, Mapping) or set(found) != set(_MEMBERS):
        raise InvalidInput(f"{what} has a damaged header: its members must be {', '.join(_MEMBERS)}.")
    for name, kind in _MEMBERS.items():
        if type(found[name]) is not kind:
            raise InvalidInput(f"{what} has a damaged header: `{name}` is not of type {kind.__name__}.")
    if found["plain_size"] < 0:
        raise InvalidInput(f"{what} has a damaged header: `plain_size` is negative.")
    if not _HMAC.fullmatch(found["associated"]):
        raise InvalidInput(f"{what} has a damaged header: `associated` is not 64 hex digits.")
