"""Targets: classes are sorted and named, and numbers are not taken for classes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.loading import DataSpec, load
from hauberk.data.reading.targets import to_classes


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "age": rng.integers(18, 90, 60),
            "size": rng.normal(size=60),
            "town": ["b", "a", None] * 20,
            "member": [True, False] * 30,
            "who": [f"p{i // 3}" for i in range(60)],
            "y": ["no", "yes", "no"] * 20,
        }
    )


def saved(tmp_path, frame, name="x.parquet"):
    frame.write_parquet(tmp_path / name)
    return str(tmp_path / name)


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ("nothing", "no column 'nothing', the target; it has: age, size"),
        ("", "no target is named"),
        ("size", "holds fractions"),
        ("row", "60 different values in 60 rows"),
        ("one", r"one class only: 'x' in all 60 rows"),
        ("hole", r"target 'hole' has no value in 1 of 60 rows \(x.parquet, row 3\)"),
        ("day", "expected classes"),
    ],
)
def test_a_target_that_is_no_class_is_refused(tmp_path, frame, target, match):
    hole = ["a", "b"] * 30
    hole[3] = None
    more = frame.with_columns(
        pl.Series("row", range(60)),
        pl.lit("x").alias("one"),
        pl.Series("hole", hole),
        pl.Series("day", [0] * 60, pl.Date),
    )
    with pytest.raises(InvalidInput, match=match):
        load(
            DataSpec("table", (saved(tmp_path, more),), target=target, drop=() if target == "day" else ("day",)),
            seed=0,
        )


def test_number_classes_sort_by_value_and_words_by_code_point():
    y, classes = to_classes(np.array([10, 9, 2]), where="y")
    assert (classes, y.tolist()) == (("2", "9", "10"), [2, 1, 0])
    assert to_classes(np.array([True, False]), where="y")[1] == ("false", "true")
    assert to_classes(np.array([1.0, 2.0]), where="y", names=("good", "bad"))[1] == ("good", "bad")
