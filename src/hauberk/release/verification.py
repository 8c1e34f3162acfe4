"""Verify a release offline, in a written order, trusting nothing that an earlier step has not proven.

| step | holds | the attack that it stops |
| --- | --- | --- |
| 1 layout | plain files only, and a manifest in canonical bytes | links out of the folder, rewritten encodings |
| 2 signature | the manifest is signed, by the pinned key when one is given | a manifest by somebody else |
| 3 files | the files are exactly the manifest's, byte for byte | a changed, missing, added or swapped file |
| 4 checkpoint | the ledger's key signed the tree head | an invented ledger |
| 5 inclusion | every attestation is in that tree | evidence that was never logged |
| 6 attestations | each is signed, and says what its ledger entry says | forged or altered evidence |
| 7 verdict | the gate's rules hold again, from the attestations alone | a verdict without its evidence |
| 8 model | the model is the one that the evidence is about | a good report beside another model |
| 9 freshness | the tree extends the newest one seen here | roll-back to an older release that nobody signed, a forked ledger |

Needs the light core alone. Does not answer: a signer who lies about what was measured, or a stolen signing key.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hauberk.core import canonical
from hauberk.core.errors import HauberkError, InvalidInput, NotProven
from hauberk.core.principal import Principal
from hauberk.custody import dsse, gate, statements
from hauberk.custody.entries import entry_of
from hauberk.custody.keys.port import KeyService, PublicKey
from hauberk.custody.ledger import Checkpoint, VerifierKey, check_consistent, open_checkpoint, tlogproof
from hauberk.custody.seen import Seen
from hauberk.custody.statements import Statement
from hauberk.release import bundle

R = TypeVar("R")
_SMALL = 64 * 1024 * 1024  # largest manifest, attestation or proof, in bytes; models are streamed


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered step. ok: whether it held, None when it was not reached. detail: what was checked."""

    number: int
    name: str
    ok: bool | None
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form of `hauberk verify --json`."""
        return {"number": self.number, "name": self.name, "ok": self.ok, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Verification:
    """All steps of one verification, in order, and the manifest once it was proven."""

    release: Path
    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()
    manifest: bundle.Manifest | None = None

    @property
    def ok(self) -> bool:
        """Whether every step held."""
        return all(step.ok for step in self.steps)

    @property
    def failed(self) -> Step | None:
        """The step that did not hold, or None."""
        return next((step for step in self.steps if step.ok is False), None)

    def to_json(self) -> dict[str, Any]:
        """Return the document of `hauberk verify --json`."""
        return {
            "ok": self.ok,
            "release": str(self.release),
            "failed": None if self.failed is None else self.failed.name,
            "warnings": list(self.warnings),
            "steps": [step.to_json() for step in self.steps],
        }


def verify(
    release: Path | str,
    *,
    key: PublicKey | str | None = None,
    keys: KeyService | None = None,
    seen: Seen | None = None,
) -> Verification:
    """Return the verification of a release that holds; raise NotProven naming the step that does not.

    key: the signer's public key, or its key id, obtained from somebody you trust; None accepts whatever key the
    release brings, with a warning. keys: opens a sealed model, so that its plain bytes are checked too. seen: the
    memory of checkpoints (default: this user's). Raises InvalidInput when there is no such folder. Reads every
    byte of the folder once.
    """
    verification = check(release, key=key, keys=keys, seen=seen)
    failed = verification.failed
    if failed is not None:
        raise NotProven(f"{release}: step {failed.number} ({failed.name}) failed: {failed.detail}")
    return verification


def check(
    release: Path | str,
    *,
    key: PublicKey | str | None = None,
    keys: KeyService | None = None,
    seen: Seen | None = None,
) -> Verification:
    """Do what `verify` does, but return a failed step instead of raising it."""
    folder = Path(release)
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a release: expected a folder with {bundle.MANIFEST}.")
    run = _Run(folder, key, keys, Seen() if seen is None else seen)
    steps = in_order(_STEPS, run)
    return Verification(folder, steps, tuple(run.warnings), run.manifest if steps[1].ok else None)


def in_order(steps: Sequence[tuple[str, Callable[[R], str]]], run: R) -> tuple[Step, ...]:
    """Run named steps in order until one raises; return the result of each. run: the state that they share.

    A step returns what it checked. A step that raises HauberkError or OSError has failed; later steps are not reached.
    """
    done: list[Step] = []
    for number, (name, step) in enumerate(steps, start=1):
        if done and not done[-1].ok:
            done.append(Step(number, name, None, "not reached"))
            continue
        try:
            done.append(Step(number, name, ok=True, detail=step(run)))
        except (HauberkError, OSError) as error:
            done.append(Step(number, name, ok=False, detail=str(error)))
    return tuple(done)


class _Run:
    """The state that the steps share: each attribute is set by the step that proved it."""

    def __init__(self, folder: Path, key: PublicKey | str | None, keys: KeyService | None, seen: Seen) -> None:
        self.folder, self.key, self.keys, self.seen = folder, key, keys, seen
        self.warnings: list[str] = []
        self.files: set[str] = set()
        self.subjects: dict[str, str] = {}
        self.manifest: bundle.Manifest
        self.signers: tuple[PublicKey, ...]
        self.ledger: PublicKey
        self.checkpoint: Checkpoint
        self.statements: dict[int, tuple[str, Statement]] = {}

    def read(self, name: str) -> bytes:
        path = self.folder / name
        if path.stat().st_size > _SMALL:
            raise NotProven(f"{name} is larger than {_SMALL} bytes, which no such file is.")
        return path.read_bytes()

    def bundled_key(self, key_id: object) -> PublicKey:
        name = f"keys/{key_id}.pem"
        if name not in self.files:
            raise NotProven(f"the verifying key {str(key_id)[:64]} is not in keys/.")
        public = PublicKey.from_pem(self.read(name))
        if public.key_id != key_id:
            raise NotProven(f"{name} holds another key: {public.key_id}.")
        return public

    @property
    def indices(self) -> list[int]:
        names = [name for name in self.subjects if name.startswith("attestations/")]
        try:
            indices = sorted(int(Path(name).stem) for name in names)
        except ValueError as error:
            raise NotProven("an attestation is not named by its ledger index.") from error
        if {bundle.attestation_name(index) for index in indices} != set(names):
            raise NotProven("an attestation is not named by its ledger index.")
        return indices


def _layout(run: _Run) -> str:
    for path in sorted(run.folder.rglob("*")):
        name = path.relative_to(run.folder).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            if not any(path.iterdir()):
                raise NotProven(f"{name}/ is an empty folder that no release has.")
        elif stat.S_ISREG(mode):
            run.files.add(name)
        else:
            raise NotProven(f"{name} is a link or a device; a release holds plain files only.")
    if bundle.MANIFEST not in run.files:
        raise NotProven(f"{bundle.MANIFEST} is missing.")
    data = run.read(bundle.MANIFEST)
    if not dsse.is_canonical(data):
        raise NotProven(f"{bundle.MANIFEST} is not in canonical bytes: it was edited after it was signed.")
    return f"{len(run.files)} files"


def _signature(run: _Run) -> str:
    envelope = dsse.decode(run.read(bundle.MANIFEST), what=bundle.MANIFEST)
    unproven = statements.parse(envelope.payload)
    if unproven.predicate_type != statements.RELEASE:
        raise NotProven(f"the manifest is a {unproven.predicate_type}, expected {statements.RELEASE}.")
    run.manifest = bundle.Manifest.read(unproven.predicate)
    run.signers = tuple(run.bundled_key(key_id) for key_id in run.manifest.signers)
    _pinned(run)
    signer = run.signers[0]
    if len(envelope.signatures) != 1 or envelope.signatures[0].keyid != signer.key_id:
        raise NotProven("the manifest names another key than the one that signed it.")
    dsse.verify(envelope, (signer,))
    run.subjects = {subject.name: subject.sha256 for subject in unproven.subjects}
    return f"signed by {signer.key_id}" + ("" if run.key else " (not pinned)")


def _pinned(run: _Run) -> None:
    found = run.signers[0].key_id
    if run.key is None:
        run.warnings.append(
            "the signer's key is not pinned: this proves that the release is whole, not who made it. "
            f"Ask the maker for the key id and pass it: --key {found}"
        )
        return
    expected = run.key if isinstance(run.key, str) else run.key.key_id
    if expected.lower() != found:
        raise NotProven(f"signed by key {found}, expected {expected}.")


def _files(run: _Run) -> str:
    present, listed = run.files - {bundle.MANIFEST}, set(run.subjects)
    if listed - present:
        raise NotProven(f"{min(listed - present)} is missing.")
    if present - listed:
        raise NotProven(f"{min(present - listed)} is not in the manifest: it was added.")
    for name, expected in run.subjects.items():
        with (run.folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise NotProven(f"{name} was changed: its SHA-256 is {found}, the manifest says {expected}.")
    return f"{len(listed)} digests"


def _checkpoint(run: _Run) -> str:
    ledger = run.manifest.ledger
    run.ledger = run.bundled_key(ledger.key)
    run.checkpoint = open_checkpoint(run.read(bundle.CHECKPOINT), [run.ledger], what=bundle.CHECKPOINT)
    if (run.checkpoint.origin, run.checkpoint.size) != (ledger.origin, ledger.size):
        raise NotProven(
            f"the checkpoint is of {run.checkpoint.origin} with {run.checkpoint.size} entries, "
            f"the manifest says {ledger.origin} with {ledger.size}."
        )
    return f"{run.checkpoint.origin}, {run.checkpoint.size} entries"


def _inclusion(run: _Run) -> str:
    for index in run.indices:
        envelope = run.read(bundle.attestation_name(index))
        statement = statements.parse(dsse.decode(envelope, what=bundle.attestation_name(index)).payload)
        if bundle.proof_name(index) not in run.files:
            raise NotProven(f"{bundle.proof_name(index)} is missing.")
        log = VerifierKey(run.checkpoint.origin, run.ledger)
        proof, head = tlogproof.open(run.read(bundle.proof_name(index)), entry_of(envelope, statement), [log])
        if (proof.index, head) != (index, run.checkpoint):
            raise NotProven(f"{bundle.proof_name(index)} proves entry {proof.index} of another checkpoint.")
    return f"{len(run.indices)} proofs"


def _attestations(run: _Run) -> str:
    for index in run.indices:
        name = bundle.attestation_name(index)
        envelope = run.read(name)
        run.statements[index] = (
            canonical.sha256(envelope),
            statements.open_attestation(envelope, run.signers, what=name),
        )
    return f"{len(run.statements)} attestations"


def _verdict(run: _Run) -> str:
    digest_and_verdict = run.statements.get(run.manifest.verdict)
    if digest_and_verdict is None or digest_and_verdict[1].predicate_type != statements.VSA:
        raise NotProven("the manifest names no verdict of the gate.")
    predicate = digest_and_verdict[1].predicate
    said = statements.rulings_of(predicate)
    exhibits = [
        gate.Exhibit(digest, frozenset(s.sha256 for s in statement.subjects), statement.predicate)
        for digest, statement in run.statements.values()
        if statement.predicate_type == statements.EVIDENCE
    ]
    rules = [gate.Rule.read(ruling) for ruling in said]
    again = gate.evaluate(rules, exhibits, about=run.manifest.about, released=run.manifest.released)
    if not again.allowed or predicate.get("verificationResult") != "PASSED":
        raise NotProven("the gate's rules do not hold on the attestations in this release.")
    if [ruling.to_json() for ruling in again.rulings] != said:
        raise NotProven("the attestations give another ruling than the verdict says.")
    return f"{len(rules)} rules hold"


def _model(run: _Run) -> str:
    models = {model.name: model for model in run.manifest.models}
    served = models.get(bundle.SERVED)
    if served is None or served.sha256 != run.manifest.about.get(run.manifest.released):
        raise NotProven(f"{bundle.SERVED} is not the model that the evidence is about.")
    opened = 0
    for model in models.values():
        file = model.name + (bundle.SEALED_SUFFIX if model.sealed else "")
        if file not in run.subjects or (not model.sealed and run.subjects[file] != model.sha256):
            raise NotProven(f"{file} is not the model that the manifest names.")
        if model.sealed and run.keys is not None:
            _open_sealed(run, run.keys, model)
            opened += 1
    sealed = sum(model.sealed for model in models.values())
    return f"{', '.join(models)} " + (f"({sealed} sealed, {opened} opened and compared)" if sealed else "(plain)")


def _open_sealed(run: _Run, keys: KeyService, model: bundle.Model) -> None:
    from hauberk.custody import sealing

    data = (run.folder / (model.name + bundle.SEALED_SUFFIX)).read_bytes()
    plain = sealing.unseal_bytes(data, keys, associated=bundle.sealed_context(model.name))
    if canonical.sha256(plain) != model.sha256:
        raise NotProven(f"the sealed {model.name} holds another model than the evidence is about.")


def _freshness(run: _Run) -> str:
    origin = run.checkpoint.origin
    returned = _returned(run)
    known = run.seen.get(origin)
    if known is not None:
        before = open_checkpoint(known, [run.ledger], what="the checkpoint seen before")
        proofs = bundle.read_consistency(run.read(bundle.CONSISTENCY))
        check_consistent(before, run.checkpoint, proofs.get(before.size, ()))
    try:
        run.seen.record(origin, run.read(bundle.CHECKPOINT))
    except HauberkError as error:
        run.warnings.append(f"this checkpoint could not be remembered, so a later roll-back would pass: {error}")
    seen = "first checkpoint seen of this ledger" if known is None else "extends the newest checkpoint seen here"
    return seen + returned


def _returned(run: _Run) -> str:
    """Return who went back to this model and why, where the manifest says that somebody did."""
    entry = run.manifest.restores
    if entry is None:
        return ""
    _, statement = run.statements.get(entry, ("", None))
    predicate = {} if statement is None else statement.predicate
    models = {model.sha256 for model in run.manifest.models}
    if (
        statement is None
        or statement.predicate_type != statements.EVENT
        or predicate.get("event") != bundle.ROLLED_BACK
        or not models <= {subject.sha256 for subject in statement.subjects}
    ):
        raise NotProven(f"the manifest says that entry {entry} went back to this model, and that entry does not.")
    details = predicate.get("details", {})
    by = ascii(str(Principal.read(predicate.get("by"))))[1:-1][:120]
    reason = ascii(str(details.get("reason", "")))[1:-1][:120]
    return f"; rolled back on purpose to release {details.get('to')}, entry {entry}, by {by}: {reason}"


_STEPS: tuple[tuple[str, Callable[[_Run], str]], ...] = (
    ("layout", _layout),
    ("signature", _signature),
    ("files", _files),
    ("checkpoint", _checkpoint),
    ("inclusion", _inclusion),
    ("attestations", _attestations),
    ("verdict", _verdict),
    ("model", _model),
    ("freshness", _freshness),
)
