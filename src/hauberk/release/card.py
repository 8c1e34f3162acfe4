"""The model card in Markdown: the released model and its measurements, from attestations alone.

Sections follow Mitchell et al. 2019, "Model Cards for Model Reporting". Only measured values appear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hauberk.custody import statements
from hauberk.custody.statements import Statement


def card(project: str, made: str, classes: Sequence[str], released: str, told: Sequence[Statement]) -> str:
    """Return the card of a release: the evidence among `told`, as tables by role."""
    evidence = [s.predicate for s in told if s.predicate_type == statements.EVIDENCE]
    lines = [f"# Model card: {_safe(project)}", "", f"Made {made}. Released: the {released} model.", ""]
    lines += ["Input and output: `model.onnx` takes float32 rows and returns one score for each class.", ""]
    shown = ", ".join(_safe(name) for name in classes[:50])
    lines += [f"Classes ({len(classes)}): {shown}{', …' if len(classes) > 50 else ''}", ""]
    for role in ("data", "plain", "hardened"):
        rows = [predicate for predicate in evidence if predicate["role"] == role]
        if rows:
            lines += [f"## Measured: {role}", "", "| control | metric | value |", "| --- | --- | --- |"]
            lines += [row for predicate in rows for row in _rows(predicate)]
            lines.append("")
    lines += ["## Threats", "", *_threats(evidence), ""]
    lines += [
        "## Limits",
        "",
        "Only the threats above were tested, with the attacks and budgets that their evidence names.",
    ]
    return "\n".join(lines) + "\n"


def _rows(predicate: Mapping[str, Any]) -> list[str]:
    return [
        f"| {_safe(predicate['control'])} | {_safe(name)} | {value:.6g} |"
        for name, value in sorted(predicate["metrics"].items())
    ]


def _threats(evidence: Sequence[Mapping[str, Any]]) -> list[str]:
    threats = {str(p["parameters"]["threat"]) for p in evidence if "threat" in p["parameters"]}
    return [f"- {_safe(threat)}" for threat in sorted(threats)] or ["- none was tested"]


def _safe(text: object) -> str:
    """Return text that Markdown shows literally: one line, without characters that open markup or a table cell."""
    return "".join("_" if c in "|`<>[]*\\" or not c.isprintable() else c for c in str(text))
