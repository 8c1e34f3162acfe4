"""`pkcs11:token=LABEL?module-path=DRIVER`: keys in a hardware token, smart card or HSM, through PKCS#11 (RFC 7512).

    pkcs11:token=hauberk?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin

`serial` names a token instead of `token`; `object` limits the service to one key, such as one from a key ceremony.
The driver may be named by HAUBERK_PKCS11_MODULE. The PIN comes from the file of `pin-source`, else from HAUBERK_PIN
or HAUBERK_PIN_FILE, else from a prompt; a PIN in the URI is refused.

A key's name is its CKA_LABEL. Each version is an object of its own, whose CKA_ID holds the version's number; keys
made elsewhere count as version 0. Data keys are encrypted by AES-256-GCM on the token, signatures are ECDSA P-256
or Ed25519. Keys made here are sensitive and not extractable.

Answers: copying of keys: they do not leave the token. Does not answer: use of the keys by whoever has the token and
its PIN, or controls this process while it is logged in; loss of the token, and with it of the keys.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.core.extras import need
from hauberk.custody.keys import _names
from hauberk.custody.keys._token import open_session, read_uri, translated
from hauberk.custody.keys._wrapped import Wrapped, context, guard, unguard
from hauberk.custody.keys.port import AES_256, ALGORITHMS, ECDSA_P256, ED25519, Destroyed, KeyService, PublicKey
from hauberk.custody.keys.schemes import KEY_SERVICES, Passphrase

_MARK = b"hauberk1"
_IV = 12
_P256 = bytes.fromhex("06082a8648ce3d030107")  # DER: OID 1.2.840.10045.3.1.7
_ED25519 = bytes.fromhex("06032b6570")  # DER: OID 1.3.101.112 (RFC 8410)


@dataclass(frozen=True, slots=True)
class _Version:
    """One object on the token that signs or encrypts, with its version."""

    label: str
    id: bytes
    algorithm: str
    handle: Any

    @property
    def number(self) -> int:
        """The version number; 0 for a key that Hauberk did not make."""
        return int.from_bytes(self.id[len(_MARK) : len(_MARK) + 4], "big") if self.id.startswith(_MARK) else 0


class _Signer:
    """One version of a signing key on a token."""

    __slots__ = ("_service", "_version", "public")

    def __init__(self, service: Pkcs11, version: _Version, public: PublicKey) -> None:
        self._service, self._version, self.public = service, version, public

    def __repr__(self) -> str:
        return f"<{self.public.algorithm} key {self.public.key_id[:16]} on a token>"

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message`. Raises NotProven when the service returns anything but this key's signature."""
        signature = self._service._sign(self._version, message)  # noqa: SLF001 - a part of the service
        self.public.verify(signature, message)  # an exchanged token is detected here, not by a user
        return signature


