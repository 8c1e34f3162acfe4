"""`vault://HOST:PORT/MOUNT`: keys in the transit engine of HashiCorp Vault (or OpenBao), through its HTTP API.

    vault://vault.example:8200/transit?prefix=claims-&cacert=/etc/vault/ca.pem

Options: `prefix` before every key's name, so that several projects share a mount; `namespace`; `cacert` (else
VAULT_CACERT, else the system's authorities); `cert` and `key` for mTLS; `minimum_tls=1.2` for a server that is
behind; `timeout` in seconds; `tls=off` for a development server on this machine alone.

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
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hauberk.core import tls
from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, NotProven, Unavailable
from hauberk.custody.keys import _names
from hauberk.custody.keys._https import Https
from hauberk.custody.keys._uri import Place, read_place
from hauberk.custody.keys._wrapped import Wrapped, context, guard, unguard
from hauberk.custody.keys.port import AES_256, ALGORITHMS, ECDSA_P256, ED25519, Destroyed, KeyService, PublicKey
from hauberk.custody.keys.schemes import KEY_SERVICES, Passphrase

_FORM = "vault://HOST:PORT/MOUNT"
_OPTIONS = ("prefix", "namespace", "cacert", "cert", "key", "minimum_tls", "timeout", "tls")
_TYPES = {AES_256: "aes256-gcm96", ED25519: "ed25519", ECDSA_P256: "ecdsa-p256"}
_KINDS = {kind: algorithm for algorithm, kind in _TYPES.items()}
_SEALED = re.compile(r"vault:v([1-9][0-9]{0,9}):([A-Za-z0-9+/=_-]+)")
_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # no "..", which leads out of the mount
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class _Key:
    """What Vault says of one key: versions to their public halves, "" for a key-encryption key."""

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
        """Have the bytes signed. Raises NotProven when what comes back is not this key's signature."""
        signature = self._service._sign(self.name, self.version, self.public.algorithm, message)  # noqa: SLF001
        self.public.verify(
            signature, message
        )  # a service that signs with another key is noticed here, not by a user
        return signature


