"""The page's sections as plain values; the template only lays them out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hauberk.core.errors import InvalidInput
from hauberk.core.findings import Place, Severity
from hauberk.core.practices import PRACTICES
from hauberk.custody.statements import EVIDENCE
from hauberk.records.model import Attested
from hauberk.records.view import Measured, finite, kind, mapping, text
from hauberk.report import examples, formats, plots
from hauberk.report.practices import PRACTICES_OF_EVENT, SEALED_RELEASE
from hauberk.report.reading import ROLES, Reading, Threat

SHOWN_FINDINGS = 60
"""Findings that a page shows, the most severe first; the ledger table leads to all of them."""
SHOWN_OF_A_CHECK = 6
"""Findings of one control that a page shows, so that findings of other controls are shown too."""


UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Badge:
    """A verdict in words, and its look: good, bad or none."""

    words: str
    look: str


@dataclass(frozen=True, slots=True)
class Found:
    """One finding, with the control that made it and the index of its entry."""

    severity: str
    what: str
    where: str
    measure: str
    advice: str
    control: str
    index: int


@dataclass(frozen=True, slots=True)
class Check:
    """One data check with its numbers; measured is None if it was not run."""

    name: str
    measured: Measured | None
    metrics: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the verdict.

    index: of the entry of its evidence, None if this ledger has none. recheck: what that entry says, if it differs from
    the verdict, else "".
    """

    rule: str
    value: str
    holds: bool
    reason: str
    index: int | None
    recheck: str


@dataclass(frozen=True, slots=True)
class Attack:
    """One threat: its plot (None: no evidence), what it is, examples by role, notes of the evaluations."""

    label: str
    description: str
    plot: Markup | None
    points: tuple[tuple[str, dict[str, str]], ...]
    examples: tuple[tuple[str, examples.Examples], ...]
    notes: tuple[str, ...]
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Practice:
    """One practice, and the indices of the entries that hold evidence of it."""

    id: str
    name: str
    controls: str
    indices: tuple[int, ...]


def badge(reading: Reading) -> Badge:
    """Return the verdict as attested, or that its own rules contradict it."""
    if reading.verdict is None:
        return Badge(formats.NO_EVIDENCE, "none")
    result = text(reading.verdict.predicate, "verificationResult")
    held = bool(reading.rules) and all(rule.get("holds") is True for rule in reading.rules)
    if result == "PASSED":
        return Badge("Release allowed", "good") if held else Badge("PASSED, against its own rules", "bad")
    return Badge("Release refused", "bad") if result == "FAILED" else Badge("Verdict not readable", "bad")


def rules(reading: Reading) -> tuple[Rule, ...]:
    """Return the rules of the verdict, with each value compared with the evidence that the rule names."""
    return tuple(_rule(reading, rule) for rule in reading.rules)


def _rule(reading: Reading, rule: Mapping[str, Any]) -> Rule:
    value, digest = finite(rule.get("value")), text(rule, "evidence")
    entry = reading.by_digest.get(digest)
    recheck = ""
    if digest and entry is None:
        recheck = f"evidence {formats.short(digest)} is not in this ledger"
    elif entry is not None and value is not None:
        stated = Measured(entry).metrics.get(text(rule, "metric").rpartition(".")[2])
        if stated != value:
            recheck = f"entry says {formats.NO_EVIDENCE if stated is None else formats.number(stated)}"
    return Rule(
        rule=text(rule, "rule"),
        value=formats.NO_EVIDENCE if value is None else formats.number(value),
        holds=rule.get("holds") is True,
        reason=text(rule, "reason"),
        index=entry.index if entry else None,
        recheck=recheck,
    )


def findings(measured: tuple[Measured, ...]) -> tuple[Found, ...]:
    """Return every finding of this evidence, the most severe first."""
    found = [_found(item, finding) for item in measured for finding in item.findings]
    return tuple(sorted(found, key=lambda f: -_rank(f.severity)))


def shown(found: tuple[Found, ...]) -> tuple[Found, ...]:
    """Return the findings that a page shows: some of each control, the most severe first."""
    taken: dict[int, int] = {}
    chosen = []
    for one in found:
        taken[one.index] = taken.get(one.index, 0) + 1
        if taken[one.index] <= SHOWN_OF_A_CHECK:
            chosen.append(one)
    return tuple(chosen[:SHOWN_FINDINGS])


def _rank(severity: str) -> int:
    # A severity that this version does not know is shown first: it may be worse than all that it knows.
    return len(Severity) if severity == UNKNOWN else Severity(severity).rank


