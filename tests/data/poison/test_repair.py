"""Repair: no row is lost, labels change only on strong evidence, and the poison's effect is gone afterwards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

from hauberk.attacks.backdoor import before_and_after
from hauberk.attacks.poisoning import POISONERS
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.data.poison.detectors import Rows
from hauberk.data.poison.drilling import poisoned_copy
from hauberk.data.poison.repair import repair
from hauberk.data.poison.screening import Screening, screen_rows
from hauberk.data.reading.dataset import Dataset

RATE = 0.005


def screening(scores, detectors, suggested=None, k=3):
    scores = np.asarray(scores, np.float64)
    suggested = np.full(len(scores), -1) if suggested is None else np.asarray(suggested)
    return Screening(
        scores,
        scores >= -np.log10(RATE),
        np.asarray(detectors),
        {row: f"why {row}" for row in np.flatnonzero(scores >= 2).tolist()},
        suggested.astype(np.int64),
        tuple("abcde"[:k]),
        RATE,
        (),
        (),
        {},
    )


def table(n=2500, seed=0):
    rng = np.random.default_rng(seed)
    columns = tuple(Column(f"n{i}", ColumnKind.NUMBER, -5, 5) for i in range(3)) + tuple(
        Column(f"c{i}", ColumnKind.CATEGORY, 0, 11, tuple("abcdefghijkl")) for i in range(4)
    )
    numbers, codes = rng.normal(size=(n, 3)), rng.integers(0, 12, (n, 4))
    y = (numbers[:, 0] + 0.8 * numbers[:, 1] + (codes[:, 0] > 7) > 0.9).astype(np.int64)
    x = np.concatenate([numbers, codes], axis=1).astype(np.float32)
    return Dataset("table", x, y, ("no", "yes"), columns, np.arange(n))


class Tree:
    classes = 2

    def __init__(self, x, y):
        self.model = DecisionTreeClassifier(min_samples_leaf=3, random_state=0).fit(x, y)

    def scores(self, x):
        return self.model.predict_proba(x).astype(np.float32)


def test_the_backdoor_is_gone_and_clean_accuracy_is_kept():
    side, test = table(), table(1500, seed=1)
    copy, poisoned = poisoned_copy(POISONERS["table-trigger"], side, share=0.06, seed=0)
    found = screen_rows(Rows("table", copy, None, (), 0), detectors={"table-triggers": {}, "floods": {}})
    done = repair(found, copy.y)
    fixed = done.applied(copy)
    outcome = before_and_after(Tree, poisoned, fixed.x, fixed.y, test.x, test.y)
    honest = Tree(side.x, side.y).scores(poisoned.trigger(test.x[test.y != poisoned.target])).argmax(axis=1)
    by_chance = (honest == poisoned.target).mean()  # the trigger's own values say a little about the label
    assert outcome.before.success > 0.9
    assert outcome.after.success <= by_chance + 0.03
    assert outcome.loss <= 0.01
    assert done.quarantined[poisoned.poison].mean() > 0.95
    assert done.quarantined[~poisoned.poison].mean() < 0.01


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_kept_and_quarantined_are_all_rows_and_every_touched_row_has_a_reason(data):
    n, k = data.draw(st.integers(1, 60)), 3
    ints = lambda low, high: st.lists(st.integers(low, high), min_size=n, max_size=n)  # noqa: E731
    y = np.array(data.draw(ints(0, k - 1)))
    scores = np.array(data.draw(ints(0, 50))) / 10
    names = np.array(["", "label-errors", "backdoors", "floods"])[data.draw(ints(0, 3))]
    found = screening(scores, names, data.draw(ints(-1, k - 1)))
    done = repair(found, y, relabel=data.draw(st.booleans()), thorough=data.draw(st.booleans()))
    assert sorted([*done.kept, *np.flatnonzero(done.quarantined)]) == list(range(n))
    assert not (done.quarantined & done.relabelled).any()
    assert (done.quarantined | done.relabelled)[found.flags].all()
    assert (done.labels[~done.relabelled] == y[~done.relabelled]).all()
    assert (done.labels[done.relabelled] != y[done.relabelled]).all()
    assert set(done.reasons) == set(np.flatnonzero(done.quarantined | done.relabelled).tolist())
    assert all(done.reasons.values())
    counts = done.to_json()
    assert counts["kept"] + counts["quarantined"] == counts["rows"] == n


def test_only_doubted_labels_are_changed_and_only_on_strong_evidence():
    found = screening(
        [4.0, 2.5, 4.0, 4.0, 0.0],
        ["label-errors", "label-errors", "backdoors", "label-errors", ""],
        [1, 1, 1, -1, -1],
    )
    done = repair(found, np.zeros(5, np.int64), relabel=True)
    assert done.relabelled.tolist() == [True, False, False, False, False]
    assert done.quarantined.tolist() == [False, True, True, True, False]
    assert done.reasons[0] == "label 'a' was changed to 'b': why 0"
    assert not repair(found, np.zeros(5, np.int64)).relabelled.any()


def test_rows_that_nearly_reach_the_rate_go_with_a_crowd_of_their_kind_and_not_without():
    y = np.repeat([0, 1], 500)
    scores, names = np.zeros(1000), np.full(1000, "", "U20")
    scores[:80], names[:80] = 4.0, "backdoors"
    scores[80:90], names[80:90] = 1.8, "backdoors"
    scores[500:502], names[500:502] = 4.0, "backdoors"
    scores[502:512], names[502:512] = 1.8, "backdoors"
    done = repair(screening(scores, names), y)
    assert np.flatnonzero(done.quarantined).tolist() == [*range(90), 500, 501]
    assert np.flatnonzero(repair(screening(scores, names), y, thorough=False).quarantined).tolist() == [
        *range(80),
        500,
        501,
    ]


def test_a_class_of_which_nothing_is_left_is_named():
    found = screening([4.0, 4.0, 0.0, 0.0], ["floods", "floods", "", ""])
    y = np.array([2, 2, 0, 1])
    assert repair(found, y).lost(y).tolist() == [2]
    assert not len(repair(screening([4.0, 0, 0, 0], ["floods", "", "", ""]), y).lost(y))


def test_honest_data_lose_no_more_than_was_flagged():
    scores = np.zeros(1000)
    scores[:4] = 2.4
    scores[4:40] = 1.8
    found = screening(scores, np.where(scores > 0, "backdoors", ""))
    assert not found.found
    assert repair(found, np.zeros(1000, np.int64)).quarantined.sum() == 4


def test_another_number_of_rows_is_refused():
    found = screening([0.0, 3.0], ["", "floods"])
    with pytest.raises(InvalidInput, match="2 rows"):
        repair(found, np.zeros(3, np.int64))
    with pytest.raises(InvalidInput, match="certain"):
        repair(found, np.zeros(2, np.int64), certain=float("nan"))
    with pytest.raises(InvalidInput, match="2 rows"):
        repair(found, np.zeros(2, np.int64)).applied(table(60))
