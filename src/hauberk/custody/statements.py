"""in-toto Statement v1: which artifacts a claim is about, what kind of claim it is, and the claim.

Standard predicate types are used where one fits (SLSA provenance for a training run, SLSA verification summary
for the gate's verdict); evidence, events and releases have versioned types of our own. `dsse` signs the bytes; they
are kept as signed and never encoded again.

Sources: in-toto/attestation spec v1.1 (statement.md, README.md "Parsing rules"); slsa.dev/provenance/v1;
slsa.dev/verification_summary/v1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.core.evidence import Subject
from hauberk.custody import dsse
from hauberk.custody.keys.port import PublicKey, Signer

STATEMENT = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"

EVIDENCE = "https://hauberk.dev/evidence/v2"
EVENT = "https://hauberk.dev/event/v2"
RELEASE = "https://hauberk.dev/release/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
VSA = "https://slsa.dev/verification_summary/v1"

# SLSA lets producers extend a summary by fields whose names are URIs; other readers ignore ours.
RULINGS = "https://hauberk.dev/rulings/v1"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TYPE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_NAMELESS = "_"  # in-toto's placeholder for a subject without a name; only this name may occur twice


@dataclass(frozen=True, slots=True)
class Statement:
    """A claim of `predicate_type` (a URI) about at least one subject, each identified by its SHA-256.

    Raises InvalidInput when a digest is not 64 lower-case hex digits, or when two subjects have one name: a name
    must lead to one digest.
    """

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.subjects:
            raise InvalidInput("a statement has at least one subject, found none.")
        if not _TYPE_URI.fullmatch(self.predicate_type):
            raise InvalidInput(f"a predicate type is a URI, found {self.predicate_type[:80]!r}.")
        names: set[str] = set()
        for subject in self.subjects:
            if not _SHA256.fullmatch(subject.sha256):
                raise InvalidInput(
                    f"subject {subject.name[:80]!r}: its sha256 must be 64 lower-case hex digits, "
                    f"found {subject.sha256[:80]!r}."
                )
            if subject.name in names and subject.name != _NAMELESS:
                raise InvalidInput(
                    f"two subjects are named {subject.name[:80]!r}: names are unique in a statement."
                )
            names.add(subject.name)

    def to_bytes(self) -> bytes:
        """Return the RFC 8785 bytes to sign. Raises InvalidInput for values that JSON cannot hold."""
        return canonical.encode(
            {
                "_type": STATEMENT,
                "subject": [{"name": s.name, "digest": {"sha256": s.sha256}} for s in self.subjects],
                "predicateType": self.predicate_type,
                "predicate": dict(self.predicate),
            }
        )


def parse(payload: bytes) -> Statement:
    """Read a Statement v1. Proves nothing: `open_attestation` does.

    Fields that the specification does not name are ignored, as it demands; fields that it names must have the right
    type. A subject without a SHA-256 is refused: Hauberk identifies artifacts by nothing else. Raises InvalidInput.
    """
    value = canonical.decode(payload, what="statement")
    if not isinstance(value, dict) or value.get("_type") != STATEMENT:
        found = value.get("_type") if isinstance(value, dict) else type(value).__name__
        raise InvalidInput(f"not an in-toto statement: expected _type {STATEMENT}, found {str(found)[:80]!r}.")
    subjects, kind, predicate = value.get("subject"), value.get("predicateType"), value.get("predicate")
    if not isinstance(subjects, list):
        raise InvalidInput("statement: `subject` must be a list of artifacts.")
    if not isinstance(kind, str):
        raise InvalidInput("statement: `predicateType` must be a URI.")
    if not isinstance(predicate, dict | None):
        raise InvalidInput("statement: `predicate` must be an object.")
    return Statement(tuple(_subject(item) for item in subjects), kind, predicate or {})


def _subject(value: object) -> Subject:
    if not isinstance(value, dict) or not isinstance(value.get("digest"), dict):
        raise InvalidInput("statement: each subject is an object with a `digest`.")
    name, sha256 = value.get("name", _NAMELESS), value["digest"].get("sha256")
    if not isinstance(name, str):
        raise InvalidInput("statement: a subject's `name` must be a string.")
    if not isinstance(sha256, str):
        raise InvalidInput(f"statement: subject {name[:80]!r} has no sha256 digest.")
    return Subject(name or _NAMELESS, sha256)


def attest(statement: Statement, signer: Signer) -> bytes:
    """Return the signed DSSE envelope of a statement, as canonical JSON bytes."""
    return dsse.sign(statement.to_bytes(), PAYLOAD_TYPE, (signer,))


def open_attestation(data: bytes, publics: Sequence[PublicKey], *, what: str) -> Statement:
    """Return the statement in an envelope that one of `publics` signed. `what` names the source in errors.

    Order: 1 the envelope's form (InvalidInput); 2 the signature (NotProven), before a byte of the payload is
    read; 3 the payload type (NotProven: a signature made for another protocol); 4 the statement's form.
    """
    envelope = dsse.decode(data, what=what)
    try:
        dsse.verify(envelope, publics)
    except NotProven as error:
        raise NotProven(f"{what}: {error}") from error
    if envelope.payload_type != PAYLOAD_TYPE:
        raise NotProven(f"{what}: the payload is {envelope.payload_type[:80]!r}, expected {PAYLOAD_TYPE}.")
    try:
        return parse(envelope.payload)
    except InvalidInput as error:
        raise InvalidInput(f"{what}: {error}") from error


def provenance(  # noqa: PLR0913 - the fields of the predicate
    *,
    build_type: str,
    builder: str,
    external: Mapping[str, Any],
    internal: Mapping[str, Any],
    dependencies: Sequence[Subject],
    invocation: str,
    started: str,
    finished: str,
    versions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return a SLSA Provenance v1 predicate: how the statement's subjects were made.

    build_type, builder: URIs of the recipe and of who ran it. external: what the user asked for. internal: what
    the builder added (seed, device). dependencies: every input by digest. invocation: id of the run. started,
    finished: RFC 3339 UTC. versions: of the builder's components.
    Does not claim a SLSA level: that follows from who the builder is, and a laptop is no isolated builder.
    """
    who: dict[str, Any] = {"id": builder}
    if versions:
        who["version"] = dict(versions)
    return {
        "buildDefinition": {
            "buildType": build_type,
            "externalParameters": dict(external),
            "internalParameters": dict(internal),
            "resolvedDependencies": [{"name": d.name, "digest": {"sha256": d.sha256}} for d in dependencies],
        },
        "runDetails": {
            "builder": who,
            "metadata": {"invocationId": invocation, "startedOn": started, "finishedOn": finished},
        },
    }


