"""The wire format of Tink's AES-GCM-HKDF streaming encryption: sizes, offsets, keys and nonces of the segments.

This is Tink's "AES-GCM-HKDF Streaming AEAD" with the RAW prefix (none):

    header    1 byte length of the header, salt (as long as the derived key), 7 bytes nonce prefix
    segments  AES-GCM ciphertext and 16-byte tag; each fills `segment_size` bytes, the first together with the
              header, the last may be shorter

    segment key = HKDF(hash, key, salt, info = associated data)
    nonce       = prefix || segment index as uint32 big endian || 1 if it is the last segment, else 0

The index in the nonce prevents reordering, repetition and omission; the end mark prevents truncation at a segment border;
the salt gives each stream its own key, which prevents splicing; the associated data enters the segment key.

`streams` reads and writes streams of such segments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hauberk.core.errors import InvalidInput

TAG = 16
_PREFIX = 7
_MOST_SEGMENTS = 2**32
# Tink's parameter space. HKDF with SHA-1 is sound, but is not the default.
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "SHA1": hashes.SHA1,
    "SHA256": hashes.SHA256,
    "SHA512": hashes.SHA512,
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """The sizes and the hash of one kind of stream; all sizes in bytes."""

    key_size: int
    hash: str
    derived_key_size: int
    segment_size: int

    def __post_init__(self) -> None:
        if self.hash not in _HASHES:
            raise InvalidInput(f"unknown hash {self.hash!r}: expected one of {', '.join(_HASHES)}.")
        if self.derived_key_size not in (16, 32) or self.key_size < max(16, self.derived_key_size):
            raise InvalidInput("a derived key must have 16 or 32 bytes, and the key at least as many.")
        if self.segment_size <= self.header_size + TAG:
            raise InvalidInput(f"a segment must be larger than {self.header_size + TAG} bytes.")

    @property
    def header_size(self) -> int:
        """Length byte, salt and nonce prefix."""
        return 1 + self.derived_key_size + _PREFIX

    def count(self, sealed_size: int) -> int:
        """Return the number of segments of a sealed stream."""
        return max(1, -(-sealed_size // self.segment_size))

    def sealed_size(self, plain_size: int) -> int:
        """Return the size in bytes of a sealed plaintext."""
        first = self.segment_size - self.header_size - TAG
        more = max(0, -(-(plain_size - first) // (self.segment_size - TAG)))
        if more >= _MOST_SEGMENTS:
            raise InvalidInput("the source is too large for one stream: it holds 2^32 segments at most.")
        return self.header_size + plain_size + (1 + more) * TAG

    def plain_size(self, sealed_size: int) -> int:
        """Return the size of the plaintext that the sealed size implies; only the last segment's tag proves it."""
        return sealed_size - self.header_size - self.count(sealed_size) * TAG

    def sealed_span(self, index: int, sealed_size: int) -> tuple[int, int]:
        """Return offset and length of a segment in the sealed stream."""
        start = index * self.segment_size if index else self.header_size
        return start, min((index + 1) * self.segment_size, sealed_size) - start

    def plain_start(self, index: int) -> int:
        """Return the offset at which a segment's plaintext begins."""
        return index * (self.segment_size - TAG) - (self.header_size if index else 0)


AES256_GCM_HKDF_1MB = Parameters(key_size=32, hash="SHA256", derived_key_size=32, segment_size=2**20)


class Cipher:
    """The segment key and nonce prefix of one stream. Raises InvalidInput for a key of the wrong size."""

    def __init__(self, key: bytes, associated: bytes, header: bytes, parameters: Parameters) -> None:
        if len(key) != parameters.key_size:
            raise InvalidInput(f"the key has {len(key)} bytes, expected {parameters.key_size}.")
        salt = header[1 : 1 + parameters.derived_key_size]
        self._prefix = header[1 + parameters.derived_key_size :]
        self._aead = AESGCM(derive(key, salt, associated, size=parameters.derived_key_size, hash=parameters.hash))

    def _nonce(self, index: int, last: bool) -> bytes:  # noqa: FBT001 - the end mark is part of the nonce
        return self._prefix + index.to_bytes(4, "big") + bytes([last])

    def encrypt(self, index: int, last: bool, data: memoryview, into: memoryview) -> None:  # noqa: FBT001 - as above
        """Write ciphertext and tag of segment `index` into `into`."""
        self._aead.encrypt_into(self._nonce(index, last), data, None, into)

    def decrypt(self, index: int, last: bool, data: memoryview, into: memoryview) -> None:  # noqa: FBT001 - as above
        """Write the plaintext of segment `index` into `into`. Raises InvalidTag."""
        self._aead.decrypt_into(self._nonce(index, last), data, None, into)


def derive(key: bytes, salt: bytes, info: bytes, *, size: int, hash: str = "SHA256") -> bytes:  # noqa: A002 - the RFC's word
    """Return `size` bytes of HKDF (RFC 5869) output."""
    return HKDF(_HASHES[hash](), size, salt, info).derive(key)
