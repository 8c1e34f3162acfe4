"""The content of the attestations, read once for every part of the report.

Predicates come from a verified ledger but from any version or tool, so each value is taken only where it has the
type that is expected; what has not is absent, and what is absent is "no evidence".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hauberk.custody.statements import EVENT, EVIDENCE, PROVENANCE, RELEASE, RULINGS, VSA
from hauberk.records.model import Attested, Source
from hauberk.records.view import Measured, mapping, mappings, text

ROLES = ("plain", "hardened")
CHECKS = ("schema", "poisoning", "leakage")
SEALING = "sealing"


@dataclass(frozen=True, slots=True)
class Threat:
    """One declared threat and the evidence on it by role; `declared` is the threat as evidence states it."""

    label: str
    declared: Mapping[str, Any]
    by_role: Mapping[str, Measured]


class Reading:
    """The attestations of a source, sorted by their content.

    If the verdict names the attestations that it judged, the report is about these, and `later` holds the evidence
    that was logged after the verdict; otherwise the last evidence of each control, role and threat counts.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.by_digest = {entry.digest: entry for entry in source.attestations}
        self.evidence = tuple(Measured(entry) for entry in self._of(EVIDENCE))
        self.events = tuple(self._of(EVENT))
        self.provenance = tuple(self._of(PROVENANCE))
        self.releases = tuple(self._of(RELEASE))
        verdicts = tuple(self._of(VSA))
        self.verdict: Attested | None = verdicts[-1] if verdicts else None
        self.judged = _judged(self.verdict)
        self.current = _last_of_each(m for m in self.evidence if not self.judged or m.entry.digest in self.judged)
        self.later = tuple(m for m in self.evidence if self._unjudged(m))

    def _of(self, predicate_type: str) -> Iterator[Attested]:
        return (entry for entry in self.source.attestations if entry.predicate_type == predicate_type)

    def _unjudged(self, measured: Measured) -> bool:
        return self.verdict is not None and measured.entry.index > self.verdict.index

    def find(self, control: str, role: str) -> Measured | None:
        """Return the last evidence of a control on a role, or None."""
        found = [m for m in self.current if (m.control, m.role) == (control, role)]
        return found[-1] if found else None

    def on(self, role: str) -> tuple[Measured, ...]:
        """Return the evidence on a role."""
        return tuple(m for m in self.current if m.role == role)

    @property
    def checked(self) -> tuple[Measured, ...]:
        """The evidence of controls that examined the data; sealing is left out, because it only encrypts them."""
        return tuple(m for m in self.on("data") if m.control != SEALING)

    @property
    def checks(self) -> tuple[tuple[str, Measured | None], ...]:
        """The data checks: first the ones that every project has, measured or not, then all others."""
        others = dict.fromkeys(m.control for m in self.checked if m.control not in CHECKS)
        return tuple((name, self.find(name, "data")) for name in (*CHECKS, *others))

    @property
    def threats(self) -> tuple[Threat, ...]:
        """The threats under which models were attacked, in the order of the ledger."""
        attacked = [m for m in self.current if m.role in ROLES and (m.control == "evasion" or m.threat)]
        found: dict[str, dict[str, Measured]] = {}
        for measured in attacked:
            found.setdefault(measured.label, {})[measured.role] = measured
        return tuple(
            Threat(label, next(reversed(by_role.values())).threat, by_role) for label, by_role in found.items()
        )

    @property
    def rules(self) -> list[Mapping[str, Any]]:
        """The rules of the verdict."""
        return mappings(self.verdict.predicate.get(RULINGS)) if self.verdict else []

    @property
    def release(self) -> Attested | None:
        """The release that this verdict allowed: the last release statement after the verdict."""
        after = -1 if self.verdict is None else self.verdict.index
        told = [*self.releases, *(e for e in self.events if text(e.predicate, "event").startswith("release."))]
        found = sorted((entry for entry in told if entry.index > after), key=lambda entry: entry.index)
        return found[-1] if found else None

    def events_named(self, *prefixes: str) -> tuple[Attested, ...]:
        """Return the events whose name starts with one of `prefixes`."""
        return tuple(entry for entry in self.events if text(entry.predicate, "event").startswith(prefixes))


def _judged(verdict: Attested | None) -> frozenset[str]:
    """Return the envelope digests that a verdict names as its inputs (SLSA VSA v1, `inputAttestations`)."""
    if verdict is None:
        return frozenset()
    inputs = mappings(verdict.predicate.get("inputAttestations"))
    return frozenset(text(mapping(item.get("digest")), "sha256") for item in inputs) - {""}


def _last_of_each(measured: Iterable[Measured]) -> tuple[Measured, ...]:
    found: dict[tuple[str, str, str], Measured] = {}
    for item in measured:
        key = (item.control, item.role, item.label)
        found.pop(key, None)
        found[key] = item
    return tuple(found.values())
