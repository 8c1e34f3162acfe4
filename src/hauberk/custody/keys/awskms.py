"""`awskms://PREFIX`: keys in AWS Key Management Service, found by their aliases.

    awskms://hauberk/claims?region=eu-central-1     keys alias/hauberk/claims/NAME, made and rotated from here
    awskms://alias/claims-data?region=eu-central-1  the one key behind an existing alias
    awskms://arn:aws:kms:eu-central-1:1...:key/...  the one key of an ARN

Options: `region`, `profile`, `endpoint` (a VPC endpoint, or a stand-in), `timeout` in seconds, `waiting`, the days
that AWS keeps a destroyed key (7 to 30, default 30). Credentials come from boto3's usual chain.

Version N of NAME is the key behind alias/PREFIX/NAME/N, and alias/PREFIX/NAME points to the current one; AWS's own
rotation of key material is transparent. KMS gets a digest of the associated data as encryption
context, which it authenticates and logs in CloudTrail.

Answers: keys that leave with a stolen disk; who may use them is decided in IAM and logged in CloudTrail.
Does not answer: stolen AWS credentials while they live; AWS itself; an administrator who cancels a deletion.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.custody.keys import _names
from hauberk.custody.keys._aws import connect, translated
from hauberk.custody.keys._uri import read_place
from hauberk.custody.keys._wrapped import Wrapped, context, guard, unguard
from hauberk.custody.keys.port import AES_256, ALGORITHMS, ECDSA_P256, ED25519, Destroyed, KeyService, PublicKey
from hauberk.custody.keys.schemes import KEY_SERVICES, Passphrase

_FORM = "awskms://PREFIX?region=REGION"
_OPTIONS = ("region", "profile", "endpoint", "timeout", "waiting")
_SPECS = {AES_256: "SYMMETRIC_DEFAULT", ECDSA_P256: "ECC_NIST_P256", ED25519: "ECC_NIST_EDWARDS25519"}
_KINDS = {spec: algorithm for algorithm, spec in _SPECS.items()}
_PREFIX = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_ARN = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]+:(key|alias)/[A-Za-z0-9/_-]+")
_LONGEST_RAW = 4096  # bytes: for Ed25519, KMS takes the message itself, and no longer one
_WAITING = 30
_PENDING = "PendingDeletion"


class _Signer:
    """One version of a signing key in KMS."""

    __slots__ = ("_client", "_key", "public")

    def __init__(self, client: Any, key: str, public: PublicKey) -> None:  # noqa: ANN401 - boto3 publishes no types
        self._client, self._key, self.public = client, key, public

    def __repr__(self) -> str:
        return f"<{self.public.algorithm} key {self.public.key_id[:16]} in AWS KMS>"

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message`. Raises NotProven when the service returns anything but this key's signature."""
        if self.public.algorithm == ECDSA_P256:
            how = {"MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
            message_or_digest = hashlib.sha256(message).digest()
        elif len(message) > _LONGEST_RAW:
            raise InvalidInput(
                f"AWS KMS signs at most {_LONGEST_RAW} bytes with an Ed25519 key, found {len(message)}: use an "
                "ecdsa-p256 key for this."
            )
        else:
            how = {"MessageType": "RAW", "SigningAlgorithm": "ED25519_SHA_512"}
            message_or_digest = message
        with translated("sign", self._key):
            signature: bytes = self._client.sign(KeyId=self._key, Message=message_or_digest, **how)["Signature"]
        self.public.verify(
            signature, message
        )  # a service that signs with another key is detected here, not by a user
        return signature


class AwsKms:
    """A `KeyService` over the aliases below one prefix, or over one existing key (`only`)."""

    __slots__ = ("_client", "_facts", "_members", "_only", "_place", "_publics", "_waiting")

    def __init__(self, client: Any, place: str, *, only: str | None = None, waiting: int = _WAITING) -> None:  # noqa: ANN401 - as above
        self._client = client
        self._place = place
        self._only = only
        self._waiting = waiting
        self._facts: dict[str, tuple[str, str]] = {}
        self._publics: dict[str, PublicKey] = {}
        self._members: set[tuple[str, str]] = set()

    def __repr__(self) -> str:
        return f"<AwsKms {self._place}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key service cannot be pickled or copied: open it where it is needed")

    def names(self) -> Mapping[str, str]:
        """Return the algorithm of each key, sorted by name; without keys of other kinds or scheduled for deletion."""
        if self._only is not None:
            arn, algorithm = self._describe(self._only)
            return {self._own_name(arn): algorithm} if algorithm else {}
        found = {}
        for alias, target in self._aliases().items():
            if "/" not in alias:
                _, algorithm, state = self._look(target)
                if algorithm and state != _PENDING:
                    found[alias] = algorithm
        return dict(sorted(found.items()))

    def create(self, name: str, algorithm: str) -> None:
        """Make a key and its aliases. Raises InvalidInput when the name is taken or not allowed."""
        self._ours("make a key")
        _names.usable(name)
        if "." in name:
            raise InvalidInput(f"{name!r} cannot name a key in AWS, whose aliases have no dots: use a hyphen.")
        if algorithm not in _SPECS:
            raise InvalidInput(f"no key algorithm is named {algorithm!r}; known: {', '.join(ALGORITHMS)}.")
        if name in self._aliases():
            raise _names.taken(name)
        self._new_version(name, algorithm)

    def rotate(self, name: str) -> None:
        """Make a new key and move the alias to it; older keys still verify and unwrap."""
        self._ours("rotate it")
        self._new_version(name, self._algorithm(name))

    def signer(self, name: str) -> _Signer:
        """Return a signer for the current version of a signing key; a later rotation does not change it."""
        arn = self._signing(name)[0]
        return _Signer(self._client, arn, self._public(arn))

    def publics(self, name: str) -> tuple[PublicKey, ...]:
        """Return every version's verifying key, the current one first."""
        return tuple(self._public(arn) for arn in self._signing(name))

    def wrap(self, name: str, secret: bytes, associated: bytes) -> bytes:
        """Encrypt a data key under the current version of a key-encryption key, bound to `associated`."""
        current = self._current(name)
        with translated("encrypt", current):
            answer = self._client.encrypt(
                KeyId=current, Plaintext=guard(secret, associated), EncryptionContext=_context(associated)
            )
        return Wrapped("awskms", current, answer["CiphertextBlob"]).to_bytes()

    def unwrap(self, name: str, wrapped: bytes, associated: bytes) -> bytes:
        """Return the data key from `wrap`. Raises NotProven when the key, the bytes or `associated` differ."""
        value = Wrapped.read(wrapped, holder="awskms")
        # The key is named in the request: otherwise a ciphertext under a key of any account would be decrypted.
        if (name, value.version) not in self._members:
            versions = self._wrapping(name)
            if value.version not in versions:
                raise NotProven(f"wrapped under another key: {value.version[:120]} is not a version of {name!r}.")
            self._members.update(
                (name, version) for version in versions
            )  # listing is slow, and versions never change
        with translated("decrypt", value.version):
            answer = self._client.decrypt(
                KeyId=value.version, CiphertextBlob=value.sealed, EncryptionContext=_context(associated)
            )
        return unguard(answer["Plaintext"], associated)

    def ids(self, name: str) -> tuple[str, ...]:
        """Return the ARN of every version, the current one first."""
        return self._arns(name)

    def is_current(self, name: str, wrapped: bytes) -> bool:
        """Return whether these bytes name the current version of `name`."""
        current = self._current(name)
        try:
            return Wrapped.read(wrapped, holder="awskms").version == current
        except NotProven:
            return False

    def destroy(self, name: str) -> Destroyed:
        """Schedule the deletion of every version, then delete the aliases. No version can be used afterwards."""
        self._ours("destroy it")
        algorithm, arns = self._algorithm(name), self._arns(name)
        self._members = {member for member in self._members if member[0] != name}
        for arn in arns:
            with translated("schedule the deletion of", arn):
                if self._look(arn)[2] != _PENDING:  # an earlier run may have scheduled it
                    self._client.schedule_key_deletion(
                        KeyId=arn.rpartition("/")[2], PendingWindowInDays=self._waiting
                    )
                if self._look(arn)[2] != _PENDING:
                    raise Unavailable(
                        f"AWS KMS did not schedule the deletion of {arn}. Run the same command again."
                    )
        # The current alias last: while it exists, an interrupted run can be repeated.
        for alias in (*(f"{name}/{number}" for number in _numbered(self._aliases(), name)), name):
            with translated("delete the alias of", alias):
                self._client.delete_alias(AliasName=f"alias/{self._place}/{alias}")
        return Destroyed(
            name=name,
            algorithm=algorithm,
            ids=arns,
            waiting_days=self._waiting,
            remains=f"AWS deletes the key material after {self._waiting} days; until then an administrator with "
            "kms:CancelKeyDeletion can bring it back.",
        )

    def _new_version(self, name: str, algorithm: str) -> None:
        aliases = self._aliases()
        # Above every existing number, also that of an interrupted run whose version never became current.
        number = 1 + max(_numbered(aliases, name), default=0)
        usage = "ENCRYPT_DECRYPT" if algorithm == AES_256 else "SIGN_VERIFY"
        with translated("make", name):
            made = self._client.create_key(
                KeySpec=_SPECS[algorithm],
                KeyUsage=usage,
                Description=f"hauberk {self._place}/{name} version {number}",
            )["KeyMetadata"]
        current = f"alias/{self._place}/{name}"
        try:
            with translated("name", name):
                self._client.create_alias(AliasName=f"{current}/{number}", TargetKeyId=made["KeyId"])
        except BaseException:
            self._drop(made["KeyId"])
            raise
        with translated("name", name):
            move = self._client.update_alias if name in aliases else self._client.create_alias
            move(AliasName=current, TargetKeyId=made["KeyId"])

    def _drop(self, key: str) -> None:
        # A key without an alias costs money and has no use. If this fails too, the first error is reported.
        with suppress(HauberkError), translated("drop", key):
            self._client.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)

    def _aliases(self) -> dict[str, str]:
        """Return the key id of each alias below `alias/PREFIX/`."""
        start, found = f"alias/{self._place}/", {}
        with translated("list", self._place):
            for page in self._client.get_paginator("list_aliases").paginate():
                for row in page["Aliases"]:
                    if row["AliasName"].startswith(start) and "TargetKeyId" in row:
                        found[row["AliasName"][len(start) :]] = row["TargetKeyId"]
        return found

    def _arns(self, name: str) -> tuple[str, ...]:
        """Return the ARN of every version, the current one first. Raises InvalidInput for no such name."""
        if self._only is not None:
            arn, algorithm = self._describe(self._only)
            if not algorithm or name != self._own_name(arn):
                raise _names.unknown(name, self.names())
            return (arn,)
        aliases = self._aliases()
        if name not in aliases or "/" in name:
            raise _names.unknown(name, self.names())
        numbered = _numbered(aliases, name)
        order = [aliases[name], *(numbered[number] for number in sorted(numbered, reverse=True))]
        return tuple(self._describe(key)[0] for key in dict.fromkeys(order))

    def _current(self, name: str) -> str:
        """Return the ARN of a key-encryption key's current version, with one request."""
        if self._only is None and "/" not in name and _PREFIX.fullmatch(name):
            with translated("describe", name), suppress(self._client.exceptions.NotFoundException):
                about = self._client.describe_key(KeyId=f"alias/{self._place}/{name}")["KeyMetadata"]
                if about.get("KeySpec") == _SPECS[AES_256] and about["KeyState"] == "Enabled":
                    arn: str = about["Arn"]
                    return arn
        return self._wrapping(name)[0]  # which raises the error for the name

    def _look(self, key: str) -> tuple[str, str, str]:
        """Request ARN, algorithm ("" for a kind that is not supported) and state."""
        with translated("describe", key):
            about = self._client.describe_key(KeyId=key)["KeyMetadata"]
        algorithm = _KINDS.get(str(about.get("KeySpec")), "")
        self._facts[key] = (about["Arn"], algorithm)
        return about["Arn"], algorithm, about["KeyState"]

    def _describe(self, key: str) -> tuple[str, str]:
        """Return ARN and algorithm, cached because they never change."""
        if key not in self._facts:
            self._look(key)
        return self._facts[key]

    def _algorithm(self, name: str) -> str:
        algorithm = self._describe(self._arns(name)[0])[1]
        if not algorithm:
            raise _names.unknown(name, self.names())
        return algorithm

    def _signing(self, name: str) -> tuple[str, ...]:
        arns = self._arns(name)
        if (algorithm := self._describe(arns[0])[1]) == AES_256:
            raise _names.cannot_sign(name, algorithm)
        return arns

    def _wrapping(self, name: str) -> tuple[str, ...]:
        arns = self._arns(name)
        if (algorithm := self._describe(arns[0])[1]) != AES_256:
            raise _names.cannot_encrypt(name, algorithm)
        return arns

    def _public(self, arn: str) -> PublicKey:
        if arn not in self._publics:
            with translated("read the public half of", arn):
                self._publics[arn] = PublicKey.from_spki(self._client.get_public_key(KeyId=arn)["PublicKey"])
        return self._publics[arn]

    def _own_name(self, arn: str) -> str:
        return (self._only or arn).rpartition("/")[2].lower()

    def _ours(self, what: str) -> None:
        if self._only is not None:
            raise InvalidInput(
                f"{self._only} is one key that was made elsewhere: {what} there, or name a prefix as {_FORM}."
            )