class Pkcs11:
    """A `KeyService` on one token, over one session. Thread-safe: one request to the token at a time."""

    __slots__ = ("_lock", "_only", "_pkcs11", "_session", "_there", "_token")

    def __init__(self, session: Any, token: str, *, only: str = "") -> None:  # noqa: ANN401 - the library is imported late
        self._pkcs11 = need("pkcs11")
        self._session = session
        self._token = token
        self._only = only
        self._lock = threading.RLock()
        self._there: set[str] = set()

    def __repr__(self) -> str:
        return f"<Pkcs11 token {self._token!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key service cannot be pickled or copied: open it where it is needed")

    def names(self) -> Mapping[str, str]:
        """Return the algorithm of each key, sorted by name; objects of other kinds are ignored."""
        return {version.label: version.algorithm for version in reversed(self._versions())}

    def create(self, name: str, algorithm: str) -> None:
        """Make a key on the token. Raises InvalidInput for a name that is taken or not allowed, or an unsupported key."""
        _names.usable(name)
        if algorithm not in ALGORITHMS:
            raise InvalidInput(f"no key algorithm is named {algorithm!r}; known: {', '.join(ALGORITHMS)}.")
        if self._only:
            raise InvalidInput(f"the URI names the one object {self._only!r}: leave `object` out to make keys.")
        if self._versions(name):
            raise _names.taken(name)
        self._generate(name, algorithm, 1)

    def rotate(self, name: str) -> None:
        """Make a new current version; older versions still verify and unwrap."""
        current = self._named(name)[0]
        self._generate(name, current.algorithm, current.number + 1)

    def signer(self, name: str) -> _Signer:
        """Return a signer for the current version of a signing key; a later rotation does not change it."""
        current = self._signing(name)[0]
        return _Signer(self, current, self._public(current))

    def publics(self, name: str) -> tuple[PublicKey, ...]:
        """Return every version's verifying key, the current one first."""
        return tuple(self._public(version) for version in self._signing(name))

    def wrap(self, name: str, secret: bytes, associated: bytes) -> bytes:
        """Encrypt a data key under the current version of a key-encryption key, bound to `associated`."""
        current = self._wrapping(name)[0]
        iv = os.urandom(_IV)
        with self._lock, translated(self._pkcs11, "encrypt"):
            sealed = current.handle.encrypt(guard(secret, associated), **self._gcm(iv, associated))
        return Wrapped("pkcs11", current.id.hex(), iv + sealed).to_bytes()

    def unwrap(self, name: str, wrapped: bytes, associated: bytes) -> bytes:
        """Return the data key from `wrap`. Raises NotProven when the key, the bytes or `associated` differ."""
        value = Wrapped.read(wrapped, holder="pkcs11")
        if len(value.sealed) <= _IV:
            raise NotProven("these bytes are no wrapped data key, or they were cut short.")
        for version in self._wrapping(name):
            if version.id.hex() == value.version:
                return unguard(self._decrypt(version, value.sealed, associated), associated)
        raise NotProven(f"wrapped under another key: no version of {name!r} has the id {value.version[:80]}.")

    def ids(self, name: str) -> tuple[str, ...]:
        """Return the CKA_ID of every version as hex, the current one first."""
        return tuple(version.id.hex() for version in self._named(name))

    def is_current(self, name: str, wrapped: bytes) -> bool:
        """Return whether these bytes name the current version of `name`."""
        current = self._wrapping(name)[0].id.hex()
        try:
            return Wrapped.read(wrapped, holder="pkcs11").version == current
        except NotProven:
            return False

    def destroy(self, name: str) -> Destroyed:
        """Destroy every version's objects on the token, and verify that they are gone."""
        versions = self._named(name)
        attribute = self._pkcs11.Attribute
        with self._lock, translated(self._pkcs11, "destroy a key"):
            # The newest last: while one exists, an interrupted run can be repeated.
            for version in reversed(versions):
                for found in list(self._session.get_objects({attribute.LABEL: name, attribute.ID: version.id})):
                    found.destroy()
        if self._versions(name):
            raise Unavailable(f"the token still has {name!r} after it was destroyed. Run the same command again.")
        self._there.discard(name)
        return Destroyed(
            name=name,
            algorithm=versions[0].algorithm,
            ids=tuple(version.id.hex() for version in versions),
            waiting_days=0,
            remains="Copies that the token's own backup or cloning made from before still hold the key.",
        )

    def _decrypt(self, version: _Version, sealed: bytes, associated: bytes) -> bytes:
        iv, body = sealed[:_IV], sealed[_IV:]
        with self._lock:
            try:
                with translated(self._pkcs11, "decrypt"):
                    opened: bytes = version.handle.decrypt(body, **self._gcm(iv, associated))
            except Unavailable as error:
                # Drivers report "general error" both for a wrong tag and for a fault. Whether the key still
                # decrypts what it just encrypted distinguishes the two.
                if self._works(version):
                    raise NotProven(
                        "the token could not decrypt it: another key, other bytes or another context."
                    ) from error
                raise
        return opened

    def _works(self, version: _Version) -> bool:
        iv = os.urandom(_IV)
        try:
            with translated(self._pkcs11, "encrypt"):
                sealed = version.handle.encrypt(b"probe", **self._gcm(iv, b""))
                return bool(version.handle.decrypt(sealed, **self._gcm(iv, b"")) == b"probe")
        except HauberkError:
            return False

    def _gcm(self, iv: bytes, associated: bytes) -> dict[str, Any]:
        params = self._pkcs11.GCMParams(iv, context(associated).encode("ascii"), 128)
        return {"mechanism": self._pkcs11.Mechanism.AES_GCM, "mechanism_param": params}

    def _sign(self, version: _Version, message: bytes) -> bytes:
        mechanism = self._pkcs11.Mechanism
        with self._lock, translated(self._pkcs11, "sign"):
            if version.algorithm == ED25519:
                pure: bytes = version.handle.sign(message, mechanism=mechanism.EDDSA)
                return pure
            raw = version.handle.sign(hashlib.sha256(message).digest(), mechanism=mechanism.ECDSA)
        half = len(raw) // 2  # PKCS#11 returns r || s; the stored form is DER
        return utils.encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    def _generate(self, name: str, algorithm: str, number: int) -> None:
        p = self._pkcs11
        identity = {"label": name, "id": _MARK + number.to_bytes(4, "big") + os.urandom(4), "store": True}
        kept = {p.Attribute.SENSITIVE: True, p.Attribute.EXTRACTABLE: False}
        with self._lock, translated(p, f"make a key of the kind {algorithm}"):
            if algorithm == AES_256:
                uses = p.MechanismFlag.ENCRYPT | p.MechanismFlag.DECRYPT
                self._session.generate_key(p.KeyType.AES, 256, template=kept, capabilities=uses, **identity)
                return
            kind, curve, how = {
                ECDSA_P256: (p.KeyType.EC, _P256, p.Mechanism.EC_KEY_PAIR_GEN),
                ED25519: (p.KeyType.EC_EDWARDS, _ED25519, p.Mechanism.EC_EDWARDS_KEY_PAIR_GEN),
            }[algorithm]
            domain = self._session.create_domain_parameters(kind, {p.Attribute.EC_PARAMS: curve}, local=True)
            domain.generate_keypair(mechanism=how, private_template=kept, **identity)

    def _versions(self, name: str = "") -> list[_Version]:
        """Return the objects that can sign or encrypt, the newest version of each name first."""
        p, wanted = self._pkcs11, self._only or name
        if self._only and name and name != self._only:
            return []
        found = []
        with self._lock, translated(p, "list its keys"):
            for kind in (p.ObjectClass.SECRET_KEY, p.ObjectClass.PRIVATE_KEY):
                search = {p.Attribute.CLASS: kind} | ({p.Attribute.LABEL: wanted} if wanted else {})
                found += [self._read(handle) for handle in list(self._session.get_objects(search))]
        ours = [version for version in found if version.algorithm]
        return sorted(ours, key=lambda version: (version.label, -version.number))

    def _read(self, handle: Any) -> _Version:  # noqa: ANN401 - as above
        attribute = self._pkcs11.Attribute
        return _Version(handle[attribute.LABEL], handle[attribute.ID] or b"", self._algorithm(handle), handle)

    def _algorithm(self, handle: Any) -> str:  # noqa: ANN401 - as above
        p = self._pkcs11
        if handle.key_type == p.KeyType.AES and handle.key_length == 256:
            return AES_256
        if handle.key_type == p.KeyType.EC and handle[p.Attribute.EC_PARAMS] == _P256:
            return ECDSA_P256
        return ED25519 if handle.key_type == p.KeyType.EC_EDWARDS else ""

    def _named(self, name: str) -> list[_Version]:
        versions = self._versions(name)
        if not versions and name in self._there:
            # Some drivers report a removed token as empty.
            raise Unavailable(
                f"the token does not show the key {name!r} any more, which it did a moment ago: it was removed, or the "
                "key destroyed. Plug it in and run the same command again."
            )
        if not versions or not name:
            raise _names.unknown(name, self.names())
        self._there.add(name)
        return versions

    def _signing(self, name: str) -> list[_Version]:
        versions = self._named(name)
        if versions[0].algorithm == AES_256:
            raise _names.cannot_sign(name, versions[0].algorithm)
        return versions

    def _wrapping(self, name: str) -> list[_Version]:
        versions = self._named(name)
        if versions[0].algorithm != AES_256:
            raise _names.cannot_encrypt(name, versions[0].algorithm)
        return versions

    def _public(self, version: _Version) -> PublicKey:
        p = self._pkcs11
        search = {
            p.Attribute.CLASS: p.ObjectClass.PUBLIC_KEY,
            p.Attribute.LABEL: version.label,
            p.Attribute.ID: version.id,
        }
        with self._lock, translated(p, "read a public key"):
            points = [found[p.Attribute.EC_POINT] for found in self._session.get_objects(search)]
        if len(points) != 1:
            raise InvalidInput(
                f"the token has {len(points)} public keys for {version.label!r}, expected 1: import the public half "
                "with the same label and id."
            )
        try:
            return _read_point(version.algorithm, points[0])
        except ValueError as error:
            raise Unavailable(f"the token shows no usable public key for {version.label!r}.") from error


def _read_point(algorithm: str, point: bytes) -> PublicKey:
    # CKA_EC_POINT is a DER octet string (PKCS#11 v3.0 §2.3.3); some drivers return the bytes without it.
    size = 65 if algorithm == ECDSA_P256 else 32
    raw = point[2:] if len(point) == size + 2 and point[:2] == bytes([4, size]) else point
    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
    if algorithm == ECDSA_P256:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    else:
        key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
    return PublicKey.from_spki(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@KEY_SERVICES.register("pkcs11", practice="1b", threats=(), summary="a hardware token, smart card or HSM")
def open_pkcs11(rest: str, *, passphrase: Passphrase | None, create: bool, disk: Disk) -> KeyService:  # noqa: ARG001 - the port's shape
    """Open `pkcs11:token=...`: load the driver and log in. Raises as `open_session`."""
    uri = read_uri(rest, os.environ)
    return Pkcs11(open_session(uri, os.environ), uri.token or uri.serial, only=uri.object)
