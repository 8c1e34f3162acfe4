"""Duplicates inside the training side: equal rows, near copies, and equal rows that carry different labels.

A flood of copies gives one opinion many votes, the cheapest way to poison a model with rows that each look fine;
equal inputs with different labels teach nothing and often mark a relabelling. Near copies inside one group (frames
of a film) are expected and not counted. Does not answer copies that were rotated, mirrored or cropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hauberk.core.evidence import Measurement
from hauberk.core.findings import Finding, Severity
from hauberk.core.progress import Task
from hauberk.data import neighbours
from hauberk.data.checks import CHECKS
from hauberk.data.checks._common import SHOWN, TRAINING, check_share, judged, row_name
from hauberk.data.dataset import Dataset, Labels, Mask, Split

_MOST_QUERIES = 20_000


@dataclass(frozen=True, slots=True)
class Params:
    """limit: share of training rows that may be copies. tolerance: distance of a near copy, 0: by the kind of data.

    For pictures the tolerance is a share of a picture's contrast (0.1), for tables of the columns' spread (0.005).
    """

    limit: float = 0.05
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        check_share("limit", self.limit)
        check_share("tolerance", self.tolerance)


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """Which rows repeat others.

    repeats: (n,) a row equal to an earlier one. conflicts: (n,) an equal row has another label. first: (n,) index
    of the first equal row.
    """

    repeats: Mask
    conflicts: Mask
    first: Labels


def copies(codes: Labels, y: Labels) -> Copies:
    """Return which rows repeat an earlier one, and which have the same values as a row of another class.

    codes: (n,) equal where rows are equal (`neighbours.row_codes`). y: (n,) labels.
    """
    _, first, member = np.unique(codes, return_index=True, return_inverse=True)
    member = member.reshape(-1)
    lowest, highest = np.full(len(first), np.iinfo(np.int64).max), np.full(len(first), -1)
    np.minimum.at(lowest, member, y)
    np.maximum.at(highest, member, y)
    firsts = first[member].astype(np.int64)
    return Copies(firsts != np.arange(len(y)), (lowest != highest)[member], firsts)


@CHECKS.register(
    "duplicates",
    practice="1a",
    threats=("poisoning",),
    summary="equal and nearly equal training rows, and equal rows with different labels",
    params=Params,
)
def run(split: Split, params: Params, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Count copies inside the training side and name the largest floods first."""
    train = split.train
    found = copies(neighbours.row_codes(train.x)[0], train.y)
    task.update(0.2, text="near copies")
    near = near_rows(train, tolerance=params.tolerance, rng=rng, repeats=found.repeats)
    share = float(found.repeats.mean())
    metrics = {
        "duplicate_rows": float(found.repeats.sum()),
        "duplicate_share": share,
        "near_duplicate_rows": float(len(near.rows)),
        "near_duplicate_share": len(near.rows) / max(1, near.asked),
        "conflicting_rows": float(found.conflicts.sum()),
    }
    findings = [*_conflicts(train, found), *_floods(train, found, params, share), *_near(train, near)]
    notes = (f"Rows nearer than {near.bound:.4g} count as near copies; {near.asked} rows were compared with all.",)
    findings.sort(key=lambda finding: -finding.severity.rank)
    return Measurement(metrics, tuple(findings[:SHOWN]), notes=notes)


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """rows: that have a near copy; partner: the copy; distance: between the two; asked: rows that were looked at."""

    rows: Labels
    partner: Labels
    distance: np.ndarray
    bound: float
    asked: int


def near_rows(side: Dataset, *, tolerance: float, rng: np.random.Generator, repeats: Mask) -> Near:
    """Return rows with a near but not equal copy in another group; at most 20,000 rows, drawn by rng, are asked."""
    kept = np.flatnonzero(~repeats)
    asked = np.sort(rng.permutation(kept)[:_MOST_QUERIES])
    found = neighbours.features(side)[0]
    keys = np.arange(len(side)) if side.groups is None else side.groups
    own = neighbours.nearest(found.take(asked), found.take(kept), query_keys=keys[asked], base_keys=keys[kept])
    tolerance = tolerance or neighbours.TOLERANCE[side.kind]
    bound = neighbours.bound_of(own, tolerance=tolerance, dimensions=neighbours.dimensions(found))
    close = own.distance < bound
    order = np.argsort(own.distance[close], kind="stable")
    return Near(asked[close][order], kept[own.index[close][order]], own.distance[close][order], bound, len(asked))


def _conflicts(train: Dataset, found: Copies) -> list[Finding]:
    rows = np.flatnonzero(found.conflicts & found.repeats & (train.y != train.y[found.first]))
    return [
        Finding(
            f"same values as {row_name(train, int(found.first[row]), TRAINING)}, which is labelled "
            f"{train.classes[train.y[found.first[row]]]!r} and not {train.classes[train.y[row]]!r}",
            row_name(train, int(row), TRAINING),
            Severity.MEDIUM,
            "One of the two labels is wrong, or the columns cannot tell the classes apart: look at both rows.",
            "poisoning",
        )
        for row in rows[: SHOWN // 2]
    ]


def _floods(train: Dataset, found: Copies, params: Params, share: float) -> list[Finding]:
    firsts, sizes = np.unique(found.first[found.repeats], return_counts=True)
    order = np.argsort(-sizes, kind="stable")[: SHOWN // 2]
    return [
        Finding(
            f"occurs {sizes[index] + 1} times in training",
            row_name(train, int(firsts[index]), TRAINING),
            judged(share, params.limit),
            "Each copy is one more vote: keep one, unless repeats are real measurements.",
            "poisoning",
            value=share,
            limit=params.limit,
            unit="share of training rows that are copies",
        )
        for index in order
    ]


def _near(train: Dataset, near: Near) -> list[Finding]:
    return [
        Finding(
            f"nearly the same as {row_name(train, int(partner), TRAINING)}",
            row_name(train, int(row), TRAINING),
            Severity.LOW,
            "Look at both: keep one if the other was made from it.",
            "poisoning",
            value=float(distance),
            limit=near.bound,
            unit="distance",
        )
        for row, partner, distance in list(zip(near.rows, near.partner, near.distance, strict=True))[: SHOWN // 2]
    ]
