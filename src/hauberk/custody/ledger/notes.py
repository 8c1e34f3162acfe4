"""Signed notes and checkpoints: c2sp.org/signed-note, tlog-checkpoint and tlog-cosignature, as pure functions.

A note is text, an empty line and signature lines that each name a key and the first four bytes of its hash. A
checkpoint is a note whose text is origin, size and root. Two signature types are read: Ed25519 over the text
(0x01), and the witness's cosignature/v1, Ed25519 over a time stamp and the text (0x04). Other types and unknown
keys are ignored; if the signature of a known key fails, the whole note is refused.

Answers: an altered text; a signature for another log (the key's name is part of its id); a cosignature read as a
plain one. Does not answer: a key holder who signs two histories; `Ledger.check_extends` detects that.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.keys.port import ED25519, PublicKey, Signer

SIGNATURE = 0x01
COSIGNATURE = 0x04
MOST_SIGNATURES = 100
MOST_BYTES = 1 << 20

_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A key that signatures are checked against: name, Ed25519 key and signature type (SIGNATURE or COSIGNATURE)."""

    name: str
    public: PublicKey
    kind: int = SIGNATURE

    @property
    def key_id(self) -> bytes:
        """The four bytes that precede this key's signatures (signed-note, "Signatures")."""
        return sha256(self.name.encode() + b"\n" + self._material).digest()[:4]

    @property
    def _material(self) -> bytes:
        return bytes([self.kind]) + self.public.raw

    def __str__(self) -> str:
        """Write the key as a vkey, `name+id+base64`, the form to publish."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self._material).decode()}"


@dataclass(frozen=True, slots=True)
class Signed:
    """One verified signature: the key, and the time of a cosignature (POSIX seconds)."""

    key: VerifierKey
    time: int | None


@dataclass(frozen=True, slots=True)
class Note:
    """A note that at least one known key signed: its text (with the last newline) and the verified signatures."""

    text: bytes
    signatures: tuple[Signed, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the log's name, its size in entries and the 32-byte root; `extensions` are opaque lines."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> bytes:
        """Return the note text of tlog-checkpoint."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(line + "\n" for line in lines).encode()


def vkey(name: str, public: PublicKey) -> str:
    """Return the verifier key of a log, as text to publish. Raises InvalidInput for a bad name or a P-256 key."""
    return str(_checked(VerifierKey(name, public)))


def parse_vkey(text: str) -> VerifierKey:
    """Read `name+id+base64`. Raises InvalidInput when malformed, of another type, or the id is not the key's."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    material = _base64(encoded)
    if material is None or len(material) != 33 or material[0] not in (SIGNATURE, COSIGNATURE):
        raise InvalidInput("not a verifier key: expected `name+id+base64` of an Ed25519 key (type 1 or 4).")
    key = _checked(VerifierKey(name, _public(material[1:]), material[0]))
    if key.key_id.hex() != key_id:
        raise InvalidInput(
            f"verifier key {name}: its id is {key_id}, expected {key.key_id.hex()}: it was mistyped or altered."
        )
    return key


def sign(text: bytes, name: str, signer: Signer) -> bytes:
    """Return the signed note. `text` ends in a newline. Raises InvalidInput for a text or name that a note cannot hold."""
    key = _checked(VerifierKey(name, signer.public))
    if not text.endswith(b"\n") or not _printable(text):
        raise InvalidInput("a note's text is UTF-8, ends in a newline and holds no other control character.")
    signature = base64.b64encode(key.key_id + signer.sign(text)).decode()
    return text + f"\n— {name} {signature}\n".encode()


def open_note(note: bytes, keys: Iterable[VerifierKey]) -> Note:
    """Return a note after verifying the signature of at least one known key.

    Raises NotProven for a malformed note, a known key whose signature fails, and a note that none of `keys` signed.
    """
    text, lines = _split(note)
    known = {(key.name, key.key_id): key for key in keys}
    found: dict[VerifierKey, Signed] = {}
    for line in lines:
        name, key_id, signature = _signature_line(line)
        key = known.get((name, key_id))
        if key is not None and key not in found:
            found[key] = _verify(key, text, signature)
    if not found:
        names = ", ".join(f"{name}+{key_id.hex()}" for name, key_id in known) or "none given"
        raise NotProven(f"the note is not signed by a known key (known: {names}).")
    return Note(text, tuple(found.values()))


def parse_checkpoint(text: bytes) -> Checkpoint:
    """Read a checkpoint's text (what `open_note` returned). Raises NotProven when it is not one."""
    try:
        lines = text.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise NotProven("the checkpoint is not UTF-8 text.") from error
    if len(lines) < 4 or lines.pop() or not all(lines):
        raise NotProven("the checkpoint does not have the lines origin, size and root.")
    origin, size, encoded, *extensions = lines
    root = _base64(encoded)
    if not _NUMBER.fullmatch(size) or root is None or len(root) != 32:
        raise NotProven("the checkpoint's size or root is malformed.")
    return Checkpoint(origin, int(size), root, tuple(extensions))


def unverified_text(note: bytes) -> bytes:
    """Return the text of a well-formed note whose signatures nobody has checked. Raises NotProven if malformed."""
    return _split(note)[0]


def _split(note: bytes) -> tuple[bytes, list[str]]:
    if len(note) > MOST_BYTES:
        raise NotProven(f"the note has {len(note)} bytes; at most {MOST_BYTES} are read.")
    if not _printable(note):
        raise NotProven("the note is not UTF-8 text, or it holds a control character.")
    text, separator, tail = note.rpartition(b"\n\n")
    if not separator or not text or not tail.endswith(b"\n"):
        raise NotProven("the note has no signature lines after an empty line, or its last newline is missing.")
    lines = tail.decode().removesuffix("\n").split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise NotProven(f"the note has {len(lines)} signatures; at most {MOST_SIGNATURES} are read.")
    for line in lines:
        _signature_line(line)
    return text + b"\n", lines


def _signature_line(line: str) -> tuple[str, bytes, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    data = _base64(encoded)
    if dash != "—" or not _good_name(name) or data is None or len(data) < 5:
        raise NotProven("the note has a malformed signature line.")
    return name, data[:4], data[4:]


def _verify(key: VerifierKey, text: bytes, signature: bytes) -> Signed:
    message, time = text, None
    if key.kind == COSIGNATURE:
        time = int.from_bytes(signature[:8], "big")
        message = f"cosignature/v1\ntime {time}\n".encode() + text
        signature = signature[8:]
    if len(signature) != 64 or (time is not None and time >= 1 << 63):
        raise NotProven(f"the signature of {key.name} is malformed.")
    try:
        key.public.verify(signature, message)
    except NotProven as error:
        raise NotProven(
            f"the signature of {key.name} is wrong: the text was altered after it was signed."
        ) from error
    return Signed(key, time)


def _checked(key: VerifierKey) -> VerifierKey:
    if not _good_name(key.name) or not _printable(key.name.encode()):
        raise InvalidInput(f"{key.name!r} is no name for a log: use one without spaces and plus signs.")
    if key.public.algorithm != ED25519:
        raise InvalidInput(f"a checkpoint is signed with Ed25519; this key is {key.public.algorithm}.")
    return key


def _good_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def _printable(data: bytes) -> bool:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not any(character < " " and character != "\n" for character in text)


def _base64(text: str) -> bytes | None:
    # One byte string, one spelling: stray characters and stray bits in the last one are both refused.
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def _public(raw: bytes) -> PublicKey:
    key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey.from_spki(spki)