def summary(  # noqa: PLR0913 - the fields of the predicate
    *,
    verifier: str,
    verified: str,
    resource: str,
    policy: str,
    policy_sha256: str,
    inputs: Sequence[str],
    passed: bool,
    rulings: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a SLSA Verification Summary v1 predicate: the gate's verdict over the statement's subjects.

    verifier, resource, policy: URIs of who decided, about what, by which rules. policy_sha256: digest of the
    rules. inputs: SHA-256 of every envelope that was read, all of them. verified: RFC 3339 UTC. rulings: each
    rule's JSON form, in the extension field `RULINGS`. No SLSA level is claimed: `verifiedLevels` is empty when
    passed and, as SLSA asks, "FAILED" when not.
    """
    return {
        "verifier": {"id": verifier},
        "timeVerified": verified,
        "resourceUri": resource,
        "policy": {"uri": policy, "digest": {"sha256": policy_sha256}},
        "inputAttestations": [{"digest": {"sha256": digest}} for digest in inputs],
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": [] if passed else ["FAILED"],
        RULINGS: [dict(ruling) for ruling in rulings],
    }


def rulings_of(predicate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rulings that a summary carries. Raises InvalidInput when it carries none in the known form."""
    rulings = predicate.get(RULINGS)
    if not isinstance(rulings, list) or not all(isinstance(ruling, dict) for ruling in rulings):
        raise InvalidInput(f"the verification summary has no list of rulings under {RULINGS}.")
    return rulings
