"""Label errors: rows whose label a model that never saw them contradicts with confidence.

Confident learning over out-of-fold probabilities (`_confident`, `_folds`). Answers flipped labels, by mistake or by
a poisoner, where classes can be told apart. Does not answer clean-label poisoning, nor a poisoner who relabels most
of a class; and where classes overlap by nature (who repays a loan), unusual rows look like wrong ones, which is why a
suspect is a row to look at and never one to remove unseen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Measurement
from hauberk.core.findings import Finding, Severity
from hauberk.core.progress import Task
from hauberk.data.checks import CHECKS
from hauberk.data.checks._common import SHOWN, TRAINING, check_share, judged, row_name
from hauberk.data.checks._confident import Confident, confident_learning
from hauberk.data.checks._folds import out_of_fold
from hauberk.data.dataset import Dataset, Doubles, Labels, Split
from hauberk.data.splitting import sample_rows

_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class Params:
    """What is called suspect.

    limit: share of suspect rows above which findings are high; from a tenth of it on they are medium. margin: by how
    much another class must be more probable than the given one before a row is called suspect; 0 is the published
    method, which also names most rows that are merely unusual. rows: at most so many training rows are looked at.
    """

    limit: float = 0.05
    margin: float = 0.5
    rows: int = 50_000

    def __post_init__(self) -> None:
        check_share("limit", self.limit)
        check_share("margin", self.margin)
        if self.rows < 10:
            raise InvalidInput(f"rows must be 10 or more, found {self.rows}.")


@CHECKS.register(
    "label-errors",
    practice="1a",
    threats=("poisoning",),
    summary="labels that a model which never saw the row contradicts with confidence",
    params=Params,
)
def run(split: Split, params: Params, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Look for wrong labels on the training side; the most contradicted rows come first."""
    side = _usable(split.train)
    if len(side) > params.rows:
        side = side.take(sample_rows(side.y, params.rows, rng=rng))
    y, present = _dense(side.y)
    probabilities = out_of_fold(side, seed=int(rng.integers(2**31)), task=task)[:, present]
    probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-12)
    found = confident_learning(y, probabilities)
    rows = np.flatnonzero(found.suspects & (found.margin <= -params.margin))
    rows = rows[np.argsort(found.margin[rows], kind="stable")]
    share = len(rows) / len(side)
    accuracy = float((probabilities.argmax(axis=1) == y).mean())
    metrics = {
        "suspect_rows": float(len(rows)),
        "label_error_share": share,
        "label_noise_estimate": float(1 - np.trace(found.joint)),
        "fold_accuracy": accuracy,
        "label_checked_rows": float(len(side)),
    }
    listed = [_listed(side, found, probabilities, present, int(row)) for row in rows[:_LISTED]]
    outputs = {"suspects.json": json.dumps({"suspects": listed}, ensure_ascii=False).encode()}
    findings = _findings(side, listed, rows, judged(share, params.limit), params.limit)
    return Measurement(metrics, tuple(findings), outputs=outputs, notes=_notes(split, side, accuracy))


def _usable(side: Dataset) -> Dataset:
    """Return the finite rows of classes with two such rows or more: about a single row no fold can say anything."""
    kept = side.take(np.asarray(np.isfinite(side.x).reshape(len(side), -1).all(axis=1), dtype=np.bool_))
    counts = np.bincount(kept.y, minlength=len(side.classes))
    kept = kept.take(counts[kept.y] >= 2)
    if len(np.unique(kept.y)) < 2:
        raise InvalidInput("label errors need two classes with two training rows or more. Add rows.")
    return kept


def _dense(y: Labels) -> tuple[Labels, Labels]:
    present, dense = np.unique(y, return_inverse=True)
    return dense.astype(np.int64).reshape(-1), present


def _listed(
    side: Dataset, found: Confident, probabilities: Doubles, present: Labels, row: int
) -> dict[str, str | int | float]:
    suggested = int(found.suggested[row])
    return {
        "row": int(side.rows[row]),
        "given": side.classes[side.y[row]],
        "suggested": side.classes[present[suggested]],
        "confidence": round(float(probabilities[row, suggested]), 6),
        "margin": round(float(found.margin[row]), 6),
    }


def _findings(
    side: Dataset, listed: list[dict[str, str | int | float]], rows: Labels, severity: Severity, limit: float
) -> list[Finding]:
    return [
        Finding(
            f"labelled {entry['given']!r}, looks like {entry['suggested']!r} (probability {entry['confidence']:.2f})",
            row_name(side, int(row), TRAINING),
            severity,
            "Look at the row and correct the label if it is wrong; suspects.json lists all of them.",
            "poisoning",
            value=float(entry["margin"]),
            limit=limit,
            unit="probability of the given class less that of the best other",
        )
        for row, entry in list(zip(rows, listed, strict=False))[:SHOWN]
    ]


def _notes(split: Split, side: Dataset, accuracy: float) -> tuple[str, ...]:
    notes = [
        (
            f"The model behind this check is right for {accuracy:.1%} of the rows that it did not see: "
            "the lower this is, the more suspects are unusual rows rather than wrong labels."
        ),
    ]
    if len(side) < len(split.train):
        notes.append(f"{len(side)} of {len(split.train)} training rows were looked at.")
    return tuple(notes)
