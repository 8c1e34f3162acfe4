"""Key material in memory: one version of a key, which signs or wraps and never prints its secret.

Python cannot wipe memory: whoever reads this process's memory, or its core dump, reads the keys.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.keys import _aead
from hauberk.custody.keys.port import AES_256, ALGORITHMS, ECDSA_P256, ED25519, PublicKey

_FORMAT = b"\x01"
_ID_SIZE = 16
_CONTEXT = b"hauberk.dev/key-wrap/v1\0"


class Version:
    """One version of a named key: its identifier and its secret."""

    __slots__ = ("_secret", "algorithm", "id")

    def __init__(self, algorithm: str, identifier: str, secret: bytes) -> None:
        self.algorithm = algorithm
        self.id = identifier
        self._secret = secret

    def __repr__(self) -> str:
        return f"<{self.algorithm} key {self.id[:16]}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret key cannot be pickled or copied")

    def to_json(self) -> dict[str, str]:
        """Return the JSON form for the encrypted keyring. It holds the secret."""
        return {"id": self.id, "secret": base64.b64encode(self._secret).decode("ascii")}


class SigningVersion(Version):
    """A `Signer`: Ed25519 (RFC 8032), or ECDSA P-256 with SHA-256. The secret is PKCS #8."""

    __slots__ = ("_key", "public")

    def __init__(self, key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
        encoding = serialization.Encoding.DER
        spki = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self._key = key
        self.public = PublicKey.from_spki(spki)
        super().__init__(self.public.algorithm, self.public.key_id, secret)

    def sign(self, message: bytes) -> bytes:
        """Return a signature of the bytes; deterministic."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        try:
            # RFC 6979: a weak random generator cannot leak the key, and a rebuild gives the same bytes.
            return self._key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        except UnsupportedAlgorithm:  # built against an OpenSSL before 3.2
            return self._key.sign(message, ec.ECDSA(hashes.SHA256()))


class WrappingVersion(Version):
    """A key-encryption key: AES-256-GCM. Its random identifier is part of each wrapped key."""

    __slots__ = ()

    def wrap(self, secret: bytes, associated: bytes) -> bytes:
        """Return format byte || key identifier || sealed secret."""
        head = _FORMAT + bytes.fromhex(self.id)
        return head + _aead.seal(self._secret, secret, _CONTEXT + head + associated)

    def unwrap(self, wrapped: bytes, associated: bytes) -> bytes:
        """Return the secret from `wrap`. Raises NotProven."""
        head, sealed = wrapped[: 1 + _ID_SIZE], wrapped[1 + _ID_SIZE :]
        return _aead.unseal(self._secret, sealed, _CONTEXT + head + associated)


def wrapped_under(wrapped: bytes) -> str:
    """Return the key identifier in these bytes, unverified. Raises NotProven for another format."""
    if len(wrapped) <= 1 + _ID_SIZE or wrapped[:1] != _FORMAT:
        raise NotProven("these bytes were not wrapped by a Hauberk keyring, or they were cut short.")
    return wrapped[1 : 1 + _ID_SIZE].hex()


def generate(algorithm: str) -> Version:
    """Return a new random key. Raises InvalidInput, listing the algorithms, for an unknown one."""
    if algorithm == ED25519:
        return SigningVersion(ed25519.Ed25519PrivateKey.generate())
    if algorithm == ECDSA_P256:
        return SigningVersion(ec.generate_private_key(ec.SECP256R1()))
    if algorithm == AES_256:
        return WrappingVersion(AES_256, os.urandom(_ID_SIZE).hex(), os.urandom(_aead.KEY_SIZE))
    raise InvalidInput(f"no key algorithm is named {algorithm!r}; known: {', '.join(ALGORITHMS)}.")


def from_json(algorithm: str, value: Mapping[str, str]) -> Version:
    """Parse a version from the decrypted keyring. Raises ValueError, KeyError or TypeError for anything else."""
    secret = base64.b64decode(value["secret"], validate=True)
    if algorithm == AES_256:
        if len(secret) != _aead.KEY_SIZE or len(bytes.fromhex(value["id"])) != _ID_SIZE:
            raise ValueError("not an AES-256 key")
        return WrappingVersion(AES_256, value["id"], secret)
    key = serialization.load_der_private_key(secret, password=None)
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError("not a signing key")
    version = SigningVersion(key)
    if (version.algorithm, version.id) != (algorithm, value["id"]):
        raise ValueError("the key is not the one that its entry names")
    return version