class Vault:
    """A `KeyService` over one transit mount."""

    __slots__ = ("_https", "_mount", "_prefix")

    def __init__(self, https: Https, mount: str, prefix: str = "") -> None:
        self._https, self._mount, self._prefix = https, mount, prefix

    def __repr__(self) -> str:
        return f"<Vault {self._https.host}:{self._https.port}/{self._mount}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key service cannot be pickled or copied: open it where it is needed")

    def names(self) -> Mapping[str, str]:
        """Name to algorithm, sorted by name; keys of other types are passed over."""
        listed = self._ask("LIST", "keys", absent={}).get("keys", [])
        names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        ours = sorted(name for name in names if name.startswith(self._prefix))
        found = {name[len(self._prefix) :]: self._look(name[len(self._prefix) :]) for name in ours}
        return {name: key.algorithm for name, key in found.items() if key is not None}

    def create(self, name: str, algorithm: str) -> None:
        """Add a key that cannot be exported. Raises InvalidInput when the name is taken or unfit."""
        _names.usable(name)
        if algorithm not in _TYPES:
            raise InvalidInput(f"no key algorithm is named {algorithm!r}; known: {', '.join(ALGORITHMS)}.")
        if self._look(name) is not None:  # Vault itself would say yes and change nothing
            raise _names.taken(name)
        self._ask("POST", f"keys/{self._prefix}{name}", {"type": _TYPES[algorithm]})

    def rotate(self, name: str) -> None:
        """Make a new current version; the old ones still verify and unwrap."""
        self._key(name)
        self._ask("POST", f"keys/{self._prefix}{name}/rotate", {}, again=False)  # twice would be two versions

    def signer(self, name: str) -> _Signer:
        """Return the current version of a signing key. It stays that version when the key is rotated later."""
        key = self._signing(name)
        return _Signer(self, name, key.latest, _public(key, key.latest))

    def publics(self, name: str) -> tuple[PublicKey, ...]:
        """Return every version's verifying key, the current one first."""
        key = self._signing(name)
        return tuple(_public(key, version) for version in sorted(key.publics, reverse=True))

    def wrap(self, name: str, secret: bytes, associated: bytes) -> bytes:
        """Encrypt a data key under the current version of a key-encryption key, bound to `associated`."""
        key = self._wrapping(name)  # first, since Vault would make a key of a name that it does not know
        body = {"plaintext": _text(guard(secret, associated))} | _bound(key, associated)
        sealed = str(self._ask("POST", f"encrypt/{self._prefix}{name}", body).get("ciphertext", ""))
        found = _SEALED.fullmatch(sealed)
        if found is None:
            raise Unavailable(f"{self._https!r} did not answer with a ciphertext. Is it Vault's transit engine?")
        return Wrapped("vault", found[1], sealed.encode("ascii")).to_bytes()

    def unwrap(self, name: str, wrapped: bytes, associated: bytes) -> bytes:
        """Undo `wrap`. Raises NotProven when the key, the bytes or `associated` are not the same."""
        value = Wrapped.read(wrapped, holder="vault")
        sealed = value.sealed.decode("ascii", "replace")
        found = _SEALED.fullmatch(sealed)
        if found is None or found[1] != value.version:
            raise NotProven("these bytes are no ciphertext of Vault, or they were changed.")
        body = {"ciphertext": sealed} | _bound(self._wrapping(name), associated)
        answer = self._ask("POST", f"decrypt/{self._prefix}{name}", body, opening=True)
        try:
            return unguard(base64.b64decode(str(answer.get("plaintext", "")), validate=True), associated)
        except binascii.Error:
            raise Unavailable(
                f"{self._https!r} did not answer with a plaintext. Is it Vault's transit engine?"
            ) from None

    def ids(self, name: str) -> tuple[str, ...]:
        """Return KEY:vN for every version, the current one first."""
        return tuple(
            f"{self._prefix}{name}:v{version}" for version in sorted(self._key(name).publics, reverse=True)
        )

    def is_current(self, name: str, wrapped: bytes) -> bool:
        """Whether these bytes name the latest version of `name`."""
        latest = self._wrapping(name).latest
        try:
            return Wrapped.read(wrapped, holder="vault").version == str(latest)
        except NotProven:
            return False

    def destroy(self, name: str) -> Destroyed:
        """Delete a key. Vault refuses until an operator has set `deletion_allowed`, and that is left to them."""
        key, ids = self._key(name), self.ids(name)
        path = f"{self._mount}/keys/{self._prefix}{name}"
        if not key.deletable:
            raise InvalidInput(
                f"Vault keeps {name!r}: its deletion is not allowed. Who may decide it runs `vault write {path}/config "
                "deletion_allowed=true`; then run the same command again. Nothing was changed."
            )
        self._ask("DELETE", f"keys/{self._prefix}{name}")
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
        said = str(self._ask("POST", f"sign/{self._prefix}{name}", body).get("signature", ""))
        found = _SEALED.fullmatch(said)
        try:
            return base64.b64decode(found[2], validate=True) if found else b""
        except binascii.Error:
            return b""  # and so no signature of any key

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
        if not _SEGMENT.fullmatch(name):  # it stands in the path of a request
            return None
        data = self._ask("GET", f"keys/{self._prefix}{name}", absent={})
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
            raise Unavailable(f"{self._https!r} does not say which version of {name!r} is the latest.")
        return _Key(
            name, algorithm, latest, data.get("deletion_allowed") is True, data.get("derived") is True, publics
        )

    def _ask(  # noqa: PLR0913 - a request, and how its failures are to be read
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        absent: Mapping[str, Any] | None = None,
        opening: bool = False,
        again: bool = True,
    ) -> Mapping[str, Any]:
        answer = self._https.call(method, f"/v1/{self._mount}/{path}", body, again=again)
        errors = answer.body.get("errors", [])
        lines = errors if isinstance(errors, list) else [errors]
        told = " ".join("; ".join(map(str, lines)).split())[:300]
        said = "".join(
            c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in told
        )  # it is shown in a terminal
        if answer.status in (200, 204):
            data = answer.body.get("data") or {}
            return data if isinstance(data, dict) else {}
        if answer.status == 404 and absent is not None and not lines:
            return absent
        raise self._failure(answer.status, said, path, opening=opening)

    def _failure(self, status: int, said: str, path: str, *, opening: bool) -> Exception:
        here, why = f"Vault at {self._https.host}:{self._https.port}", said or "no word why"
        if status == 503:
            return Unavailable(f"{here} is sealed or in standby: {why}. Have it unsealed, try again.")
        if status == 429 or status >= 500:
            return Unavailable(f"{here} could not do it now (status {status}): {why}. Try again later.")
        if opening and status == 400 and "too old" not in said:
            return NotProven(f"{here} could not decrypt it: {why}.")
        advice = {
            403: "Get a token whose policy allows it, and set VAULT_TOKEN.",
            404: "Is the mount right?",
        }.get(status, "")
        if opening and "too old" in said:
            advice = "The key's min_decryption_version forbids this version: an operator can lower it."
        verb = "denies" if status == 403 else "refuses"
        return InvalidInput(f"{here} {verb} {self._mount}/{path} (status {status}): {why}. {advice}".rstrip())