@KEY_SERVICES.register("awskms", practice="1b", threats=(), summary="AWS Key Management Service")
def open_awskms(rest: str, *, passphrase: Passphrase | None, create: bool, disk: Disk) -> KeyService:  # noqa: ARG001 - the port's shape
    """Open `awskms://PREFIX`. Raises InvalidInput for the URI, MissingExtra without boto3. No request is sent."""
    place = read_place("awskms", rest, known=_OPTIONS, form=_FORM)
    name = "/".join(part for part in (place.host, place.path) if part)
    region = place.options.get("region")
    if arn := _ARN.fullmatch(name):
        region = region or name.split(":")[3]
    elif not _PREFIX.fullmatch(name) or len(name) > 120:
        raise InvalidInput(f"{name[:80]!r} is not a place for keys in AWS: write {_FORM}, or an ARN of a key.")
    single = bool(arn) or name.startswith("alias/")
    client = connect(
        region=region,
        profile=place.options.get("profile"),
        endpoint=place.options.get("endpoint"),
        timeout=place.number("timeout", 10, low=0.1, high=300),
    )
    waiting = int(place.number("waiting", _WAITING, low=7, high=30))
    return AwsKms(client, name, only=name if single else None, waiting=waiting)


def _numbered(aliases: Mapping[str, str], name: str) -> dict[int, str]:
    """Return version number to key id for a name."""
    rows = {alias.rpartition("/"): key for alias, key in aliases.items()}
    return {int(last): key for (first, _, last), key in rows.items() if first == name and last.isdecimal()}


def _context(associated: bytes) -> dict[str, str]:
    return {"hauberk": context(associated)}
