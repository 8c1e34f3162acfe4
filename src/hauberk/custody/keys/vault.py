"""`vault://HOST:PORT/MOUNT`: keys in the transit engine of HashiCorp Vault (or OpenBao), through its HTTP API.

    vault://vault.example:8200/transit?prefix=claims-&cacert=/etc/vault/ca.pem

Options: `prefix` before every key's name, so that several projects share a mount; `namespace`; `cacert` (else
VAULT_CACERT, else the system's authorities); `cert` and `key` for mTLS; `minimum_tls=1.2` for an old server;
`timeout` in seconds; `tls=off` for a development server on this machine alone.

The token comes from VAULT_TOKEN, else from the file that VAULT_TOKEN_FILE names, else from `~/.vault-token`.

Answers: keys that leave with a stolen disk or laptop; who may use them is decided, and logged, in one place.
Does not answer: a stolen token, for as long as it lives; Vault's own operator, who can read every data key.
API: developer.hashicorp.com/vault/api-docs/secret/transit
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, NotProven, Unavailable
from hauberk.custody.keys import _names
from hauberk.custody.keys._transit import SEGMENT, Transit, connect
from hauberk.custody.keys._wrapped import Wrapped, context, guard, unguard
from hauberk.custody.keys.port import AES_256, ALGORITHMS, ECDSA_P256, ED25519, Destroyed, KeyService, PublicKey
from hauberk.custody.keys.schemes import KEY_SERVICES, Passphrase

_TYPES = {AES_256: "aes256-gcm96", ED25519: "ed25519", ECDSA_P256: "ecdsa-p256"}
_KINDS = {kind: algorithm for algorithm, kind in _TYPES.items()}
_SEALED = re.compile(r"vault:v([1-9][0-9]{0,9}):([A-Za-z0-9+/=_-]+)")


@dataclass(frozen=True, slots=True)
class _Key:
    """Vault's description of one key. publics: version to public key, "" for a key-encryption key."""

    name: str
    algorithm: str
    latest: int
    deletable: bool
    derived: bool
    publics: Mapping[int, str]


