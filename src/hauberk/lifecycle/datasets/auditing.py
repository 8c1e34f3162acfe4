"""The audit: every registered set looked at again, and each look attested.

    1. integrity    the files are hashed, all of them, and held against the manifest that was recorded last; what
                    differs is located. A change that no transaction recorded is an alarm: a critical finding.
    2. schema       where a schema file was registered, the table is verified against it
    3. drift        against a sample of the state in which drift was measured before
    4. screening    where a target was registered: rows that look like poison, among what is new since the last screening

Drift and screening of a state are not repeated: while nothing changes, what they found stands, in each further audit.

Each set's audit is one evidence, signed and logged as soon as that set is done: a kill costs the set in hand, and the
next run audits all again. What could not be evaluated is a finding, never a pass.

Answers: data changed, added or removed behind the back of those who use them. Does not answer: a change that somebody
with the signing key recorded; it is in the history, with their name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.core.evidence import Measurement, Subject
from hauberk.core.findings import Finding, Severity
from hauberk.core.progress import Progress, Task
from hauberk.data.manifest import Change, build, compare
from hauberk.data.manifest.items import ChangedError
from hauberk.lifecycle.datasets import sets
from hauberk.lifecycle.datasets.auditing_content import Look, screen_new, verify_schema
from hauberk.lifecycle.datasets.auditing_drift import drift_since
from hauberk.lifecycle.datasets.sets import Registered
from hauberk.records import lineage
from hauberk.records.lineage import AUDIT, AUDITED, Transaction
from hauberk.records.workshop import SIGNING, Logged, Workshop

ROLE = "audit"
DRIFT, SCREENING = "drift", "screening"
_PROOF_OF = {DRIFT: "drift_measures", SCREENING: "screened"}  # the metric that is there when a part was evaluated
_LISTED = 200  # changes that become findings of their own


@dataclass(frozen=True, slots=True)
class Audited:
    """The audit of one set. entry: of its evidence in the ledger. unexplained: a change that nobody recorded."""

    name: str
    root: str
    entry: int
    unexplained: bool
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    metrics: dict[str, float]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing of severity high or above was found."""
        return not any(finding.severity.rank >= Severity.HIGH.rank for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the audit for machines."""
        return {
            "set": self.name,
            "ok": self.ok,
            "root": self.root,
            "entry": self.entry,
            "unexplained": self.unexplained,
            "changes": [change.to_json() for change in self.changes],
            "findings": [finding.to_json() for finding in self.findings],
            "metrics": dict(self.metrics),
            "notes": list(self.notes),
        }


def audit(  # noqa: PLR0913 - what is audited, and how
    workshop: Workshop,
    *,
    folder: Path,
    names: Sequence[str] = (),
    screening: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
    listener: Callable[[Audited], None] | None = None,
) -> list[Audited]:
    """Audit the registered sets of the project in `folder`, or those named; attest each. listener: told of each.

    Raises InvalidInput for a name that is not registered and when nothing is, NotProven when the ledger or a manifest
    was tampered with. Files that are missing or cannot be read are findings.
    """
    history = lineage.transactions(workshop.ledger, workshop.artifacts, workshop.keys.publics(SIGNING))
    known = sets.registered(history, workshop.artifacts)
    for name in names:
        if name not in known:
            raise InvalidInput(f"no set is named {name[:80]!r}; registered: {', '.join(known) or 'none'}.")
    if not known:
        raise InvalidInput("no set is registered. Start with `hauberk data import FILES --name NAME`.")
    progress = progress or Progress(visible=False)
    found = []
    for name in names or known:
        with progress.task(f"Auditing {name}") as task:
            found.append(_audit(workshop, known[name], history, folder, screening=screening, seed=seed, task=task))
        if listener is not None:
            listener(found[-1])
    return found


def _audit(  # noqa: PLR0913 - as above
    workshop: Workshop,
    known: Registered,
    history: Sequence[Transaction],
    folder: Path,
    *,
    screening: bool,
    seed: int,
    task: Task,
) -> Audited:
    started, clock = workshop.now(), monotonic()
    look = Look(known, known.places(folder))
    _integrity(look, history, task)
    root = known.manifest.root if look.now is None else look.now.root
    if look.now is not None:
        _tried(look, "schema", lambda: verify_schema(look, workshop))
        base = _base(workshop, history, known, root, DRIFT)
        _once(look, history, DRIFT, lambda: drift_since(look, workshop, base))
        if screening:
            since = _base(workshop, history, known, root, SCREENING)
            _once(look, history, SCREENING, lambda: screen_new(look, since, seed=seed, task=task))
    look.metrics["seconds"] = monotonic() - clock
    logged = _attest(workshop, look, root, started, seed)
    return Audited(
        known.name,
        root,
        logged.index,
        bool(look.metrics["unexplained"]),
        look.changes,
        tuple(look.findings),
        look.metrics,
        tuple(look.notes),
    )


def _integrity(look: Look, history: Sequence[Transaction], task: Task) -> None:
    """Hash everything and compare; size and time are not believed."""
    recorded = look.known.manifest
    look.metrics["unexplained"] = 0.0
    try:
        built = build(look.places, earlier=recorded, task=task)
    except HauberkError as error:
        gone = isinstance(error, InvalidInput) and not isinstance(error, ChangedError)
        look.metrics["unexplained"] = float(gone)
        look.findings.append(
            Finding(
                f"the set cannot be read: {error}",
                look.known.name,
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
    told = Subject(look.known.name, look.now.root)
    earlier = [one.index for one in history if told in one.outputs]
    advice = (
        f"This is an older state, recorded as entry {earlier[-1]}: find out who put it back."
        if earlier
        else f"If it was meant, record it: hauberk data import ... --name {look.known.name!r}. If not, restore the files."
    )
    for change in look.changes[:_LISTED]:
        what = f"{change}, and no transaction since entry {look.known.entry} explains it"
        look.findings.append(Finding(what, change.file, Severity.CRITICAL, advice, threat="poisoning"))
    if len(look.changes) > _LISTED:
        look.notes.append(f"{len(look.changes):,} parts changed; {_LISTED} are listed.")


def _tried(look: Look, what: str, work: Callable[[], str]) -> None:
    """Run one part of the audit; an error of it is a finding, and the other parts go on."""
    try:
        note = work()
    except HauberkError as error:
        advice = "The audit says nothing about this part until it can be evaluated."
        look.findings.append(
            Finding(f"{what} could not be evaluated: {error}", look.known.name, Severity.HIGH, advice)
        )
    else:
        if note:
            look.notes.append(note)


def _once(look: Look, history: Sequence[Transaction], what: str, work: Callable[[], str]) -> None:
    """Run a part of the audit that depends on the state alone, or let stand what an earlier audit found in this state."""
    assert look.now is not None
    last = _evaluated(history, look.known.name, what)
    if last is not None and last.details["parameters"]["root"] == look.now.root:
        look.standing[what] = [_finding(told) for told in last.details["parameters"]["evaluated"][what]]
        look.findings += look.standing[what]
        look.notes.append(f"Nothing changed since {what} at entry {last.index}: what it found stands.")
        return
    before = len(look.findings)
    _tried(look, what, work)
    if _PROOF_OF[what] in look.metrics:  # it was evaluated: neither left out for want of something nor failed
        look.standing[what] = look.findings[before:]


def _evaluated(history: Sequence[Transaction], name: str, what: str) -> Transaction | None:
    """Return the last audit of a set that evaluated this part."""
    found = [
        one
        for one in history
        if one.event == AUDITED
        and one.details["parameters"].get("set") == name
        and what in one.details["parameters"].get("evaluated", {})
    ]
    return found[-1] if found else None


def _finding(told: dict[str, Any]) -> Finding:
    return Finding(**{**told, "severity": Severity(told["severity"])})


def _base(
    workshop: Workshop, history: Sequence[Transaction], known: Registered, root: str, what: str
) -> Registered | None:
    """Return the recorded state that this part compares with: that of its last evaluation, or else the last other."""
    last = _evaluated(history, known.name, what)
    before = None if last is None else str(last.details["parameters"]["root"])
    states = [one for one in history if one.details.get("set") == known.name and one.details.get("manifest")]
    audited = [one for one in states if before in _roots(one)]
    others = [one for one in states if root not in _roots(one)]
    chosen = audited or (others if what == DRIFT or last is not None else [])
    # Only this one's manifest is read: a set that is imported each day has a thousand of them.
    return sets.registered(chosen[-1:], workshop.artifacts).get(known.name)


def _roots(state: Transaction) -> set[str]:
    return {subject.sha256 for subject in state.outputs if subject.name == state.details["set"]}


def _attest(workshop: Workshop, look: Look, root: str, started: str, seed: int) -> Logged:
    known = look.known
    outputs = {"manifest.json": look.now.to_bytes()} if look.now is not None and look.changes else {}
    measurement = Measurement(look.metrics, findings=tuple(look.findings), outputs=outputs, notes=tuple(look.notes))
    statement = workshop.evidence(
        measurement,
        control=AUDIT,
        practice="1a",
        role=ROLE,
        subjects=(Subject(known.name, known.manifest.root),),
        parameters={
            "set": known.name,
            "root": root,
            "recorded": known.entry,
            "evaluated": {what: [one.to_json() for one in findings] for what, findings in look.standing.items()},
        },
        seed=seed,
        started=started,
    )
    return workshop.attest(statement)
