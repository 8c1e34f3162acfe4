"""Audit: a registered set is read again; are its files what was recorded, and do its rows still look honest?

    1. integrity    every file is hashed and compared with the manifest that was recorded last; differences are located. A
                    change that no transaction recorded is a critical finding
    2. schema       if a schema file was registered, the table is verified against it
    3. drift        against a sample of the state in which drift was measured before
    4. screening    if a target was registered: rows that look like poison, among those new since the last screening

Drift and screening depend on the state alone: while nothing changes, each further audit repeats the earlier findings without
computing them again. A part that could not be evaluated is a finding, never a pass.

Answers: data changed, added or removed without a record. Does not answer: a change that somebody with the signing key recorded;
the history shows it, with their name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic

import numpy as np

from hauberk.core.control import seed_of
from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.core.evidence import Measurement
from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.core.progress import Task
from hauberk.data.manifest import build, compare
from hauberk.data.manifest.items import ChangedError
from hauberk.lifecycle.controls import CONTROLS
from hauberk.lifecycle.controls._audit_content import screen_new, verify_schema
from hauberk.lifecycle.controls._audit_drift import drift_since
from hauberk.lifecycle.controls._audited import Audited, Look, Memory, State

__all__ = ["DRIFT", "MANIFEST", "SCREENING", "Audited", "Memory", "Params", "State", "run"]

DRIFT, SCREENING = "drift", "screening"
MANIFEST = "manifest.json"
_PROOF_OF = {DRIFT: "drift_measures", SCREENING: "screened"}  # the metric that is present when a part was evaluated
_LISTED = 200  # changes that become findings of their own


@dataclass(frozen=True, slots=True)
class Params:
    """set: its registered name. recorded: the ledger entry of the state that it is compared with."""

    set: str = field(default="", metadata={"help": "the registered set"})
    recorded: int = field(default=0, metadata={"help": "the ledger entry of the state that was recorded last"})
    screening: bool = field(default=True, metadata={"help": "screen new rows for poison"})


@CONTROLS.register(
    "data-audit",
    practice="1a",
    threats=("poisoning",),
    summary="a registered set read again: integrity, schema, drift, poison among new rows",
    params=Params,
)
def run(inputs: Audited, params: Params, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Audit one set. Outputs: manifest.json when the set changed.

    Details: `root` of the set as it is, and `evaluated`, the findings of each part that later audits may repeat. Raises
    NotProven when a recorded manifest was tampered with. Files that are missing or cannot be read are findings.
    """
    started, look = monotonic(), Look(inputs)
    _integrity(look, task)
    if look.now is not None:
        root, seed = look.now.root, seed_of(rng)
        _tried(look, "schema", lambda: verify_schema(look))
        _once(look, DRIFT, lambda: drift_since(look, inputs.memory.base(DRIFT, root)))
        if params.screening:
            _once(
                look,
                SCREENING,
                lambda: screen_new(look, inputs.memory.base(SCREENING, root), seed=seed, task=task),
            )
    look.metrics["seconds"] = monotonic() - started
    return Measurement(
        look.metrics,
        findings=tuple(look.findings),
        outputs={MANIFEST: look.now.to_bytes()} if look.now is not None and look.changes else {},
        notes=tuple(look.notes),
        details={
            "root": inputs.state.manifest.root if look.now is None else look.now.root,
            "evaluated": {part: [one.to_json() for one in found] for part, found in look.standing.items()},
        },
    )


def _integrity(look: Look, task: Task) -> None:
    """Hash every file, whatever its size and time say, and compare with the manifest that was recorded last."""
    recorded = look.of.state.manifest
    look.metrics["unexplained"] = 0.0
    try:
        built = build(look.of.places, earlier=recorded, task=task)
    except HauberkError as error:
        gone = isinstance(error, InvalidInput) and not isinstance(error, ChangedError)
        look.metrics["unexplained"] = float(gone)
        look.findings.append(
            Finding(
                f"the set cannot be read: {error}",
                Place(Kind.SET, look.of.name),
                Severity.CRITICAL if gone else Severity.HIGH,
                "Restore the files from a copy, or import the set again from where it is now."
                if gone
                else "Run the audit again: it says nothing about this set until all of it can be read.",
                threat="poisoning",
            )
        )
        return
    look.now = replace(built.manifest, places=recorded.places)
    look.changes = compare(recorded, look.now)
    look.metrics |= {
        "files": float(len(look.now.files)),
        "bytes": float(look.now.size),
        "hashed": float(built.hashed),
        "changes": float(len(look.changes)),
    }
    if not look.changes:
        return
    look.metrics["unexplained"] = 1.0
    earlier = look.of.memory.recorded(look.now.root)
    advice = (
        f"This is an older state, recorded as entry {earlier}: find out who put it back."
        if earlier is not None
        else f"If it was meant, record it: hauberk data import ... --name {look.of.name!r}. If not, restore the files."
    )
    for change in look.changes[:_LISTED]:
        what = f"{change}, and no transaction since entry {look.of.state.entry} explains it"
        look.findings.append(
            Finding(what, Place(Kind.FILE, change.file), Severity.CRITICAL, advice, threat="poisoning")
        )
    if len(look.changes) > _LISTED:
        look.notes.append(f"{len(look.changes):,} parts changed; {_LISTED} are listed.")


def _tried(look: Look, what: str, work: Callable[[], str]) -> None:
    """Run one part of the audit; an error of it is a finding, and the other parts go on."""
    try:
        note = work()
    except HauberkError as error:
        advice = "The audit says nothing about this part until it can be evaluated."
        look.findings.append(
            Finding(f"{what} could not be evaluated: {error}", Place(Kind.SET, look.of.name), Severity.HIGH, advice)
        )
    else:
        if note:
            look.notes.append(note)


def _once(look: Look, part: str, work: Callable[[], str]) -> None:
    """Run a part that depends on the state alone, or repeat the findings of an earlier audit of this very state."""
    assert look.now is not None
    before = look.of.memory.standing(part, look.now.root)
    if before is not None:
        entry, findings = before
        look.standing[part] = list(findings)
        look.findings += findings
        look.notes.append(
            f"Nothing changed since {part} was evaluated at entry {entry}; its findings are repeated."
        )
        return
    known = len(look.findings)
    _tried(look, part, work)
    if _PROOF_OF[part] in look.metrics:  # it was evaluated: it neither lacked something nor failed
        look.standing[part] = look.findings[known:]
