"""Leakage: test rows that equal or nearly equal a training row, and groups with rows on both sides.

A model that has memorised such rows looks accurate, and robust, on a test that proves nothing. Equal rows are detected by
digest. Near copies are detected by distance: below a tolerance, and below a quarter of the usual distance between neighbours
in the training side (`neighbours.bound_of`), so that dense data raise no alarms.
Answers: rows and groups on both sides. Does not answer: copies that were rotated, mirrored or cropped, and table rows whose
categories were changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hauberk.core.evidence import Measurement
from hauberk.core.findings import Finding, Severity
from hauberk.core.progress import Task
from hauberk.data.checks import CHECKS
from hauberk.data.checks._common import SHOWN, TEST, TRAINING, check_share, judged, row_place
from hauberk.data.poison import neighbours
from hauberk.data.reading.dataset import Dataset, Doubles, Labels, Split

_MOST_QUERIES = 20_000
_CALIBRATION = 4_000


@dataclass(frozen=True, slots=True)
class Params:
    """limit: share of test rows that may have leaked. tolerance: as in `duplicates`, 0: by the kind of data."""

    limit: float = field(default=0.01, metadata={"help": "share of test rows that may be copies of training rows"})
    tolerance: float = field(
        default=0.0, metadata={"help": "largest distance of a near copy; 0: the default for the kind of data"}
    )

    def __post_init__(self) -> None:
        check_share("limit", self.limit)
        check_share("tolerance", self.tolerance)


@dataclass(frozen=True, slots=True, eq=False)
class Leaks:
    """partner: (n_test,) index of the training row that a test row copies, or -1. distance: (n_test,) 0 where equal.

    bound: rows nearer than it count as copies. asked: number of test rows that were compared for near copies.
    """

    partner: Labels
    distance: Doubles
    bound: float
    asked: int


def find_leaks(train: Dataset, test: Dataset, *, tolerance: float, rng: np.random.Generator) -> Leaks:
    """Return the training row that each test row equals or nearly equals.

    At most 20,000 test rows are compared for near copies, and the bound is calibrated on at most 4,000 training rows, both
    drawn by rng.
    """
    codes, test_codes = neighbours.row_codes(train.x, test.x)
    known, first = np.unique(codes, return_index=True)
    place = np.minimum(np.searchsorted(known, test_codes), len(known) - 1)
    equal = known[place] == test_codes
    partner = np.where(equal, first[place], -1).astype(np.int64)
    distance = np.where(equal, 0.0, np.inf)
    have, ask = neighbours.features(train, test)
    sample = rng.permutation(len(train))[:_CALIBRATION]
    keys = np.arange(len(train)) if train.groups is None else train.groups
    own = neighbours.nearest(have.take(sample), have, query_keys=keys[sample], base_keys=keys)
    bound = neighbours.bound_of(own, tolerance=tolerance, dimensions=neighbours.dimensions(have))
    asked = np.sort(rng.permutation(np.flatnonzero(~equal))[:_MOST_QUERIES])
    found = neighbours.nearest(ask.take(asked), have)
    close = found.distance < bound
    partner[asked[close]] = found.index[close]
    distance[asked[close]] = found.distance[close]
    return Leaks(partner, distance, bound, len(asked))


@CHECKS.register(
    "leakage",
    practice="1a",
    threats=("poisoning",),
    summary="test rows that training has seen, equal or nearly, and groups on both sides",
    params=Params,
)
def run(split: Split, params: Params, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Count leaked test rows and shared groups, nearest copies first."""
    train, test = split.train, split.test
    task.update(0.1, text="copies across the split")
    tolerance = params.tolerance or neighbours.TOLERANCE[train.kind]
    leaks = find_leaks(train, test, tolerance=tolerance, rng=rng)
    leaked = leaks.partner >= 0
    share = float(leaked.mean())
    shared = shared_groups(train, test)
    metrics = {
        "leaked_rows": float(leaked.sum()),
        "leaked_share": share,
        "equal_leaked_rows": float((leaks.distance == 0).sum()),
        "near_leaked_rows": float((leaked & (leaks.distance > 0)).sum()),
        "shared_groups": float(len(shared)),
    }
    findings = [*_groups(split, shared), *_rows(split, leaks, judged(share, params.limit), share, params.limit)]
    notes = (
        f"Rows nearer than {leaks.bound:.4g} count as copies; {leaks.asked} test rows were compared with all.",
    )
    return Measurement(metrics, tuple(findings[:SHOWN]), notes=notes)


def shared_groups(train: Dataset, test: Dataset) -> Labels:
    """Return the groups that have rows on both sides, sorted; empty when the data have no groups."""
    if train.groups is None or test.groups is None:
        return np.array([], np.int64)
    return np.intersect1d(train.groups, test.groups)


def _groups(split: Split, shared: Labels) -> list[Finding]:
    test = split.test
    assert not len(shared) or test.groups is not None
    return [
        Finding(
            f"{int((test.groups == group).sum())} test rows belong to a group that has training rows, too",
            row_place(test, int(np.flatnonzero(test.groups == group)[0]), TEST),
            Severity.HIGH,
            "Keep groups on one side: name the group column and let Hauberk split, or correct the files.",
            value=float(len(shared)),
            limit=0.0,
            unit="groups on both sides",
        )
        for group in shared[: SHOWN // 2]
    ]


def _rows(split: Split, leaks: Leaks, severity: Severity, share: float, limit: float) -> list[Finding]:
    train, test = split.train, split.test
    rows = np.flatnonzero(leaks.partner >= 0)
    rows = rows[np.argsort(leaks.distance[rows], kind="stable")][:SHOWN]
    return [
        Finding(
            f"{'equals' if leaks.distance[row] == 0 else 'is nearly the same as'} "
            f"{row_place(train, int(leaks.partner[row]), TRAINING)}",
            row_place(test, int(row), TEST),
            severity,
            "Remove it from one side: a test row that the model has memorised proves nothing.",
            value=share,
            limit=limit,
            unit="share of test rows",
        )
        for row in rows
    ]
