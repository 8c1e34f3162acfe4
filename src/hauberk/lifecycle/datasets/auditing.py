"""The audit job: every registered set is audited by the control `data-audit`, and each result is attested.

Each set's audit is one piece of evidence, signed and logged as soon as that set is done: a kill costs the set in hand, and
the next run audits all sets again. What an audit does and answers is said in `controls.audit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Subject
from hauberk.core.findings import Finding, Severity
from hauberk.core.progress import Progress, Task
from hauberk.data.manifest import Change, Manifest, compare
from hauberk.data.manifest.sampling import TableSample
from hauberk.lifecycle.controls import CONTROLS
from hauberk.lifecycle.controls import audit as audit_control
from hauberk.lifecycle.controls.audit import DRIFT, MANIFEST, Params, State
from hauberk.lifecycle.datasets import sets
from hauberk.lifecycle.datasets.sets import Registered
from hauberk.records import lineage, running
from hauberk.records.lineage import AUDIT, AUDITED, Transaction
from hauberk.records.workshop import Workshop

ROLE = "audit"


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
    """Audit the registered sets of the project in `folder`, or the named ones, and attest each. listener: called with each.

    Raises InvalidInput for a name that is not registered and when nothing is, NotProven when the ledger or a manifest
    was tampered with. Files that are missing or cannot be read are findings.
    """
    history = lineage.transactions(workshop.records)
    known = sets.registered(history, workshop.artifacts)
    for name in names:
        if name not in known:
            raise InvalidInput(f"no set is named {name[:80]!r}; registered: {', '.join(known) or 'none'}.")
    if not known:
        raise InvalidInput("no set is registered. Start with `hauberk data import FILES --name NAME`.")
    progress = progress or Progress(visible=False)
    found = []
    for name in names or known:
        params = Params(name, known[name].entry, screening)
        with progress.task(f"Auditing {name}") as task:
            found.append(_audit(workshop, known[name], history, folder, params, seed, task))
        if listener is not None:
            listener(found[-1])
    return found


def _audit(  # noqa: PLR0913, PLR0917 - a set, what is known of it, and how it is audited
    workshop: Workshop,
    known: Registered,
    history: Sequence[Transaction],
    folder: Path,
    params: Params,
    seed: int,
    task: Task,
) -> Audited:
    details, subject = known.details, Subject(known.name, known.manifest.root)
    inputs = audit_control.Audited(
        known.name,
        known.places(folder),
        State(known.manifest, known.entry),
        _Memory(workshop, known.name, history),
        sets.schema_of(workshop, known),
        str(details.get("target", "")),
        str(details.get("kind", "")),
        workshop.folder,
    )
    control = CONTROLS[AUDIT]
    measured = running.measure(control, inputs, params, role=ROLE, seed=seed, now=workshop.now, task=task)
    logged = workshop.attest(running.state(workshop, measured, (subject,)).statement)
    found = measured.measurement
    changed = found.outputs.get(MANIFEST)
    now = known.manifest if changed is None else Manifest.read(changed, what=f"the manifest of {known.name}")
    return Audited(
        known.name,
        str(found.details["root"]),
        logged.index,
        bool(found.metrics["unexplained"]),
        compare(known.manifest, now),
        found.findings,
        dict(found.metrics),
        found.notes,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Memory:
    """What the ledger knows about the set `name`; see `controls.audit.Memory`."""

    workshop: Workshop
    name: str
    history: Sequence[Transaction]

    def recorded(self, root: str) -> int | None:
        subject = Subject(self.name, root)
        return next((one.index for one in reversed(self.history) if subject in one.outputs), None)

    def standing(self, part: str, root: str) -> tuple[int, tuple[Finding, ...]] | None:
        last = self._evaluated(part)
        if last is None or _told(last)["root"] != root:
            return None
        return last.index, tuple(Finding.read(told) for told in _told(last)["evaluated"][part])

    def base(self, part: str, root: str) -> State | None:
        last = self._evaluated(part)
        before = None if last is None else str(_told(last)["root"])
        states = [
            one for one in self.history if one.details.get("set") == self.name and one.details.get("manifest")
        ]
        audited = [one for one in states if before in _roots(one)]
        others = [one for one in states if root not in _roots(one)]
        chosen = audited or (others if part == DRIFT or last is not None else [])
        # Only this one's manifest is read: a set that is imported each day has a thousand of them.
        found = sets.registered(chosen[-1:], self.workshop.artifacts).get(self.name)
        return None if found is None else State(found.manifest, found.entry)

    def sample(self, state: State) -> TableSample | None:
        (one,) = [one for one in self.history if one.index == state.entry]
        return sets.sample_of(self.workshop, sets.registered([one], self.workshop.artifacts)[self.name])

    def _evaluated(self, part: str) -> Transaction | None:
        """Return the last audit of the set that evaluated this part."""
        found = [
            one
            for one in self.history
            if one.event == AUDITED
            and one.details["parameters"].get("set") == self.name
            and part in _told(one).get("evaluated", {})
        ]
        return found[-1] if found else None


def _told(audit: Transaction) -> Mapping[str, Any]:
    """Return the details of an audit's evidence: the root that it read, and its findings by part."""
    told: Mapping[str, Any] = audit.details["details"]
    return told


def _roots(state: Transaction) -> set[str]:
    return {subject.sha256 for subject in state.outputs if subject.name == state.details["set"]}
