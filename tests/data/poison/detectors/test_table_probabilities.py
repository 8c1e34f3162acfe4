"""Out-of-fold probabilities of tables: distributions, seeds, absent classes, groups, and labels they have not learned."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.progress import Quiet
from hauberk.data.poison.detectors._table_probabilities import table_probabilities
from hauberk.data.reading.dataset import Dataset


def table(rows: int, *, classes: tuple[str, ...] = ("a", "b"), wrong: float = 0.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    trade = rng.integers(0, 6, rows)
    x = np.stack([rng.normal(size=rows), trade, rng.integers(0, 90, rows)], axis=1).astype(np.float32)
    y = ((x[:, 0] > 0) ^ (trade == 3)).astype(np.int64)
    flipped = rng.random(rows) < wrong
    y[flipped] = 1 - y[flipped]
    columns = (
        Column("wage", ColumnKind.NUMBER, -4, 4),
        Column("trade", ColumnKind.CATEGORY, 0, 5, tuple("uvwxyz")),
        Column("age", ColumnKind.INTEGER, 0, 89),
    )
    return Dataset("table", x, y, classes, columns, np.arange(rows)), flipped


@pytest.mark.parametrize("rows", [120, 2_100])
def test_each_row_has_a_distribution_over_the_classes_and_none_for_an_absent_one(rows: int) -> None:
    side, _ = table(rows, classes=("a", "b", "nobody"))
    found = table_probabilities(side, seed=0, task=Quiet())
    assert found.shape == (rows, 3)
    assert np.allclose(found.sum(axis=1), 1)
    assert (found[:, 2] == 0).all()


@pytest.mark.parametrize(("rows", "known"), [(300, 0.7), (2_400, 0.85)])
def test_wrong_labels_are_contradicted_rather_than_learned(rows: int, known: float) -> None:
    side, flipped = table(rows, wrong=0.1)
    own = table_probabilities(side, seed=0, task=Quiet())[np.arange(rows), side.y]
    assert (own[flipped] < 0.5).mean() > known
    assert (own[~flipped] > 0.5).mean() > known


def test_rows_of_a_class_too_small_to_learn_are_taken_at_their_word() -> None:
    side, _ = table(300, classes=("a", "b", "rare"))
    side.y[:3] = 2
    found = table_probabilities(side, seed=0, task=Quiet())
    assert (found[:3] == [0, 0, 1]).all()
    assert found[3:, 2].max() < 0.5


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    side, _ = table(400, wrong=0.1)
    first = table_probabilities(side, seed=3, task=Quiet())
    assert (first == table_probabilities(side, seed=3, task=Quiet())).all()
    assert (first != table_probabilities(side, seed=4, task=Quiet())).any()


def test_many_classes_of_which_some_are_rare_do_not_make_every_label_doubtful() -> None:
    rng = np.random.default_rng(0)
    y = rng.choice(8, 2_400, p=[0.5, 0.3, 0.1, 0.05, 0.02, 0.01, 0.01, 0.01])
    x = (rng.normal(size=(2_400, 3)) + 4 * np.stack([y % 2, y // 2 % 2, y // 4], axis=1)).astype(np.float32)
    columns = tuple(Column(name, ColumnKind.NUMBER, -9, 9) for name in "abc")
    side = Dataset("table", x, y, tuple("01234567"), columns, np.arange(2_400))
    assert (table_probabilities(side, seed=0, task=Quiet()).argmax(axis=1) == y).mean() > 0.85
