"""The port to keys: the interface of every key holder, be it a file, a token or a cloud service.

A secret key never leaves its holder: a `Signer` signs, a `KeyService` wraps and unwraps. It returns a
`PublicKey`, which has an identifier and verifies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from hauberk.core.errors import InvalidInput, NotProven

ED25519 = "ed25519"
ECDSA_P256 = "ecdsa-p256"
AES_256 = "aes-256"
ALGORITHMS = (ED25519, ECDSA_P256, AES_256)

_Verifier = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A verifying key: `algorithm` is "ed25519" or "ecdsa-p256" (SHA-256); `spki` its DER SubjectPublicKeyInfo.

    Only the canonical DER form is accepted, so that a key has one identifier. Raises InvalidInput for another
    form, another curve, or an algorithm that is not the key's.
    """

    algorithm: str
    spki: bytes

    def __post_init__(self) -> None:
        algorithm, spki = _usual(_load(self.spki))
        if (algorithm, spki) != (self.algorithm, self.spki):
            raise InvalidInput(f"this is no {self.algorithm} key in its usual form: read it with from_spki.")

    @classmethod
    def from_spki(cls, spki: bytes) -> PublicKey:
        """Read DER. Raises InvalidInput for anything but Ed25519 and P-256."""
        return cls(*_usual(_load(spki)))

    @classmethod
    def from_pem(cls, text: bytes) -> PublicKey:
        """Read a PEM public key. Raises InvalidInput."""
        try:
            key = serialization.load_pem_public_key(text)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InvalidInput(f"not a PEM public key: {error}") from error
        spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return cls.from_spki(spki)

    @property
    def key_id(self) -> str:
        """SHA-256 of the SPKI as hex: the same for every copy of the key."""
        return hashlib.sha256(self.spki).hexdigest()

    @property
    def raw(self) -> bytes:
        """The 32 bytes of an Ed25519 key (RFC 8032). Raises InvalidInput for another algorithm."""
        key = _load(self.spki)
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise InvalidInput(f"an Ed25519 key is needed here, found {self.algorithm}.")
        return key.public_bytes_raw()

    def pem(self) -> str:
        """Return the key as PEM text."""
        pem = _load(self.spki).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return pem.decode("ascii")

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raise NotProven unless `signature` is a valid signature of `message` (ECDSA: DER, or raw r||s of 64 bytes).

        Does not answer: a second valid signature derived from the first (ECDSA accepts n - s as well as s), so the
        bytes of a signature identify nothing; the signed message does.
        """
        key = _load(self.spki)
        if isinstance(key, ed25519.Ed25519PublicKey):
            holds = _holds(partial(key.verify, signature, message))
        else:
            algorithm = ec.ECDSA(hashes.SHA256())
            readings = _as_der(signature)
            holds = any(_holds(partial(key.verify, reading, message, algorithm)) for reading in readings)
        if not holds:
            raise NotProven(f"the signature does not hold for key {self.key_id[:16]}.")


@lru_cache(maxsize=256)
def _load(spki: bytes) -> _Verifier:
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput(f"not a DER public key: {error}") from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise InvalidInput("unsupported public key: expected Ed25519 or ECDSA P-256.")


def _usual(key: _Verifier) -> tuple[str, bytes]:
    algorithm = ED25519 if isinstance(key, ed25519.Ed25519PublicKey) else ECDSA_P256
    return algorithm, key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _holds(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except InvalidSignature:
        return False
    return True


def _as_der(signature: bytes) -> tuple[bytes, ...]:
    # Most tools write DER; DSSE's example and IEEE P1363 use raw r||s. The bytes do not distinguish the
    # two with certainty (one raw signature in 65,536 begins like DER of that length, and DER may have 64
    # bytes), so 64 bytes are tried as both. A forger gains nothing: each form must verify by itself.
    if len(signature) != 64:
        return (signature,)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    return (utils.encode_dss_signature(r, s), signature)


@dataclass(frozen=True, slots=True)
class Destroyed:
    """The result of destroying a key.

    ids: its versions as the holder identifies them, the current one first. waiting_days: 0 when it is gone now; else the
    days during which the holder's operator can still restore it, while it cannot be used. remains: copies that the
    holder cannot delete, such as backups, for the person who has to.
    """

    name: str
    algorithm: str
    ids: tuple[str, ...]
    waiting_days: int
    remains: str


class Signer(Protocol):
    """One version of a signing key."""

    @property
    def public(self) -> PublicKey:
        """The key that verifies its signatures."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature of the bytes (Ed25519, or ECDSA P-256 with SHA-256 in DER)."""


class KeyService(Protocol):
    """A holder of named keys. Older versions are kept for verification and unwrapping."""

    def names(self) -> Mapping[str, str]:
        """Return the algorithm of each key: "ed25519", "ecdsa-p256" or "aes-256"."""

    def create(self, name: str, algorithm: str) -> None:
        """Add a key. Raises InvalidInput when the name is taken or the algorithm unknown."""

    def rotate(self, name: str) -> None:
        """Make a new current version; older versions still verify and unwrap."""

    def signer(self, name: str) -> Signer:
        """Return the current version of a signing key."""

    def publics(self, name: str) -> tuple[PublicKey, ...]:
        """Return every version's verifying key, the current one first."""

    def wrap(self, name: str, secret: bytes, associated: bytes) -> bytes:
        """Encrypt a data key under the current key-encryption key, bound to `associated`."""

    def unwrap(self, name: str, wrapped: bytes, associated: bytes) -> bytes:
        """Return the data key from `wrap`. Raises NotProven when the key, the bytes or `associated` differ."""

    def ids(self, name: str) -> tuple[str, ...]:
        """Return the holder's identifier of every version, the current one first; none is secret."""

    def is_current(self, name: str, wrapped: bytes) -> bool:
        """Return whether these bytes name the current version of `name`. Nothing is unwrapped or proven."""

    def destroy(self, name: str) -> Destroyed:
        """Destroy every version of a key; data under this key alone can never be read again.

        Raises InvalidInput for no such key, or when the holder is configured to refuse; Unavailable when the deletion
        is not certain: call again.
        """
