from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput
from hauberk.training.aggregation import Plan, certify


def taught(plan, buckets):
    """The models that learn from any of these buckets."""
    return sorted({int(b + step) % plan.models for b in buckets for step in plan.offsets})


def winner(votes, classes):
    return max(range(classes), key=lambda label: (list(votes).count(label), -label))


def movable(votes, classes, plan, rows):
    """Whether some poisoning of `rows` buckets, by any change of the votes they teach, changes the prediction."""
    before = winner(votes, classes)
    for buckets in combinations(range(plan.models), rows):
        models = taught(plan, buckets)
        for fresh in product(range(classes), repeat=len(models)):
            changed = list(votes)
            for model, label in zip(models, fresh, strict=True):
                changed[model] = label
            if winner(changed, classes) != before:
                return True
    return False


def slow(votes, classes, plan):
    """The certificate as a student would write it, one rival and one bucket at a time."""
    chosen = winner(votes, classes)
    best = plan.models
    for rival in range(classes):
        if rival == chosen:
            continue
        margin = list(votes).count(chosen) - list(votes).count(rival) - (1 if rival < chosen else 0)
        costs = sorted(
            (sum({chosen: 2, rival: 0}.get(votes[m], 1) for m in taught(plan, [b])) for b in range(plan.models)),
            reverse=True,
        )
        rows = 0
        while rows < len(costs) and sum(costs[: rows + 1]) <= margin:
            rows += 1
        best = min(best, rows)
    return best


@pytest.mark.parametrize(("plan", "classes"), [(Plan(5), 3), (Plan(6), 2), (Plan(3, 2), 2), (Plan(4, 2), 2)])
def test_no_change_of_votes_within_the_certificate_moves_the_prediction(plan, classes):
    rng = np.random.default_rng(1)
    votes = rng.integers(0, classes, (25, plan.models))
    votes[:10] = np.where(rng.random((10, plan.models)) < 0.8, 1, votes[:10])
    found = certify(votes, classes=classes, plan=plan)
    assert found.withstands.max() >= 1
    for row, certified in zip(votes.tolist(), found.withstands, strict=True):
        # More buckets teach more votes, so the largest allowed number covers the smaller ones.
        assert not movable(row, classes, plan, int(certified))


@pytest.mark.parametrize(("plan", "classes"), [(Plan(5), 3), (Plan(7), 2)])
def test_one_more_row_than_certified_can_move_the_prediction_of_disjoint_parts(plan, classes):
    votes = np.random.default_rng(2).integers(0, classes, (30, plan.models))
    found = certify(votes, classes=classes, plan=plan)
    for row, certified in zip(votes.tolist(), found.withstands, strict=True):
        assert movable(row, classes, plan, int(certified) + 1)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_the_fast_form_equals_the_slow_twin(data):
    plan = Plan(data.draw(st.integers(2, 8)), data.draw(st.integers(1, 4)))
    classes = data.draw(st.integers(2, 5))
    lists = st.lists(st.integers(0, classes - 1), min_size=plan.models, max_size=plan.models)
    votes = data.draw(lists)
    found = certify(np.array([votes]), classes=classes, plan=plan)
    assert found.predicted[0] == winner(votes, classes)
    assert found.withstands[0] == slow(votes, classes, plan)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=3, max_size=40))
def test_with_disjoint_parts_it_is_half_the_margin(votes):
    found = certify(np.array([votes]), classes=4, plan=Plan(len(votes)))
    chosen = int(found.predicted[0])
    margins = [votes.count(chosen) - votes.count(c) - (c < chosen) for c in range(4) if c != chosen]
    assert found.withstands[0] == min(margins) // 2


def test_a_tie_goes_to_the_lower_class_and_withstands_nothing():
    found = certify(np.array([[2, 1, 1, 2]]), classes=3, plan=Plan(4))
    assert found.predicted.tolist() == [1]
    assert found.withstands.tolist() == [0]


def test_accuracy_falls_along_the_curve_and_ends_at_zero():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 200)
    votes = np.where(rng.random((200, 20)) < 0.7, y[:, None], rng.integers(0, 3, (200, 20)))
    found = certify(votes, classes=3, plan=Plan(20))
    curve = found.curve(y)
    heights = [point["y"] for point in curve]
    assert heights[0] == pytest.approx((found.predicted == y).mean())
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] == 0
    assert heights[-2] > 0
    assert heights[3] == pytest.approx(found.accuracy_at(3, y))


def test_no_rows_give_no_certificates():
    assert len(certify(np.zeros((0, 4), int), classes=2, plan=Plan(4)).withstands) == 0


@pytest.mark.parametrize(
    "votes", [np.zeros((3, 5), int), np.zeros((3, 4)), np.full((3, 4), 2), np.full((3, 4), -1)]
)
def test_invalid_votes_are_refused(votes):
    with pytest.raises(InvalidInput, match="votes"):
        certify(votes, classes=2, plan=Plan(4))
