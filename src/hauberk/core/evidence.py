"""Evidence: what one control measured over which artifacts. An unsigned fact; `custody.statements` signs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hauberk.core.findings import Finding
from hauberk.core.practices import check_practice, check_role
from hauberk.core.principal import Principal


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a control returns: numbers, findings and curves, with nothing of who ran it, when, or on what.

    metrics: name to number, finite; the gate reads these. findings: what a person should look at.
    series: name to a list of points, for plots ({"x": ..., "y": ...}). outputs: name to bytes that are kept as
    artifacts (example pictures, row indices). notes: plain sentences. files: name to a file, kept as outputs are, for
    what does not fit in memory. details: JSON values that a later run of the control reads back.
    """

    metrics: Mapping[str, float]
    findings: tuple[Finding, ...] = ()
    series: Mapping[str, list[dict[str, float]]] = field(default_factory=dict)
    outputs: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """An artifact by name and SHA-256 (hex)."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A measurement with its circumstances: enough to repeat it.

    control: registered name. practice: an id of `core.practices`, "" for none. role: what the subject is, of
    `core.practices.ROLES`, so that one control can measure two models. parameters: JSON values. seed: of every generator.
    versions: of Hauberk, Python and the libraries that computed. started, finished: RFC 3339 UTC.
    by: who ran the control.
    """

    control: str
    practice: str
    role: str
    subjects: tuple[Subject, ...]
    parameters: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    started: str
    finished: str
    by: Principal
    metrics: Mapping[str, float]
    findings: tuple[Finding, ...]
    series: Mapping[str, list[dict[str, float]]]
    outputs: tuple[Subject, ...]
    details: Mapping[str, Any]
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raise InvalidInput for a practice or a role that `core.practices` does not list."""
        check_practice(self.practice)
        check_role(self.role)

    def to_json(self) -> dict[str, Any]:
        """Return the predicate: everything but the subjects, which the in-toto statement carries."""
        return {
            "control": self.control,
            "practice": self.practice,
            "role": self.role,
            "parameters": dict(self.parameters),
            "seed": self.seed,
            "versions": dict(self.versions),
            "started": self.started,
            "finished": self.finished,
            "by": self.by.to_json(),
            "metrics": {name: float(value) for name, value in self.metrics.items()},
            "findings": [finding.to_json() for finding in self.findings],
            "series": {name: list(points) for name, points in self.series.items()},
            "outputs": [{"name": o.name, "digest": {"sha256": o.sha256}} for o in self.outputs],
            "details": dict(self.details),
            "notes": list(self.notes),
        }
