"""moto's KMS with what it lacks and AWS documents: the Ed25519 key spec, and signatures over a given digest."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache


class Ed25519Key:
    """ECC_NIST_EDWARDS25519 as AWS documents it: ED25519_SHA_512 over a raw message of up to 4096 bytes."""

    def __init__(self):
        from cryptography.hazmat.primitives.asymmetric import ed25519

        self._key = ed25519.Ed25519PrivateKey.generate()

    def sign(self, message, signing_algorithm):
        assert signing_algorithm == "ED25519_SHA_512"
        assert len(message) <= 4096
        return self._key.sign(message)

    def public_key(self):
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class P256Key:
    """ECC_NIST_P256 with MessageType=DIGEST; moto would hash the digest once more."""

    def __init__(self):
        from cryptography.hazmat.primitives.asymmetric import ec

        self._key = ec.generate_private_key(ec.SECP256R1())

    def sign(self, message, signing_algorithm):
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        assert signing_algorithm == "ECDSA_SHA_256"
        return self._key.sign(message, ec.ECDSA(utils.Prehashed(hashes.SHA256())))  # refuses all but 32 bytes

    public_key = Ed25519Key.public_key


@cache
def _loader(_path=None):
    """Read botocore's descriptions of AWS once, not for every client."""
    from botocore.loaders import Loader

    return Loader()


@contextmanager
def serving():
    """Give the backend of eu-central-1."""
    from unittest import mock

    import botocore.session
    from moto import mock_aws
    from moto.kms import models
    from moto.kms.exceptions import AccessDeniedException, InvalidCiphertextException

    # moto makes an RSA key beside each symmetric one, which nobody uses and takes long.
    ours = {"ECC_NIST_EDWARDS25519": Ed25519Key, "ECC_NIST_P256": P256Key, "SYMMETRIC_DEFAULT": object}
    make, listed, open_ = models.generate_private_key, models.Key.signing_algorithms, models.decrypt

    def algorithms(key):
        return ["ED25519_SHA_512"] if key.key_spec == "ECC_NIST_EDWARDS25519" else listed.fget(key)

    def decrypt(**given):
        try:
            return open_(**given)
        except AccessDeniedException:  # moto's word for a ciphertext that names a key which is not there
            raise InvalidCiphertextException from None

    with (
        mock.patch.object(botocore.session, "create_loader", _loader),
        mock.patch.object(
            models, "generate_private_key", lambda spec: ours[spec]() if spec in ours else make(spec)
        ),
        mock.patch.object(models, "decrypt", decrypt),
        mock.patch.object(models.Key, "signing_algorithms", property(algorithms)),
        mock.patch.object(models.KmsBackend, "_KmsBackend__ensure_valid_key_spec", return_value=None),
        mock_aws(),
    ):
        yield models.kms_backends["123456789012"]["eu-central-1"]
