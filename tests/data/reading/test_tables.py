"""Tables: values and categories keep their meaning, and missing or infinite numbers are refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.data.reading.loading import DataSpec, load


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


def whole(split):
    return np.concatenate([split.train.x, split.test.x]), np.concatenate([split.train.rows, split.test.rows])


def test_columns_keep_values_codes_and_row_numbers(tmp_path, frame):
    split = load(DataSpec("table", (saved(tmp_path, frame),), target="y", group="who"), seed=1)
    age, size, town, member = split.train.columns
    assert [c.kind for c in split.train.columns] == [
        ColumnKind.INTEGER,
        ColumnKind.NUMBER,
        ColumnKind.CATEGORY,
        ColumnKind.CATEGORY,
    ]
    assert town.categories == ("a", "b", "missing")
    assert (town.low, town.high, member.categories) == (0.0, 2.0, ("false", "true"))
    assert (age.low, age.high) == (split.train.x[:, 0].min(), split.train.x[:, 0].max())
    x, rows = whole(split)
    np.testing.assert_array_equal(x[:, 0], frame["age"].to_numpy()[rows])
    np.testing.assert_array_equal(x[:, 1], frame["size"].to_numpy().astype(np.float32)[rows])
    assert [town.categories[int(code)] for code in x[:, 2]] == [
        frame["town"][int(row)] or "missing" for row in rows
    ]
    assert split.train.classes == ("no", "yes")
    assert size.name == "size"


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), float("-inf")])
def test_missing_nan_and_infinite_numbers_are_refused_by_row_and_column(tmp_path, frame, bad):
    values = frame["size"].to_list()
    values[7] = values[40] = bad
    path = saved(tmp_path, frame.with_columns(pl.Series("size", values)))
    with pytest.raises(
        InvalidInput, match=r"column 'size' .* 2 of 60 rows \(x.parquet, row 7; x.parquet, row 40\)"
    ) as caught:
        load(DataSpec("table", (path,), target="y"), seed=0)
    assert 'drop = ["size"]' in str(caught.value)
    assert load(DataSpec("table", (path,), target="y", drop=("size",)), seed=0).train.x.shape[1] == 4
