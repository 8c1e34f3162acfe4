"""Verify a proof about a row offline, in a fixed order; each step trusts only what an earlier one has proven.

| step | holds | the attack that it stops |
| --- | --- | --- |
| 1 form | a proof of a version that is known, and nothing missing | a foreign or truncated file |
| 2 trust | the release verifies, or the ledger's newest checkpoint is signed | keys and roots of somebody else |
| 3 ledger | the event is an entry of that very ledger, under a signed checkpoint | an event never logged, another ledger |
| 4 event | it is signed, and says that a model was trained on committed rows | a forged event |
| 5 history | the release holds this event, or the ledger extends the proof's checkpoint | a forked or rolled-back ledger |
| 6 model | with a release: the event is of the model that is served | a proof about another model |
| 7 row | the row has the meaning that the event committed to | the same numbers under another meaning |
| 8 claim | each claim holds in the committed tree | a row denied or invented |

Does not answer: an owner who committed to other rows than the model learned from. Whoever receives the rows and the
row tree can build it again and compare roots.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody import dsse, statements
from hauberk.custody.entries import entry_of
from hauberk.custody.keys.port import PublicKey
from hauberk.custody.ledger import Ledger, VerifierKey, tlogproof
from hauberk.custody.rows import Schema, UnknownCategoryError
from hauberk.custody.rowtree import Commitment, check
from hauberk.custody.seen import Seen
from hauberk.custody.statements import Statement
from hauberk.lifecycle.datasets.proving import TYPE
from hauberk.records.lineage import USED
from hauberk.records.reader import read_publics
from hauberk.release import bundle, verification
from hauberk.release.verification import Step, in_order

_FIELDS = {"_type", "side", "schema", "event", "logged", "row", "claims", "unknown"}
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Checked:
    """All steps, and the verdict once every one held: how often the row was in the set, by label.

    found: label to count, {} when the row has a value that no row of the set can have. present: any count above 0;
    None when a step failed. everywhere: whether the claims are about every label that the set has; otherwise the row may
    be in the set under another.
    """

    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    side: str
    role: str
    models: Mapping[str, str]
    found: Mapping[str, int]
    present: bool | None
    everywhere: bool

    @property
    def ok(self) -> bool:
        """Whether every step held."""
        return all(step.ok for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return the document of `hauberk data prove --check --json`."""
        return {
            "ok": self.ok,
            "present": self.present,
            "everywhere": self.everywhere,
            "found": dict(self.found),
            "side": self.side,
            "role": self.role,
            "models": dict(self.models),
            "warnings": list(self.warnings),
            "steps": [step.to_json() for step in self.steps],
        }


def check_proof(
    path: Path,
    *,
    ledger: Path | None = None,
    release: Path | None = None,
    key: str | None = None,
    seen: Seen | None = None,
) -> Checked:
    """Verify the proof file at `path` against a release folder or a project's `.hauberk` (or its ledger folder).

    key: the signer's key id, from somebody you trust. seen: the memory of checkpoints, for releases. Raises
    InvalidInput when neither or both are given, or a file is not there; what does not hold is a failed step.
    """
    if (ledger is None) == (release is None):
        raise InvalidInput("name what to verify against: --release DIR or --ledger DIR.")
    run = _Run(path, ledger, release, key, seen)
    steps = in_order(_STEPS, run)
    ok = all(step.ok for step in steps)
    return Checked(
        steps,
        tuple(run.warnings),
        run.side,
        run.role,
        run.models if ok else {},
        run.found if ok else {},
        any(run.found.values()) if ok else None,
        run.everywhere if ok else False,
    )


class _Run:
    """What the steps pass on: each attribute is set by the step that proved it."""

    def __init__(
        self, path: Path, ledger: Path | None, release: Path | None, key: str | None, seen: Seen | None
    ) -> None:
        self.path, self.ledger, self.release, self.key, self.seen = path, ledger, release, key, seen
        self.warnings: list[str] = []
        self.proof: dict[str, Any] = {}
        self.side = self.role = ""
        self.models: dict[str, str] = {}
        self.found: dict[str, int] = {}
        self.everywhere = False
        self.envelope = b""
        self.origin: str
        self.log_keys: tuple[PublicKey, ...]
        self.signers: tuple[PublicKey, ...]
        self.manifest: bundle.Manifest
        self.index: int
        self.log: Ledger
        self.event: Statement
        self.commitment: Commitment
        self.features = b""
        self.schema: Schema


