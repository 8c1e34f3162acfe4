from __future__ import annotations

import numpy as np
import pytest

from hauberk.attacks.poisoning import POISONERS
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.data.poison.drilling import NOTHING, drill, fitting, poisoned_copy
from hauberk.data.reading.dataset import Dataset

QUICK = {"floods": {}}


def table(n=600):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, n)
    columns = tuple(Column(f"n{i}", ColumnKind.NUMBER, -5, 5) for i in range(4))
    x = (rng.normal(size=(n, 4)) + y[:, None]).astype(np.float32)
    return Dataset("table", x, y, ("no", "yes"), columns, np.arange(n), None, np.array(["s"] * n))


def test_a_flood_is_caught_and_honest_data_are_not_accused():
    side = table()
    before = side.digest()
    nothing, first, second = drill(side, attacks=["flood"], share=0.095, seeds=2, detectors=QUICK)
    assert (nothing.attack, nothing.poison, nothing.found) == (NOTHING, 0, False)
    assert nothing.alarms <= 0.005
    for one in (first, second):
        assert one.attack == "flood"
        assert one.poison == pytest.approx(0.095 * (600 + one.poison), abs=1)
        assert one.caught > 0.95
        assert one.in_reach > 0.95
        assert one.found
        assert one.alarms <= 0.01
        assert one.detectors == {"floods": round(one.caught * one.poison)}
        assert one.seconds > 0
    assert side.digest() == before


def test_a_poison_that_the_detector_cannot_see_is_reported_as_missed():
    *_, one = drill(table(), attacks=["symmetric-flips"], detectors=QUICK)
    assert one.caught == 0
    assert not one.found


def test_a_poison_that_does_not_fit_is_said_so_and_the_rest_goes_on():
    side = table(80)
    one_sided = Dataset(
        "table", side.x, np.append(np.zeros(79, np.int64), 1), side.classes, side.columns, side.rows
    )
    constant = Dataset("table", np.ones_like(side.x), one_sided.y, side.classes, side.columns, side.rows)
    _, trigger, flood = drill(constant, attacks=["table-trigger", "flood"], detectors=QUICK)
    assert "one value" in trigger.problem
    assert flood.problem == ""


@pytest.mark.parametrize("kind", ["table", "image"])
def test_every_poisoner_that_fits_is_tried_and_its_answers_line_up(kind):
    side = table()
    if kind == "image":
        rng = np.random.default_rng(0)
        x = rng.random((200, 1, 16, 16)).astype(np.float32)
        side = Dataset("image", x, np.arange(200) % 4, tuple("abcd"), (), np.arange(200))
    for entry in fitting(kind):
        copy, poisoned = poisoned_copy(entry, side, share=0.1, seed=0)
        assert copy.columns == side.columns
        assert len(copy) == len(poisoned.poison)
        again, _ = poisoned_copy(entry, side, share=0.1, seed=0)
        assert again.digest() == copy.digest()
        honest = ~poisoned.poison
        assert np.array_equal(copy.x[honest], side.x[poisoned.origin[honest]])
    assert {entry.name for entry in fitting(kind)} == {entry.name for entry in POISONERS if kind in entry.kinds}


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(InvalidInput, match="flood"):
        fitting("table", ["patch"])
    with pytest.raises(InvalidInput, match="known"):
        fitting("table", ["arsenic"])
    with pytest.raises(InvalidInput, match="seeds"):
        list(drill(table(), seeds=0))
