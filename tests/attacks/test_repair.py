from __future__ import annotations

import numpy as np
import pytest

from hauberk.attacks.relations import following
from hauberk.attacks.repair import Repair
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.relations import parse

torch = pytest.importorskip("torch")

COLUMNS = (
    Column("a", ColumnKind.NUMBER, 0, 10),
    Column("b", ColumnKind.NUMBER, 0, 10),
    Column("whole", ColumnKind.INTEGER, 0, 10),
    Column("total", ColumnKind.NUMBER, 0, 30),
    Column("cover", ColumnKind.CATEGORY, 0, 1, ("full", "none")),
)


def repaired(text, x, origin, *, changeable=(0, 1, 2, 4), whole=True):
    """Return rows repaired for one relation, by numpy and by torch, which have to agree."""
    relation = parse(text)
    moved = {COLUMNS[index].name for index in changeable}
    repair = Repair.of(
        COLUMNS,
        [relation],
        following([relation], COLUMNS, moved),
        frozenset(changeable),
        bounds=lambda rows: (rows * 0, rows * 0 + 10),
        affordable=None,
    )
    x, origin = np.array(x, np.float32), np.array(origin, np.float32)
    by_numpy = repair(x, origin, whole=whole)
    by_torch = repair(torch.from_numpy(x), torch.from_numpy(origin), whole=whole).numpy()
    np.testing.assert_allclose(by_torch, by_numpy, atol=1e-6)
    return by_numpy


def test_a_violation_is_shared_in_proportion_to_the_remaining_range():
    """a may fall by 6 and b by 3: of the excess of 3, a takes 2 and b takes 1."""
    (row,) = repaired("a + b <= 6", [[6, 3, 0, 0, 0]], [[0, 0, 0, 0, 0]])
    np.testing.assert_allclose(row[:2], [4, 2], atol=1e-5)


def test_whole_numbers_stay_whole_and_the_relation_holds():
    (row,) = repaired("whole + a <= 6.5", [[5, 0, 4, 0, 0]], [[0, 0, 0, 0, 0]])
    assert row[2] == round(float(row[2]))
    assert row[0] + row[2] <= 6.5 + 1e-5


def test_a_computed_column_is_computed_again():
    (row,) = repaired("total = a + 2 * b", [[1, 2, 0, 9, 0]], [[0, 0, 0, 0, 0]])
    assert row[3] == 5


def test_a_category_is_set_if_the_relation_demands_it_and_it_may_change():
    rows = [[7, 0, 0, 0, 0]], [[0, 0, 0, 0, 0]]
    assert repaired('a >= 5 => cover = "none"', *rows)[0].tolist() == [7, 0, 0, 0, 1]
    fixed = repaired('a >= 5 => cover = "none"', *rows, changeable=(0,))[0]
    assert fixed[4] == 0
    assert fixed[0] < 5


def test_a_row_that_cannot_be_repaired_goes_back_towards_its_origin():
    """a may not change: it returns to its origin, and `whole` goes half of the way back."""
    (row,) = repaired("a <= 5", [[9, 0, 3, 0, 0]], [[2, 0, 1, 0, 0]], changeable=(2,))
    np.testing.assert_array_equal(row, [2, 0, 2, 0, 0])


def test_a_violation_of_the_origin_may_stay():
    (row,) = repaired("a + b <= 6", [[5, 4, 0, 0, 0]], [[5, 4, 0, 0, 0]])
    np.testing.assert_array_equal(row, [5, 4, 0, 0, 0])


def test_the_gradient_of_a_computed_column_reaches_the_columns_it_is_computed_from():
    relation = parse("total = a + 2 * b")
    repair = Repair.of(
        COLUMNS,
        [relation],
        following([relation], COLUMNS, {"a", "b"}),
        frozenset((0, 1)),
        bounds=None,
        affordable=None,
    )
    gradient = repair.carried(np.array([[1, 0, 0, 10, 0]], np.float32))
    np.testing.assert_allclose(gradient, [[11, 20, 0, 0, 0]])
