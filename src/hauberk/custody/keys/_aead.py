"""AES-256-GCM with a prepended random nonce, for secrets as short as a key (NIST SP 800-38D).

With random 96-bit nonces, one key may encrypt 2**32 times; `sealing` is for files. GCM does not commit to its key:
callers that derive the key from a passphrase add a commitment (see `_vault`).
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hauberk.core.errors import NotProven

KEY_SIZE = 32
NONCE_SIZE = 12
TAG_SIZE = 16


def seal(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """Return nonce || ciphertext || tag. key: 32 bytes."""
    nonce = os.urandom(NONCE_SIZE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, associated)


def unseal(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Return the plaintext from `seal`. Raises NotProven when the key, the bytes or `associated` differ."""
    if len(sealed) < NONCE_SIZE + TAG_SIZE:
        raise NotProven(
            f"sealed bytes have at least {NONCE_SIZE + TAG_SIZE} bytes, found {len(sealed)}: cut short."
        )
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], associated)
    except InvalidTag:
        raise NotProven("the sealed bytes do not open: another key, other bytes or another context.") from None
