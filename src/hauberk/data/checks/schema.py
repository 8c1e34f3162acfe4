"""Schema and ranges: are both sides complete, and does the test side look like the training side?

Reports values that are not finite, constant columns, blank pictures, test values outside the training range (or in categories
that training lacks), columns whose distribution differs between the sides (measured as `hauberk data verify --against` does),
classes with few rows, columns that look like identifiers, and integers that float32 rounds.
Answers: faulty exports, shifted columns and crude poisoning. Does not answer: poisoning that stays in range; see the check
`poisoning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.evidence import Measurement
from hauberk.core.extras import need
from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.core.progress import Task
from hauberk.data.checks import CHECKS
from hauberk.data.checks._common import SHOWN, TEST, TRAINING, check_share, judged, row_place
from hauberk.data.reading.dataset import Dataset, Floats, Labels, Mask, Split
from hauberk.data.verification.drift import Measure, drift
from hauberk.data.verification.opening import from_frame
from hauberk.data.verification.schema import Schema

if TYPE_CHECKING:
    import polars

_EXACT = 2**24  # integers up to here are exact in float32
_IDENTIFIER = 0.5  # a category column with more values than this share of the rows is an identifier
_FAR = 0.5
_BLANK = 1 / 255


@dataclass(frozen=True, slots=True)
class Params:
    """What is tolerated.

    limit: share of test rows far out of range (`far_out`). imbalance: largest over smallest class.
    """

    limit: float = field(
        default=0.05, metadata={"help": "share of test rows that may lie far out of the training range"}
    )
    imbalance: float = field(default=100.0, metadata={"help": "largest class over smallest class, at most"})

    def __post_init__(self) -> None:
        check_share("limit", self.limit)


@CHECKS.register(
    "schema",
    practice="1a",
    threats=("poisoning",),
    summary="kinds, ranges, constant columns, blank pictures, rare classes",
    params=Params,
)
def run(split: Split, params: Params, *, rng: np.random.Generator, task: Task) -> Measurement:
    """Measure both sides, the test side against the training side."""
    del rng
    train, test = split.train, split.test
    counts = np.bincount(train.y, minlength=len(train.classes))
    metrics = {
        "rows": float(len(train) + len(test)),
        "train_rows": float(len(train)),
        "test_rows": float(len(test)),
        "classes": float(len(train.classes)),
        "class_imbalance": float(counts.max() / max(1, counts.min())),
        "non_finite_rows": float((~finite_rows(train.x)).sum() + (~finite_rows(test.x)).sum()),
    }
    findings = [*_not_finite(train, TRAINING), *_not_finite(test, TEST), *_classes(split, params)]
    task.update(0.3, text="ranges")
    kept = Split(train.take(finite_rows(train.x)), test.take(finite_rows(test.x)))
    more = _pictures(kept) if train.kind == "image" else _table(kept, params)
    findings += more.findings
    findings.sort(key=lambda finding: -finding.severity.rank)
    return Measurement({**metrics, **more.metrics}, tuple(findings[:SHOWN]), more.series, {}, more.notes)


def finite_rows(x: Floats) -> Mask:
    """Return (n,), a mask of the rows whose values are all finite."""
    return np.asarray(np.isfinite(x).reshape(len(x), -1).all(axis=1), dtype=np.bool_)


def out_of_range(train: Floats, test: Floats, columns: Sequence[Column]) -> Mask:
    """Return (n_test, d), a mask of the numbers outside the training range and the categories that training lacks."""
    outside = np.empty(test.shape, bool)
    for index, column in enumerate(columns):
        seen, asked = train[:, index], test[:, index]
        if column.kind is ColumnKind.CATEGORY:
            outside[:, index] = ~np.isin(asked, seen)
        else:
            outside[:, index] = (asked < seen.min()) | (asked > seen.max())
    return outside


def far_out(train: Floats, test: Floats, columns: Sequence[Column]) -> Mask:
    """Return (n_test, d), a mask of the values outside by more than half of the training range, and of unseen categories.

    Values just outside are normal: a new row of the same distribution lies beyond n training rows in a column with
    probability 2 / (n + 1).
    """
    outside = out_of_range(train, test, columns)
    low, high = train.min(axis=0), train.max(axis=0)
    category = np.array([column.kind is ColumnKind.CATEGORY for column in columns], bool)
    gap = np.maximum(low - test, test - high)
    far: Mask = outside & (category | (gap > _FAR * (high - low)))
    return far


def _table(split: Split, params: Params) -> Measurement:
    train, test = split.train, split.test
    if not len(train) or not len(test):
        return Measurement({})
    outside = out_of_range(train.x, test.x, train.columns)
    constant = train.x.min(axis=0) == train.x.max(axis=0)
    names = [column.name for column in train.columns]
    findings = [
        Finding(
            f"column {names[index]!r} has one value in every training row",
            Place(Kind.COLUMN, names[index]),
            Severity.LOW,
            f'It explains nothing: leave it out with drop = ["{names[index]}"].',
        )
        for index in np.flatnonzero(constant)
    ]
    moved = _drift(split)
    findings += _outside(split, outside, params) + _moved(split, moved) + _identifiers(train) + _rounded(train)
    metrics = {
        "drifted_columns": float(len(moved)),
        "constant_columns": float(constant.sum()),
        "out_of_range_rows": float(outside.any(axis=1).sum()),
        "out_of_range_share": float(outside.any(axis=1).mean()),
        "far_out_of_range_share": float(far_out(train.x, test.x, train.columns).any(axis=1).mean()),
    }
    return Measurement(metrics, tuple(findings))


def _outside(split: Split, outside: Mask, params: Params) -> list[Finding]:
    train, test = split.train, split.test
    found: list[Finding] = []
    far = float(far_out(train.x, test.x, train.columns).any(axis=1).mean())
    for index in np.argsort(-outside.sum(axis=0), kind="stable"):
        rows = np.flatnonzero(outside[:, index])
        if not len(rows):
            break
        column = train.columns[index]
        value = float(test.x[rows[0], index])
        if column.kind is ColumnKind.CATEGORY:
            what = f"{_category(column, value)}, which no training row has"
        else:
            seen = train.x[:, index]
            what = f"{value:g}, outside {seen.min():g} to {seen.max():g} in training"
        found.append(
            Finding(
                f"{len(rows)} test rows have values of {column.name!r} that do not occur in training; first: {what}",
                Place(Kind.COLUMN, column.name, int(test.rows[rows[0]])),
                judged(far, params.limit),
                "The model must guess there. Check units and spelling; add such rows to the training side if they are right.",
                value=float(len(rows)),
                unit="rows",
            )
        )
    return found


def _drift(split: Split) -> dict[int, Measure]:
    """Return, for each column that drifted from training to test rows, the measure furthest beyond its limit."""
    here, there = (from_frame(_frame(side)) for side in (split.test, split.train))
    found = [measure for measure in drift(here, there, Schema(version=1)).measures if measure.drifted]
    found.sort(key=lambda measure: measure.effect / max(measure.limit, 1e-9))
    return {int(measure.column.removeprefix("c")): measure for measure in found}


def _frame(side: Dataset) -> polars.DataFrame:
    """Return a side as a frame: numbers unchanged, categories as codes in text, columns named by number."""
    made = need("polars")
    columns = {}
    for index, column in enumerate(side.columns):
        values = made.Series(np.ascontiguousarray(side.x[:, index], np.float64))
        columns[f"c{index}"] = values.cast(made.String) if column.kind is ColumnKind.CATEGORY else values
    frame: polars.DataFrame = made.DataFrame(columns)
    return frame


def _moved(split: Split, moved: dict[int, Measure]) -> list[Finding]:
    return [
        Finding(
            f"the distribution of {split.train.columns[index].name!r} differs between test and training rows: "
            f"{measure.name} {measure.effect:.2f}",
            Place(Kind.COLUMN, split.train.columns[index].name),
            Severity.LOW,
            "Results on the test rows may not hold for the data that the model is for: find out how the sides were made.",
            value=measure.effect,
            limit=measure.limit,
        )
        for index, measure in moved.items()
    ]


def _category(column: Column, code: float) -> str:
    known = np.isfinite(code) and 0 <= code < len(column.categories)
    return repr(column.categories[int(code)]) if known else f"code {code:g} without a name"


def _identifiers(train: Dataset) -> list[Finding]:
    return [
        Finding(
            f"column {column.name!r} has {len(column.categories)} different texts in {len(train)} training rows",
            Place(Kind.COLUMN, column.name),
            Severity.MEDIUM,
            f'It identifies rows and does not describe them: leave it out with drop = ["{column.name}"].',
            value=float(len(column.categories)),
            limit=_IDENTIFIER * len(train),
            unit="values",
        )
        for column in train.columns
        if column.kind is ColumnKind.CATEGORY and len(column.categories) > max(20.0, _IDENTIFIER * len(train))
    ]


def _rounded(train: Dataset) -> list[Finding]:
    return [
        Finding(
            f"column {column.name!r} holds integers beyond {_EXACT:,}, which 32-bit floats round",
            Place(Kind.COLUMN, column.name),
            Severity.LOW,
            "The model may see different values as equal. Drop the column if it is an identifier; otherwise use larger units.",
            value=max(abs(column.low), abs(column.high)),
            limit=float(_EXACT),
        )
        for column in train.columns
        if column.kind is ColumnKind.INTEGER and max(abs(column.low), abs(column.high)) > _EXACT
    ]


def _pictures(split: Split) -> Measurement:
    findings: list[Finding] = []
    blank = 0
    if not len(split.train) or not len(split.test):
        return Measurement({})
    for side, word in ((split.train, TRAINING), (split.test, TEST)):
        flat = side.x.reshape(len(side), -1)
        rows = np.flatnonzero(finite_rows(flat))
        rows = rows[flat[rows].max(axis=1) - flat[rows].min(axis=1) <= _BLANK]
        blank += len(rows)
        findings += [
            Finding(
                f"the picture is blank: every pixel is {flat[row, 0]:.3f}",
                row_place(side, int(row), word),
                Severity.MEDIUM,
                "Nothing can be learned from it: remove it.",
                "poisoning",
            )
            for row in rows[:SHOWN]
        ]
    outside = 0
    for side, word in ((split.train, TRAINING), (split.test, TEST)):
        rows = np.flatnonzero(pixels_out_of_range(side.x))
        outside += len(rows)
        if len(rows):
            findings.append(_pixels(side, rows, word))
    total = len(split.train) + len(split.test)
    metrics = {
        "blank_pictures": float(blank),
        "out_of_range_rows": float(outside),
        "out_of_range_share": outside / total,
    }
    return Measurement(metrics, tuple(findings))


def pixels_out_of_range(x: Floats) -> Mask:
    """Return (n,), a mask of the pictures with a finite pixel below 0 or above 1."""
    flat = x.reshape(len(x), -1)
    return np.asarray((np.isfinite(flat) & ((flat < 0) | (flat > 1))).any(axis=1), dtype=np.bool_)


def _pixels(side: Dataset, rows: Labels, word: str) -> Finding:
    values = side.x[rows]
    return Finding(
        f"{len(rows)} {word} pictures have pixels outside 0 to 1: {np.nanmin(values):g} to {np.nanmax(values):g}",
        row_place(side, int(rows[0]), word),
        Severity.HIGH,
        "Scale the pixels of all pictures to 0 to 1: attack budgets are in these units.",
        "poisoning",
        value=float(len(rows)),
        limit=0.0,
        unit="rows",
    )


def _not_finite(side: Dataset, word: str) -> list[Finding]:
    rows = np.flatnonzero(~finite_rows(side.x))
    return [
        Finding(
            "the row holds NaN or infinity",
            row_place(side, int(row), word),
            Severity.HIGH,
            "No model can use it: fill the value in, or remove the row.",
            "poisoning",
        )
        for row in rows[:SHOWN]
    ]


def _classes(split: Split, params: Params) -> list[Finding]:
    train, test = split.train, split.test
    counts = np.bincount(train.y, minlength=len(train.classes))
    findings = [
        Finding(
            f"no test row has class {train.classes[label]!r}",
            Place(Kind.CLASS, train.classes[label]),
            Severity.MEDIUM,
            "Nothing is measured for this class: add test rows of it.",
        )
        for label in np.setdiff1d(train.y, test.y)
    ]
    ratio = float(counts.max() / max(1, counts.min()))
    if ratio > params.imbalance:
        rare = int(counts.argmin())
        findings.append(
            Finding(
                f"class {train.classes[rare]!r} has {counts[rare]} training rows, the largest {counts.max()}",
                Place(Kind.CLASS, train.classes[rare]),
                Severity.MEDIUM,
                "Accuracy hides how the model does on this class: collect more rows, or merge the class.",
                value=ratio,
                limit=params.imbalance,
                unit="ratio",
            )
        )
    return findings
