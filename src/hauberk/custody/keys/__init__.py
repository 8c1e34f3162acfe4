"""Keys behind a port: `port` is the interface, each other file one kind of key holder, selected by URI scheme.

    port        PublicKey, Signer, KeyService: the contract
    schemes     selects the holder for a URI; how to add one
    keyring     `keyring:PATH`, an encrypted file
    passphrase  where a keyring's passphrase comes from

A secret key stays with its holder. No key object prints its secret or can be pickled.
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
