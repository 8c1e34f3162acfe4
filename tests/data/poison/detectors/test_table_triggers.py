"""Table triggers: planted ones are found and named, rules by nature are not, however rare and strict."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.attacks.poisoning import POISONERS, Victim
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet
from hauberk.data.poison.detectors import DETECTORS, Rows
from hauberk.data.poison.detectors.table_triggers import Claim, Group, one_by_one
from hauberk.data.reading.dataset import Dataset

COLUMNS = (
    Column("trade", ColumnKind.CATEGORY, 0, 4, ("baker", "miller", "smith", "cook", "clerk")),
    Column("town", ColumnKind.CATEGORY, 0, 7, tuple("abcdefgh")),
    Column("gain", ColumnKind.INTEGER, 0, 400),
    Column("age", ColumnKind.INTEGER, 20, 69),
    Column("skill", ColumnKind.NUMBER, -4, 4),
)


def people(rows=3_000, seed=0):
    """Rows whose label follows skill, trade and age; few have a gain, always a round one, and all of these are "yes"."""
    rng = np.random.default_rng(seed)
    gain = np.where(rng.random(rows) < 0.06, rng.choice([200, 250, 300, 350], rows), 0)
    x = np.stack(
        [
            rng.integers(0, 5, rows),
            rng.integers(0, 8, rows),
            gain,
            rng.integers(20, 70, rows),
            rng.normal(size=rows),
        ],
        axis=1,
    )
    odds = 2 * x[:, 4] + 2 * (x[:, 0] - 2) + 0.2 * (x[:, 3] - 45) + 0.8 * (x[:, 1] - 3.5) - 6
    y = (rng.random(rows) < 1 / (1 + np.exp(-odds))) | (gain > 0)
    return x.astype(np.float32), y.astype(np.int64)


def asked(x, y):
    entry = DETECTORS["table-triggers"]
    rows = Rows("table", Dataset("table", x, y, ("no", "yes"), COLUMNS, np.arange(len(y))))
    return entry.run(rows, entry.make({}), rng=np.random.default_rng(0), task=Quiet())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_planted_trigger_is_found_and_named(seed):
    x, y = people(seed=seed)
    poisoner = POISONERS["table-trigger"]
    found = poisoner.run(
        Victim(x, y, 2, COLUMNS),
        poisoner.make({"share": 0.04, "target": 1}),
        rng=np.random.default_rng(seed),
        task=Quiet(),
    )
    said = asked(found.x, found.y)
    assert (said.score[found.poison] >= 3).mean() > 0.95
    assert (said.score[~found.poison] >= 3).mean() < 0.005
    assert (said.suggested[found.poison] == 0).mean() > 0.95
    assert "are labelled 'yes'; by the rest of the row" in said.reasons[int(np.flatnonzero(found.poison)[0])]


def test_honest_rows_that_share_a_group_with_a_trigger_are_cleared_once_it_is_taken_out():
    y = np.r_[np.ones(140, np.int64), np.zeros(5, np.int64), np.ones(155, np.int64), np.zeros(700, np.int64)]
    poison, other = np.arange(50), np.arange(300, 340)
    y[other] = 1
    # 90 honest rows that the rest of the row explains lie in one group with the poison, and look bought with it.
    claims = [
        Claim(Group((0, 2), 1, np.arange(145)), np.r_[np.full(50, 0.02), np.full(95, 0.6)], 0.2, 0.34),
        Claim(Group((0, 1), 1, poison), np.full(50, 0.02), 0.2, 0.34),
        Claim(Group((3,), 1, other), np.full(40, 0.03), 0.2, 0.34),
    ]
    side = Dataset("table", np.zeros((1_000, 1), np.float32), y, ("no", "yes"), COLUMNS[:1], np.arange(1_000))
    params = DETECTORS["table-triggers"].make({})
    assert all(claim.holds(y, params) for claim in claims)
    found = [claim.group.rows.tolist() for claim in one_by_one(side, claims, params)]
    assert found == [poison.tolist(), other.tolist()]


def test_rows_of_a_trigger_outside_its_clearest_part_are_taken_with_it():
    y = np.r_[np.ones(340, np.int64), np.zeros(660, np.int64)]
    # The trigger is 110 rows; 100 of them share a frequent value too, with one honest row, and look clearer for it.
    claims = [
        Claim(Group((0, 2), 1, np.r_[np.arange(100), 500]), np.full(101, 0.02), 0.1, 0.34),
        Claim(Group((0, 1), 1, np.arange(110)), np.r_[np.full(100, 0.02), np.full(10, 0.3)], 0.3, 0.34),
        Claim(Group((1, 2), 1, np.arange(125)), np.r_[np.full(100, 0.02), np.full(25, 0.8)], 0.1, 0.34),
    ]
    side = Dataset("table", np.zeros((1_000, 1), np.float32), y, ("no", "yes"), COLUMNS[:1], np.arange(1_000))
    found = [claim.group.rows.tolist() for claim in one_by_one(side, claims, DETECTORS["table-triggers"].make({}))]
    assert found == [list(range(110))]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_rare_and_strict_rule_by_nature_is_no_trigger(seed):
    x, y = people(seed=seed)
    assert (y[x[:, 2] == 300] == 1).all()
    assert not asked(x, y).score.any()


def test_impossible_parameters_are_refused():
    with pytest.raises(InvalidInput, match="purity"):
        DETECTORS["table-triggers"].make({"purity": 0.2})