def _form(run: _Run) -> str:
    try:
        if run.path.stat().st_size > _LARGEST:
            raise InvalidInput(f"{run.path} is larger than any proof.")
        value = canonical.decode(run.path.read_bytes(), what=str(run.path))
    except OSError as error:
        raise InvalidInput(f"cannot read {run.path}: {error.strerror}.") from error
    if not isinstance(value, dict) or value.get("_type") != TYPE or value.keys() != _FIELDS:
        found = value.get("_type") if isinstance(value, dict) else type(value).__name__
        raise InvalidInput(
            f"{run.path} is not a proof about a row: expected _type {TYPE}, found {str(found)[:80]!r}."
        )
    if not isinstance(value["claims"], list) or not isinstance(value["logged"], str):
        raise InvalidInput(f"{run.path}: a field has an unexpected form.")
    try:
        run.envelope = base64.b64decode(value["event"], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise InvalidInput(f"{run.path}: the event is not base64.") from error
    run.proof, run.side = value, str(value["side"])
    return f"{TYPE}, {len(value['claims'])} claims"


def _trust(run: _Run) -> str:
    if run.release is not None:
        verified = verification.check(run.release, key=run.key, seen=run.seen)
        run.warnings += verified.warnings
        if verified.failed is not None or verified.manifest is None:
            failed = verified.failed
            raise NotProven(
                f"the release does not verify: step {failed and failed.name}: {failed and failed.detail}"
            )
        run.manifest = verified.manifest
        folder = run.release / "keys"
        run.signers = tuple(_key(folder / f"{name}.pem") for name in run.manifest.signers)
        run.log_keys = (_key(folder / f"{run.manifest.ledger.key}.pem"),)
        run.origin = run.manifest.ledger.origin
        return f"the release of {run.manifest.project}, {run.manifest.made}"
    assert run.ledger is not None
    home = run.ledger if (run.ledger / "ledger").is_dir() else run.ledger.parent
    run.log_keys, run.signers = read_publics(home / "ledger.pub"), read_publics(home / "signing.pub")
    if run.key is not None and run.key.lower() not in {public.key_id for public in run.signers}:
        raise NotProven(f"the ledger's statements are signed by {run.signers[0].key_id}, expected {run.key}.")
    if run.key is None:
        run.warnings.append(
            "the signer's key is not pinned: it was read beside the ledger. Pass the key id that was published: --key."
        )
    run.log = Ledger.open(home / "ledger", publics=run.log_keys)
    run.origin = run.log.origin
    return f"{run.origin}, {run.log.size:,} entries"


def _ledger(run: _Run) -> str:
    unproven = statements.parse(dsse.decode(run.envelope, what="the event").payload)
    keys = [VerifierKey(run.origin, public) for public in run.log_keys]
    proof, checkpoint = tlogproof.open(run.proof["logged"].encode("utf-8"), entry_of(run.envelope, unproven), keys)
    if checkpoint.origin != run.origin:
        raise NotProven(f"the proof is of the ledger {checkpoint.origin!r}, expected {run.origin!r}.")
    run.index = proof.index
    return f"entry {proof.index} of {checkpoint.size:,}"


def _event(run: _Run) -> str:
    run.event = statements.open_attestation(run.envelope, run.signers, what="the event")
    told = run.event.predicate
    if run.event.predicate_type != statements.EVENT or told.get("event") != USED:
        raise NotProven(f"the event is {told.get('event')!r}, expected {USED!r}.")
    details = told["details"]
    if run.side not in details.get("rows", {}):
        raise NotProven(f"the event commits to no side {run.side[:40]!r}.")
    run.commitment = Commitment.read(details["rows"][run.side])
    run.role, run.models = str(details["role"]), {m["name"]: m["sha256"] for m in details["outputs"]}
    return f"the {run.role} model was trained on {told['time']}, {run.commitment.rows:,} {run.side} rows"


def _history(run: _Run) -> str:
    if run.release is not None:
        place = run.release / bundle.attestation_name(run.index)
        if not place.is_file() or place.read_bytes() != run.envelope:
            raise NotProven("the release holds no such event: it was made from another training.")
        return f"{place.name} of the release is this event"
    note = tlogproof.parse(run.proof["logged"].encode("utf-8")).checkpoint
    run.log.check_extends(note, run.log_keys[0])
    later = [
        index
        for index, data in enumerate(run.log.entries(run.index + 1), start=run.index + 1)
        if canonical.decode(data, what=f"entry {index}").get("kind") == USED
    ]
    if later:
        run.warnings.append(
            f"models were trained later too (entries {', '.join(map(str, later[:5]))}): this proof says nothing of them."
        )
    return "the ledger extends the proof's checkpoint"


def _model(run: _Run) -> str:
    if run.release is None:
        return (
            ", ".join(f"{name} {digest[:16]}" for name, digest in run.models.items()) + " (no release to compare)"
        )
    served = run.manifest.about.get(run.manifest.released)
    if served not in run.models.values():
        raise NotProven("the event is of another model than the release serves: ask for a proof about that one.")
    return f"{run.manifest.released}: {served}"


def _row(run: _Run) -> str:
    run.schema = Schema.read(run.proof["schema"])
    if run.schema.digest.hex() != run.commitment.schema:
        raise NotProven("the row's columns are not described as the event committed to.")
    try:
        run.features = run.schema.features(run.proof["row"])
    except UnknownCategoryError as error:
        if run.proof["unknown"] != error.column or run.proof["claims"]:
            raise NotProven("the proof does not say which value is unknown.") from error
        return f"no row of the set can have {error.value!r} as {error.column!r}"
    if run.proof["unknown"] is not None or not run.proof["claims"]:
        raise NotProven("the row has no value that the set does not know, and the proof claims so.")
    return f"{len(run.features)} bytes of features"


def _claim(run: _Run) -> str:
    if run.proof["unknown"] is not None:
        run.everywhere = True
        return "absent: a value that is not among the categories of the set"
    for claim in run.proof["claims"]:
        label = str(claim.get("label")) if isinstance(claim, dict) else ""
        digest = run.schema.row_digest(run.features, run.schema.class_index(label))
        if label in run.found:
            raise NotProven(f"two claims are about {label!r}.")
        run.found[label] = check(claim, digest, run.commitment)
    run.everywhere = run.found.keys() == set(run.schema.classes)
    if not run.everywhere and not any(run.found.values()):
        run.warnings.append(
            f"only {', '.join(map(repr, run.found))} was asked about: the row may be in the set under another label."
        )
    return "; ".join(f"{label!r}: {f'{count} times' if count else 'absent'}" for label, count in run.found.items())


def _key(path: Path) -> PublicKey:
    return PublicKey.from_pem(path.read_bytes())


_STEPS: tuple[tuple[str, Callable[[_Run], str]], ...] = (
    ("form", _form),
    ("trust", _trust),
    ("ledger", _ledger),
    ("event", _event),
    ("history", _history),
    ("model", _model),
    ("row", _row),
    ("claim", _claim),
)
