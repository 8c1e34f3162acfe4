"""Datasets: the digest covers every part of the meaning and nothing else, and parts that disagree are refused."""

import dataclasses

import numpy as np
import pytest

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.data.reading.dataset import Dataset


@pytest.fixture
def side():
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    columns = (Column("a", ColumnKind.NUMBER, 0, 12), Column("b", ColumnKind.CATEGORY, 0, 1, ("x", "y")))
    sources = np.array(["east", "west"] * 3)
    return Dataset("table", x, np.arange(6) % 2, ("no", "yes"), columns, np.arange(6), np.arange(6) // 2, sources)


@pytest.mark.parametrize(
    "change",
    [
        lambda side: {"x": np.where(side.x == 5, np.float32(5.0000005), side.x)},
        lambda side: {"y": side.y[::-1]},
        lambda side: {"rows": side.rows + 1},
        lambda side: {"groups": side.groups[::-1]},
        lambda _: {"groups": None},
        lambda side: {"sources": side.sources[::-1]},
        lambda _: {"classes": ("yes", "no")},
        lambda side: {"columns": (side.columns[0], dataclasses.replace(side.columns[1], categories=("x", "z")))},
    ],
)
def test_any_change_of_values_or_meaning_changes_the_digest(side, change):
    assert dataclasses.replace(side, **change(side)).digest() != side.digest()


def test_byte_order_and_memory_layout_do_not_change_the_digest(side):
    moved = dataclasses.replace(
        side, x=np.asfortranarray(side.x).astype(">f4"), y=side.y.astype(">i8"), rows=side.rows.astype(np.int32)
    )
    assert moved.digest() == side.digest()


def test_taking_rows_takes_all_that_belongs_to_them(side):
    part = side.take(np.array([4, 1]))
    assert part.y.tolist() == [0, 1]
    assert part.rows.tolist() == [4, 1]
    assert part.groups.tolist() == [2, 0]
    assert part.sources.tolist() == ["east", "west"]
    assert part.x[0].tolist() == side.x[4].tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": np.zeros((6, 2, 2), np.float32)}, "expected 2 axes"),
        ({"y": np.zeros(5, np.int64)}, "different lengths"),
        ({"sources": np.array(["east"])}, "different lengths"),
        ({"x": np.zeros((6, 3), np.float32)}, "3 columns and 2 are described"),
    ],
)
def test_parts_that_disagree_are_refused(side, change, words):
    with pytest.raises(InvalidInput, match=words):
        dataclasses.replace(side, **change)
