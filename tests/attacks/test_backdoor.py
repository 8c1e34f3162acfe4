from __future__ import annotations

import numpy as np
import pytest

from hauberk.attacks.backdoor import before_and_after, effect
from hauberk.attacks.poisoning import Poisoned
from hauberk.core.errors import InvalidInput


class Rule:
    """Says the class that the first value names, and class 1 where the second value is 9."""

    classes = 3

    def __init__(self, *, caught):
        self.caught = caught

    def scores(self, x):
        said = x[:, 0].astype(int)
        if self.caught:
            said = np.where(x[:, 1] == 9, 1, said)
        return np.eye(3, dtype=np.float32)[said]


def poison(target):
    def trigger(x):
        found = x.copy()
        found[:, 1] = 9
        return found

    empty = np.zeros((0, 2), np.float32)
    none = np.zeros(0, np.int64)
    return Poisoned(empty, none, none.astype(bool), none, trigger, target)


X = np.array([[0, 0], [1, 0], [2, 0], [0, 0]], np.float32)
Y = np.array([0, 1, 2, 2])


def test_success_excludes_rows_of_the_target_and_accuracy_counts_clean_rows():
    found = effect(Rule(caught=True), X, Y, poison(1))
    assert (found.accuracy, found.success, found.asked) == (0.75, 1.0, 3)
    assert effect(Rule(caught=False), X, Y, poison(1)).success == 0


def test_all_to_all_asks_for_the_class_after():
    assert effect(Rule(caught=True), X, Y, poison(None)).success == 0.25


def test_a_poison_without_trigger_has_no_success():
    honest = Poisoned(X, Y, np.zeros(4, bool), np.arange(4))
    assert effect(Rule(caught=True), X, Y, honest).success is None
    with pytest.raises(InvalidInput, match="one label"):
        effect(Rule(caught=True), X, Y[:2], honest)


def test_before_measures_the_poisoned_rows_and_after_the_repaired_rows():
    dirty = poison(1)
    outcome = before_and_after(lambda _, y: Rule(caught=not len(y)), dirty, X, Y, X, Y)
    assert outcome.before.success == 1
    assert outcome.after.success == 0
    assert outcome.loss == 0
