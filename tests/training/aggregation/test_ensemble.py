from __future__ import annotations

import numpy as np
import pytest

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.models.port import Model
from hauberk.training import Spec
from hauberk.training.aggregation import LEARNERS, Plan, aggregate, certify, from_builder, row_digests, vote


def few_trees(lesson, _params, *, rng, task):
    return LEARNERS["trees"].run(lesson, LEARNERS["trees"].make({"trees": 1}), rng=rng, task=task)


@pytest.mark.parametrize(("learner", "plan"), [("logistic", Plan(9)), (few_trees, Plan(5, 3))])
def test_poison_within_the_certificate_never_changes_a_certified_prediction(plan, learner, table):
    """A real attack: rows near the target are relabelled, removed or inserted with a wrong label, and all is retrained."""
    spec, x, y, asked, _ = table

    def votes(x, y):
        return vote(spec, x, y, asked, plan=plan, learner=learner, workers=1)

    honest = votes(x, y)
    before = certify(honest, classes=3, plan=plan)
    assert before.withstands.max() >= 1
    rng = np.random.default_rng(5)
    harmed = 0
    for target in rng.permutation(len(asked))[:3]:
        for rows in (1, 3):
            near = np.argsort(((x - asked[target]) / x.std(axis=0)) ** 2 @ np.ones(x.shape[1]))[:rows]
            wrong = (before.predicted[target] + 1) % 3
            flipped = y.copy()
            flipped[near] = wrong
            added = asked[[target] * rows] + rng.normal(0, 0.01, (rows, x.shape[1])).astype(np.float32)
            added[:, -1] = np.rint(asked[target, -1])
            attacks = [
                (x, flipped),
                (np.delete(x, near, axis=0), np.delete(y, near)),
                (np.concatenate([added, x]), np.concatenate([np.full(rows, wrong), y])),
            ]
            for poisoned in attacks:
                found = votes(*poisoned)
                assert ((found != honest).any(axis=0)).sum() <= rows * plan.spread
                after = certify(found, classes=3, plan=plan)
                safe = before.withstands >= rows
                assert (after.predicted[safe] == before.predicted[safe]).all()
                harmed += int((found != honest).any())
    assert harmed > 5  # the attack does reach votes


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_votes_do_not_depend_on_the_order_of_rows_or_the_number_of_workers(workers, table):
    spec, x, y, asked, _ = table
    order = np.random.default_rng(6).permutation(len(y))
    first = vote(spec, x, y, asked, plan=Plan(4), learner=few_trees, workers=1)
    assert (first == vote(spec, x[order], y[order], asked, plan=Plan(4), learner=few_trees, workers=workers)).all()


def test_a_new_category_in_one_part_changes_no_other_model(table):
    spec, x, y, asked, _ = table
    names = ("blue", "dark", "light", "middle")
    wider = Spec("table", spec.shape, 3, (*spec.columns[:-1], Column("shade", ColumnKind.CATEGORY, 0, 3, names)))
    moved, asks = x.copy(), asked.copy()
    moved[:, -1] += 1
    asks[:, -1] += 1
    poison = moved[:1] + 0.5
    poison[0, -1] = 0
    plan = Plan(8)
    before = vote(spec, x, y, asked, plan=plan, workers=1)
    after = vote(wider, np.concatenate([moved, poison]), np.append(y, 2), asks, plan=plan, workers=1)
    bucket = plan.buckets(row_digests(wider, poison))[0]
    assert (np.delete(before, bucket, 1) == np.delete(after, bucket, 1)).all()


def test_kept_models_vote_as_discarded_ones(table):
    spec, x, y, asked, truth = table
    plan = Plan(5)
    model = aggregate(spec, x, y, plan=plan, learner="logistic", workers=1)
    assert isinstance(model, Model)
    assert (model.votes(asked) == vote(spec, x, y, asked, plan=plan, learner="logistic", workers=1)).all()
    certificates = model.certify(asked)
    assert (model.scores(asked).argmax(axis=1) == certificates.predicted).all()
    assert certificates.accuracy_at(0, truth) > 0.8


def test_parts_without_rows_or_with_one_class_vote_too(table):
    spec, x, y, asked, _ = table
    votes = vote(spec, x[:6], y[:6], asked, plan=Plan(20), workers=1)
    assert votes.shape == (len(asked), 20)
    assert set(np.unique(votes)) <= {0, *y[:6].tolist()}


def test_the_teams_builder_and_the_small_net_learn_pictures(digits):
    from sklearn.linear_model import LogisticRegression

    rows = slice(0, 240)
    learner = from_builder(lambda: LogisticRegression(C=0.1, max_iter=200))
    plan = Plan(2)
    for each in (learner, "net"):
        votes = vote(digits.spec, digits.x[rows], digits.y[rows], digits.x_test, plan=plan, learner=each, workers=1)
        assert certify(votes, classes=10, plan=plan).accuracy_at(0, digits.y_test) > 0.7


def test_a_learner_for_other_data_is_refused_and_suitable_ones_are_named(digits, table):
    with pytest.raises(InvalidInput, match="logistic"):
        vote(digits.spec, digits.x, digits.y, digits.x_test, plan=Plan(4), learner="trees")
    spec, x, y, asked, _ = table
    with pytest.raises(InvalidInput, match="labels"):
        vote(spec, x, y + 5, asked, plan=Plan(4))
    with pytest.raises(InvalidInput, match="shape"):
        vote(spec, x[:, :3], y, asked, plan=Plan(4))