class _Signer:
    """One version of a signing key in Vault."""

    __slots__ = ("_service", "name", "public", "version")

    def __init__(self, service: Vault, name: str, version: int, public: PublicKey) -> None:
        self._service, self.name, self.version, self.public = service, name, version, public

    def __repr__(self) -> str:
        return f"<{self.public.algorithm} key {self.public.key_id[:16]} in Vault>"

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message`. Raises NotProven when the service returns anything but this key's signature."""
        signature = self._service._sign(self.name, self.version, self.public.algorithm, message)  # noqa: SLF001
        self.public.verify(
            signature, message
        )  # a service that signs with another key is detected here, not by a user
        return signature


class Vault:
    """A `KeyService` over one transit mount."""

    __slots__ = ("_prefix", "_transit")

    def __init__(self, transit: Transit, prefix: str = "") -> None:
        self._transit, self._prefix = transit, prefix

    def __repr__(self) -> str:
        return f"<Vault {self._transit.https.site.host}:{self._transit.https.site.port}/{self._transit.mount}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key service cannot be pickled or copied: open it where it is needed")

    def names(self) -> Mapping[str, str]:
        """Return the algorithm of each key, sorted by name; keys of other types are ignored."""
        listed = self._transit.ask("LIST", "keys", absent={}).get("keys", [])
        names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        ours = sorted(name for name in names if name.startswith(self._prefix))
        found = {name[len(self._prefix) :]: self._look(name[len(self._prefix) :]) for name in ours}
        return {name: key.algorithm for name, key in found.items() if key is not None}

    def create(self, name: str, algorithm: str) -> None:
        """Add a non-exportable key. Raises InvalidInput when the name is taken or not allowed."""
        _names.usable(name)
        if algorithm not in _TYPES:
            raise InvalidInput(f"no key algorithm is named {algorithm!r}; known: {', '.join(ALGORITHMS)}.")
        if self._look(name) is not None:  # Vault itself would succeed and change nothing
            raise _names.taken(name)
        self._transit.ask("POST", f"keys/{self._prefix}{name}", {"type": _TYPES[algorithm]})

    def rotate(self, name: str) -> None:
        """Make a new current version; older versions still verify and unwrap."""
        self._key(name)
        self._transit.ask(
            "POST", f"keys/{self._prefix}{name}/rotate", {}, again=False
        )  # sent twice, it would make two versions

    def signer(self, name: str) -> _Signer:
        """Return a signer for the current version of a signing key; a later rotation does not change it."""
        key = self._signing(name)
        return _Signer(self, name, key.latest, _public(key, key.latest))

    def publics(self, name: str) -> tuple[PublicKey, ...]:
        """Return every version's verifying key, the current one first."""
        key = self._signing(name)
        return tuple(_public(key, version) for version in sorted(key.publics, reverse=True))

    def wrap(self, name: str, secret: bytes, associated: bytes) -> bytes:
        """Encrypt a data key under the current version of a key-encryption key, bound to `associated`."""
        key = self._wrapping(name)  # first, since Vault would make a key for an unknown name
        body = {"plaintext": _text(guard(secret, associated))} | _bound(key, associated)
        sealed = str(self._transit.ask("POST", f"encrypt/{self._prefix}{name}", body).get("ciphertext", ""))
        found = _SEALED.fullmatch(sealed)
        if found is None:
            raise Unavailable(
                f"{self._transit.https!r} did not answer with a ciphertext. Is it Vault's transit engine?"
            )
        return Wrapped("vault", found[1], sealed.encode("ascii")).to_bytes()

    def unwrap(self, name: str, wrapped: bytes, associated: bytes) -> bytes:
        """Return the data key from `wrap`. Raises NotProven when the key, the bytes or `associated` differ."""
        value = Wrapped.read(wrapped, holder="vault")
        sealed = value.sealed.decode("ascii", "replace")
        found = _SEALED.fullmatch(sealed)
        if found is None or found[1] != value.version:
            raise NotProven("these bytes are no ciphertext of Vault, or they were changed.")
        body = {"ciphertext": sealed} | _bound(self._wrapping(name), associated)
        answer = self._transit.ask("POST", f"decrypt/{self._prefix}{name}", body, opening=True)
        try:
            return unguard(base64.b64decode(str(answer.get("plaintext", "")), validate=True), associated)
        except binascii.Error:
            raise Unavailable(
                f"{self._transit.https!r} did not answer with a plaintext. Is it Vault's transit engine?"
            ) from None

    def ids(self, name: str) -> tuple[str, ...]:
        """Return KEY:vN for every version, the current one first."""
        return tuple(
            f"{self._prefix}{name}:v{version}" for version in sorted(self._key(name).publics, reverse=True)
        )

    def is_current(self, name: str, wrapped: bytes) -> bool:
        """Return whether these bytes name the latest version of `name`."""
        latest = self._wrapping(name).latest
        try:
            return Wrapped.read(wrapped, holder="vault").version == str(latest)
        except NotProven:
            return False

    def destroy(self, name: str) -> Destroyed:
        """Delete a key. Vault refuses until an operator has set `deletion_allowed`; Hauberk does not set it."""
        key, ids = self._key(name), self.ids(name)
        path = f"{self._transit.mount}/keys/{self._prefix}{name}"
        if not key.deletable:
            raise InvalidInput(
                f"Vault keeps {name!r}: its deletion is not allowed. Somebody with the right to decide it runs "
                f"`vault write {path}/config deletion_allowed=true`; then run the same command again. Nothing was changed."
            )
        self._transit.ask("DELETE", f"keys/{self._prefix}{name}")
        if self._look(name) is not None:
            raise Unavailable(
                f"Vault still has {path} after it was asked to delete it. Run the same command again."
            )
        return Destroyed(
            name=name,
            algorithm=key.algorithm,
            ids=ids,
            waiting_days=0,
            remains="Snapshots of Vault's storage and `transit/backup` files from before still hold the key.",
        )

    def _sign(self, name: str, version: int, algorithm: str, message: bytes) -> bytes:
        body: dict[str, Any] = {"input": _text(message), "key_version": version}
        if algorithm == ECDSA_P256:
            body |= {"hash_algorithm": "sha2-256", "marshaling_algorithm": "asn1"}
        said = str(self._transit.ask("POST", f"sign/{self._prefix}{name}", body).get("signature", ""))
        found = _SEALED.fullmatch(said)
        try:
            return base64.b64decode(found[2], validate=True) if found else b""
        except binascii.Error:
            return b""  # which no key verifies

    def _signing(self, name: str) -> _Key:
        key = self._key(name)
        if key.algorithm == AES_256:
            raise _names.cannot_sign(name, key.algorithm)
        return key

    def _wrapping(self, name: str) -> _Key:
        key = self._key(name)
        if key.algorithm != AES_256:
            raise _names.cannot_encrypt(name, key.algorithm)
        return key

    def _key(self, name: str) -> _Key:
        key = self._look(name)
        if key is None:
            raise _names.unknown(name, self.names())
        return key

    def _look(self, name: str) -> _Key | None:
        if not SEGMENT.fullmatch(name):  # the name becomes part of the path of a request
            return None
        data = self._transit.ask("GET", f"keys/{self._prefix}{name}", absent={})
        algorithm = _KINDS.get(str(data.get("type", "")))
        if algorithm is None:
            return None
        try:
            publics = {
                int(version): str(value.get("public_key", "")) if isinstance(value, dict) else ""
                for version, value in data["keys"].items()
            }
            latest = int(data["latest_version"])
        except (KeyError, ValueError, TypeError, AttributeError):
            publics, latest = {}, 0
        if latest not in publics:
            raise Unavailable(f"{self._transit.https!r} does not say which version of {name!r} is the latest.")
        return _Key(
            name, algorithm, latest, data.get("deletion_allowed") is True, data.get("derived") is True, publics
        )


@KEY_SERVICES.register("vault", practice="1b", threats=(), summary="HashiCorp Vault's transit engine")
def open_vault(rest: str, *, passphrase: Passphrase | None, create: bool, disk: Disk) -> KeyService:  # noqa: ARG001 - the port's shape
    """Open `vault://HOST:PORT/MOUNT`. Raises InvalidInput for the URI, the token and files. No request is sent."""
    return Vault(*connect(rest, os.environ))


def _public(key: _Key, version: int) -> PublicKey:
    text = key.publics[version]
    try:
        if key.algorithm == ED25519:
            raw = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
            return PublicKey.from_spki(raw.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        public = PublicKey.from_pem(text.encode("ascii", "replace"))
    except (ValueError, binascii.Error) as error:
        raise Unavailable(f"Vault shows no usable public key for {key.name!r}, version {version}.") from error
    if public.algorithm != key.algorithm:
        raise NotProven(f"Vault shows another kind of key for {key.name!r} than its type says.")
    return public


def _bound(key: _Key, associated: bytes) -> dict[str, str]:
    bound = _text(context(associated).encode("ascii"))
    return {"associated_data": bound} | ({"context": bound} if key.derived else {})


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
