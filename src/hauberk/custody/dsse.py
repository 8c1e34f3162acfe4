"""DSSE v1.0: bytes and their type, signed together, in a JSON envelope.

The signature covers the pre-authentication encoding (PAE) of type and payload, not the JSON around it. The payload is
carried as base64, so its bytes stay as signed. `statements` defines the meaning of the payload.

Source: secure-systems-lab/dsse, protocol.md and envelope.md, v1.0.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.keys.port import PublicKey, Signer

# A verifier tries every signature with every key; the limit bounds the work that a hostile envelope can cause.
_MOST_SIGNATURES = 64


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature over the envelope's PAE. `keyid` is the writer's hint at the key ("" for none), not proof."""

    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A decoded envelope. Nothing in it is proven until `verify` has returned."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed: version, type and payload, each preceded by its length in bytes."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, payload_type: str, signers: Iterable[Signer]) -> bytes:
    """Return the envelope's canonical JSON with one signature of each signer.

    Raises InvalidInput without a signer, with more than 64, or without a payload type.
    """
    if not payload_type:
        raise InvalidInput("a payload type is needed: without one a signature could be read as another kind's.")
    message = pae(payload_type, payload)
    signatures = tuple(Signature(signer.public.key_id, signer.sign(message)) for signer in signers)
    if not 0 < len(signatures) <= _MOST_SIGNATURES:
        raise InvalidInput(f"an envelope has 1 to {_MOST_SIGNATURES} signatures, found {len(signatures)}.")
    return _encode(Envelope(payload, payload_type, signatures))


def decode(data: bytes, *, what: str) -> Envelope:
    """Read an envelope strictly. `what` names the source in errors. Proves nothing: `verify` does.

    Raises InvalidInput for anything but JSON with exactly the fields of an envelope, payload and signatures in
    base64 (standard or URL-safe, padded, one encoding of each byte string), and 1 to 64 signatures.
    """
    value = canonical.decode(data, what=what)
    fields = _fields(value, required={"payload", "payloadType", "signatures"}, what=what)
    listed = fields["signatures"]
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST_SIGNATURES:
        raise InvalidInput(f"{what}: `signatures` must be a list of 1 to {_MOST_SIGNATURES} signatures.")
    signatures = tuple(_signature(item, what=what) for item in listed)
    payload_type = _text(fields["payloadType"], field="payloadType", what=what)
    if not payload_type:
        raise InvalidInput(f"{what}: `payloadType` is empty.")
    return Envelope(_bytes(fields["payload"], field="payload", what=what), payload_type, signatures)


def verify(envelope: Envelope, publics: Sequence[PublicKey]) -> PublicKey:
    """Return the first of `publics` that signed the envelope. Raises NotProven when none did.

    The envelope's `keyid` chooses nothing: every key is tried on every signature, as the protocol allows, so a
    forged hint neither helps nor hinders.
    Answers: a changed payload or type, a signature by somebody else, a payload shown under another type.
    Does not answer: an old envelope shown again (the ledger does), nor a stolen key.
    """
    message = pae(envelope.payload_type, envelope.payload)
    for public in publics:
        for signature in envelope.signatures:
            try:
                public.verify(signature.sig, message)
            except NotProven:
                continue
            return public
    expected = ", ".join(public.key_id for public in publics) or "no key at all"
    claimed = ", ".join(repr(signature.keyid[:64]) for signature in envelope.signatures[:4])
    raise NotProven(
        f"no signature in the envelope holds: expected one by {expected}; the envelope names {claimed}. "
        "It was changed, or signed by a key that is not trusted here."
    )


def is_canonical(data: bytes) -> bool:
    """Whether `data` is byte for byte what `sign` writes for the same payload, type and signatures.

    A signature covers type and payload alone: spaces, escapes, the order of fields and the alphabet of the base64
    can change under a signature that holds. Where every byte of a file counts, ask this too; and compare `keyid`
    with the key that verified, for it can be changed to another canonical one.
    """
    try:
        return _encode(decode(data, what="envelope")) == data
    except InvalidInput:
        return False


def _encode(envelope: Envelope) -> bytes:
    def item(signature: Signature) -> dict[str, str]:
        sig = {"sig": base64.b64encode(signature.sig).decode("ascii")}
        return {"keyid": signature.keyid, **sig} if signature.keyid else sig

    return canonical.encode(
        {
            "payload": base64.b64encode(envelope.payload).decode("ascii"),
            "payloadType": envelope.payload_type,
            "signatures": [item(signature) for signature in envelope.signatures],
        }
    )


def _signature(value: object, *, what: str) -> Signature:
    fields = _fields(value, required={"sig"}, optional={"keyid"}, what=f"{what}: signature")
    keyid = _text(fields.get("keyid", ""), field="keyid", what=what)
    return Signature(keyid, _bytes(fields["sig"], field="sig", what=what))


def _fields(
    value: object, *, required: set[str], what: str, optional: frozenset[str] | set[str] = frozenset()
) -> dict[str, Any]:
    if not isinstance(value, dict) or not required <= set(value) <= required | optional:
        wanted = ", ".join(sorted(required | optional))
        raise InvalidInput(f"{what} is no DSSE envelope: expected an object with the fields {wanted} and no other.")
    return value


def _text(value: object, *, field: str, what: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{what}: `{field}` must be a string.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput(f"{what}: `{field}` holds half of a surrogate pair, which is no text.") from None
    return value


def _bytes(value: object, *, field: str, what: str) -> bytes:
    text = _text(value, field=field, what=what)
    for altchars in (b"+/", b"-_"):
        try:
            found = base64.b64decode(text, altchars=altchars, validate=True)
        except (binascii.Error, ValueError):
            continue
        # The last character's unused bits can be anything and still decode: one byte string, one text.
        if base64.b64encode(found, altchars=altchars).decode("ascii") == text:
            return found
    raise InvalidInput(f"{what}: `{field}` is not base64 (RFC 4648, padded).")
