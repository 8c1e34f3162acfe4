"""Keys behind a port: `port` is what custody asks, each other file one kind of holder, found by URI scheme.

    port        PublicKey, Signer, KeyService: the contract
    schemes     which holder a URI names, and how a new one is added
    keyring     `keyring:PATH`, an encrypted file
    passphrase  where a keyring's passphrase comes from

A secret key stays with its holder. None prints itself, and none can be pickled.
"""

from hauberk.custody.keys.passphrase import passphrase_from, terminal_prompt
from hauberk.custody.keys.port import AES_256, ALGORITHMS, ECDSA_P256, ED25519, KeyService, PublicKey, Signer
from hauberk.custody.keys.schemes import KEY_SERVICES, open_keys

__all__ = [
    "AES_256",
    "ALGORITHMS",
    "ECDSA_P256",
    "ED25519",
    "KEY_SERVICES",
    "KeyService",
    "PublicKey",
    "Signer",
    "open_keys",
    "passphrase_from",
    "terminal_prompt",
]
