"""Read values of attestations, with a check of their types.

Predicates come from a verified ledger, but possibly from another version or tool: a value of another type counts as
absent, and an absent value is shown as "no evidence".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hauberk.core.evidence import Subject
from hauberk.custody.statements import EVENT, EVIDENCE, PROVENANCE, RELEASE, VSA
from hauberk.records.model import Attested

_HEX = re.compile(r"[0-9a-f]{64}")


def text(value: Mapping[str, Any], key: str) -> str:
    """Return a text of a JSON object, or ""."""
    found = value.get(key)
    return found if isinstance(found, str) else ""


def finite(value: object) -> float | None:
    """Return a JSON number as a float, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a JSON array, or none for anything else."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [item for item in value if isinstance(item, Mapping)]


@dataclass(frozen=True, slots=True)
class Measured:
    """Evidence as the report reads it, with its ledger entry."""

    entry: Attested

    @property
    def control(self) -> str:
        """The control that measured."""
        return text(self.entry.predicate, "control")

    @property
    def role(self) -> str:
        """The role of the subject: data, plain, hardened and so on."""
        return text(self.entry.predicate, "role")

    @property
    def practice(self) -> str:
        """The practice that the control serves."""
        return text(self.entry.predicate, "practice")

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of the control."""
        return mapping(self.entry.predicate.get("parameters"))

    @property
    def threat(self) -> Mapping[str, Any]:
        """The declared threat of the measurement, or an empty object."""
        return mapping(self.parameters.get("threat"))

    @property
    def label(self) -> str:
        """The name of that threat."""
        return text(self.threat, "label") or self.control

    @property
    def notes(self) -> list[str]:
        """Plain sentences that the control added."""
        found = self.entry.predicate.get("notes")
        return [note for note in found if isinstance(note, str)] if isinstance(found, Sequence) else []

    @property
    def metrics(self) -> dict[str, float]:
        """The finite metrics by name."""
        found = {name: finite(value) for name, value in mapping(self.entry.predicate.get("metrics")).items()}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        """The findings as JSON objects."""
        return mappings(self.entry.predicate.get("findings"))

    @property
    def outputs(self) -> dict[str, str]:
        """Artifact name to SHA-256."""
        found = mappings(self.entry.predicate.get("outputs"))
        return {text(output, "name"): text(mapping(output.get("digest")), "sha256") for output in found}

    def series(self, name: str) -> list[tuple[float, float]]:
        """Return a curve's points in order of x."""
        points = mappings(mapping(self.entry.predicate.get("series")).get(name))
        found = [(finite(point.get("x")), finite(point.get("y"))) for point in points]
        return sorted((x, y) for x, y in found if x is not None and y is not None)


def named_digests(value: object) -> frozenset[str]:
    """Return every string anywhere in a JSON value that is a SHA-256 (64 lower-case hex digits)."""
    if isinstance(value, str):
        return frozenset([value]) if _HEX.fullmatch(value) else frozenset()
    if isinstance(value, Mapping):
        return frozenset().union(*(named_digests(item) for item in value.values()))
    if isinstance(value, Sequence):
        return frozenset().union(*(named_digests(item) for item in value))
    return frozenset()


def about(entry: Attested) -> tuple[Subject, ...]:
    """Return the artifacts of an attestation: its subjects and the outputs of its evidence."""
    outputs = Measured(entry).outputs.items() if entry.predicate_type == EVIDENCE else ()
    return (*entry.subjects, *(Subject(name, digest) for name, digest in outputs if digest))


def kind(entry: Attested) -> str:
    """Return the kind of an attestation, in a word or two."""
    names = {PROVENANCE: "provenance", RELEASE: "release", VSA: "verdict"}
    if entry.predicate_type == EVIDENCE:
        measured = Measured(entry)
        return f"{measured.control or 'evidence'} · {measured.role}" if measured.role else measured.control
    if entry.predicate_type == EVENT:
        return text(entry.predicate, "event") or "event"
    return names.get(entry.predicate_type, entry.predicate_type)
