"""The practices that a report lists, in order, whether or not anything was measured for them."""

from __future__ import annotations

PRACTICES: tuple[tuple[str, str], ...] = (
    ("1a", "Data verification"),
    ("1b", "Data encryption"),
    ("1c", "Access control"),
    ("2a", "Defensive training"),
    ("2b", "Regular model updates"),
    ("2c", "Anomaly detection"),
    ("3a", "Model encryption"),
    ("3b", "API security"),
    ("3c", "Watermarks and fingerprints"),
    ("4a", "Continuous monitoring"),
    ("4b", "Incident response"),
    ("4c", "Threat intelligence"),
    ("5a", "Compliance"),
    ("5b", "Ethical AI"),
    ("A1", "Federated learning"),
    ("A2", "Differential privacy"),
    ("A3", "Secure enclaves"),
    ("A4", "Ledger of data transactions"),
)

SEALED_RELEASE = ("release.made", "3a")
"""A release whose models were sealed is model encryption at work; one whose models are plain is not."""

PRACTICES_OF_EVENT: dict[str, tuple[str, ...]] = {
    "data.loaded": ("A4",),
    "data.sealed": ("1b", "A4"),
    "data.repaired": ("1a", "A4"),
    "data.offered": ("A4",),
    "data.extended": ("A4",),
}
"""Events that show a practice at work. Every other event counts for none: an event is no measurement."""
