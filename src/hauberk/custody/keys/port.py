"""The port to keys: what custody asks of any key holder, be it a file, a token or a cloud service.

A secret key never leaves its holder: a `Signer` signs, a `KeyService` wraps and unwraps. What comes out is a
`PublicKey`, which knows its own identifier and verifies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from hauberk.core.errors import InvalidInput, NotProven

ED25519 = "ed25519"
ECDSA_P256 = "ecdsa-p256"
AES_256 = "aes-256"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A verifying key: `algorithm` is "ed25519" or "ecdsa-p256" (SHA-256); `spki` its DER SubjectPublicKeyInfo."""

    algorithm: str
    spki: bytes

    @classmethod
    def from_spki(cls, spki: bytes) -> PublicKey:
        """Read DER. Raises InvalidInput for anything but Ed25519 and P-256."""
        try:
            key = serialization.load_der_public_key(spki)
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"not a DER public key: {error}") from error
        if isinstance(key, ed25519.Ed25519PublicKey):
            return cls(ED25519, spki)
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            return cls(ECDSA_P256, spki)
        raise InvalidInput("unsupported public key: expected Ed25519 or ECDSA P-256.")

    @classmethod
    def from_pem(cls, text: bytes) -> PublicKey:
        """Read a PEM public key. Raises InvalidInput."""
        try:
            key = serialization.load_pem_public_key(text)
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"not a PEM public key: {error}") from error
        spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return cls.from_spki(spki)

    @property
    def key_id(self) -> str:
        """SHA-256 of the SPKI, as hex: the same for every holder of the same key."""
        return hashlib.sha256(self.spki).hexdigest()

    @property
    def raw(self) -> bytes:
        """The 32 bytes of an Ed25519 key (RFC 8032). Raises InvalidInput for another algorithm."""
        key = serialization.load_der_public_key(self.spki)
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise InvalidInput(f"an Ed25519 key is needed here, found {self.algorithm}.")
        return key.public_bytes_raw()

    def pem(self) -> str:
        """Return the key as PEM text."""
        key = serialization.load_der_public_key(self.spki)
        pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return pem.decode("ascii")

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raise NotProven unless `signature` is this key's over `message` (ECDSA: DER, or raw r||s of 64 bytes)."""
        key = serialization.load_der_public_key(self.spki)
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, message)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(_der(signature), message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise NotProven(f"the signature does not hold for key {self.key_id[:16]}.") from error


def _der(signature: bytes) -> bytes:
    # DSSE's own example signs with raw r||s; most tools write DER. 64 bytes are DER only if the length byte says so.
    if len(signature) == 64 and not (signature[0] == 0x30 and signature[1] == 62):
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        return utils.encode_dss_signature(r, s)
    return signature


class Signer(Protocol):
    """One current signing key."""

    @property
    def public(self) -> PublicKey:
        """The key that verifies what this one signs."""

    def sign(self, message: bytes) -> bytes:
        """Sign the bytes (Ed25519, or ECDSA P-256 with SHA-256 in DER)."""


class KeyService(Protocol):
    """A holder of named keys, each with its older versions kept for verification and unwrapping."""

    def names(self) -> Mapping[str, str]:
        """Name to algorithm: "ed25519", "ecdsa-p256" or "aes-256"."""

    def create(self, name: str, algorithm: str) -> None:
        """Add a key. Raises InvalidInput when the name is taken or the algorithm unknown."""

    def rotate(self, name: str) -> None:
        """Make a new current version; the old ones still verify and unwrap."""

    def signer(self, name: str) -> Signer:
        """Return the current version of a signing key."""

    def publics(self, name: str) -> tuple[PublicKey, ...]:
        """Return every version's verifying key, the current one first."""

    def wrap(self, name: str, secret: bytes, associated: bytes) -> bytes:
        """Encrypt a data key under the current key-encryption key, bound to `associated`."""

    def unwrap(self, name: str, wrapped: bytes, associated: bytes) -> bytes:
        """Undo `wrap`. Raises NotProven when the key, the bytes or `associated` are not the same."""