@KEY_SERVICES.register("vault", practice="1b", threats=(), summary="HashiCorp Vault's transit engine")
def open_vault(rest: str, *, passphrase: Passphrase | None, create: bool, disk: Disk) -> KeyService:  # noqa: ARG001 - the port's shape
    """Open `vault://HOST:PORT/MOUNT`. Raises InvalidInput for the URI, the token and files; nothing is asked yet."""
    place = read_place("vault", rest, known=_OPTIONS, form=_FORM)
    mount, prefix = place.path, place.options.get("prefix", "")
    if not place.host or not all(_SEGMENT.fullmatch(part) for part in mount.split("/")):
        raise InvalidInput(f"a vault URI names a server and a transit mount: write {_FORM}.")
    if prefix and not _SEGMENT.fullmatch(prefix):
        raise InvalidInput(f"prefix={prefix[:40]!r} in the keys' URI: use letters, digits, dots, hyphens.")
    host, port = _address(place.host)
    headers = {"X-Vault-Token": _token(os.environ), "X-Vault-Request": "true"}
    if "namespace" in place.options:
        headers["X-Vault-Namespace"] = place.options["namespace"]
    https = Https(
        host,
        port,
        context=_context(place, host),
        headers=headers,
        timeout=place.number("timeout", 10, low=0.1, high=300),
        service="Vault",
    )
    return Vault(https, mount, prefix)


def _address(host: str) -> tuple[str, int]:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, 8200
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidInput(f"{port[:20]!r} is no port: write {_FORM}.")
    return name, int(port)


def _context(place: Place, host: str) -> ssl.SSLContext | None:
    options = place.options
    if options.get("tls") == "off":
        if host not in _LOOPBACK:
            raise InvalidInput(f"tls=off would send the token to {host} in the clear: it is for this machine only.")
        return None
    minimum = {"1.2": tls.TLS_1_2, "1.3": tls.TLS_1_3}.get(options.get("minimum_tls", "1.3"))
    if minimum is None or "tls" in options:
        raise InvalidInput("the keys' URI: expected minimum_tls=1.2 or 1.3, and tls=off or nothing.")
    ca = options.get("cacert") or os.environ.get("VAULT_CACERT")
    path = partial(_path, options)
    return tls.client_context(
        ca=Path(ca).expanduser() if ca else None, certificate=path("cert"), key=path("key"), minimum=minimum
    )


def _path(options: Mapping[str, str], name: str) -> Path | None:
    return Path(options[name]).expanduser() if name in options else None


def _token(environ: Mapping[str, str]) -> str:
    if environ.get("VAULT_TOKEN"):
        return _one_line(environ["VAULT_TOKEN"], "VAULT_TOKEN")
    named = environ.get("VAULT_TOKEN_FILE")
    path = Path(named) if named else Path(environ.get("HOME") or Path.home()) / ".vault-token"
    if not path.exists():
        raise InvalidInput(
            "Vault needs a token: set VAULT_TOKEN, name a file that holds it in VAULT_TOKEN_FILE, or run `vault login`."
        )
    tls.check_private(path)
    return _one_line(path.read_text(encoding="utf-8", errors="replace"), str(path))


def _one_line(text: str, where: str) -> str:
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput(f"{where} holds no Vault token: expected one line of printable characters.")
    return token


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