def _where(told: object) -> str:
    """Return a place in words; "" for a value of another form."""
    try:
        return str(Place.read(told))
    except InvalidInput:
        return ""


def _found(measured: Measured, finding: Mapping[str, Any]) -> Found:
    value, limit, unit = finite(finding.get("value")), finite(finding.get("limit")), text(finding, "unit")
    told = [] if value is None else [f"{formats.number(value)} {unit}".strip()]
    told += [] if limit is None else [f"limit {formats.number(limit)}"]
    severity = text(finding, "severity")
    return Found(
        severity=severity if severity in set(Severity) else UNKNOWN,
        what=text(finding, "what"),
        where=_where(finding.get("where")),
        measure=", ".join(told),
        advice=text(finding, "advice"),
        control=measured.control,
        index=measured.entry.index,
    )


def checks(reading: Reading) -> tuple[Check, ...]:
    """Return the data checks with their metrics as text."""
    return tuple(Check(name, measured, _numbers(measured)) for name, measured in reading.checks)


def _numbers(measured: Measured | None) -> str:
    if measured is None:
        return ""
    return ", ".join(f"{name.replace('_', ' ')} {formats.number(v)}" for name, v in measured.metrics.items())


def attacks(reading: Reading, get: Callable[[str], bytes]) -> tuple[Attack, ...]:
    """Return each declared threat with the measurements under it."""
    return tuple(_attack(threat, place, get) for place, threat in enumerate(reading.threats))


def _attack(threat: Threat, place: int, get: Callable[[str], bytes]) -> Attack:
    plain, hardened = (examples.read(threat.by_role.get(role), get) for role in ROLES)
    return Attack(
        label=threat.label,
        description=formats.threat(threat.declared),
        plot=plots.accuracy_by_radius(threat, f"plot-{place}"),
        points=_points(threat),
        examples=(("plain", examples.beside(plain, hardened)), ("hardened", examples.beside(hardened, plain))),
        notes=tuple(dict.fromkeys(note for item in threat.by_role.values() for note in item.notes)),
        indices=tuple(sorted(item.entry.index for item in threat.by_role.values())),
    )


def _points(threat: Threat) -> tuple[tuple[str, dict[str, str]], ...]:
    """Return the plotted numbers as rows: radius, and accuracy by role."""
    lines = plots.curves(threat)
    radii = sorted({x for points in lines.values() for x, _ in points})
    told = {role: dict(points) for role, points in lines.items()}
    return tuple(
        (plots.at(x, threat.declared), {role: formats.percent(told[role][x]) for role in told if x in told[role]})
        for x in radii
    )


def practices(reading: Reading) -> tuple[Practice, ...]:
    """Return every practice; one without evidence in the ledger has no indices."""
    return tuple(_practice(reading, practice.id, practice.name) for practice in PRACTICES)


def _practice(reading: Reading, id_: str, name: str) -> Practice:
    told = [(item.control, item.entry.index) for item in reading.evidence if item.practice == id_]
    for event in reading.events:
        happened = text(event.predicate, "event")
        sealed = mapping(event.predicate.get("details")).get("sealed") is True
        if id_ in PRACTICES_OF_EVENT.get(happened, ()) or (sealed and (happened, id_) == SEALED_RELEASE):
            told.append((happened, event.index))
    return Practice(id_, name, ", ".join(dict.fromkeys(c for c, _ in told)), tuple(sorted(i for _, i in told)))


def versions(reading: Reading) -> tuple[tuple[str, str], ...]:
    """Return every version that took part in a measurement, by library."""
    found: dict[str, dict[str, None]] = {}
    for item in reading.evidence:
        stated = item.entry.predicate.get("versions")
        for name, version in stated.items() if isinstance(stated, Mapping) else ():
            found.setdefault(str(name), {})[str(version)] = None
    return tuple((name, ", ".join(found[name])) for name in sorted(found))


def seeds(reading: Reading) -> tuple[str, ...]:
    """Return the seed of each measurement, in the order of the ledger."""
    found = [(kind(item.entry), item.entry.predicate.get("seed")) for item in reading.current]
    return tuple(dict.fromkeys(f"{name} {seed}" for name, seed in found if type(seed) is int))


def facts(entry: Attested) -> str:
    """Return the predicate of an attestation as indented JSON; evidence without its long parts."""
    long = ("findings", "series", "outputs", "versions") if entry.predicate_type == EVIDENCE else ()
    stated = {key: value for key, value in entry.predicate.items() if key not in long}
    return json.dumps(stated, indent=2, sort_keys=True, ensure_ascii=False)
