"""Rounds: successful points join the pool, and the round that is best on held-out rows is fitted again."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from hauberk.core.progress import Quiet
from hauberk.training import rounds

ROWS, ROUNDS = 100, 3


class Threshold:
    """Predicts class 1 from a threshold on; the threshold moves with each fit."""

    def __init__(self, threshold):
        self.threshold = threshold

    def scores(self, x):
        return np.stack([self.threshold - x[:, 0], x[:, 0] - self.threshold], axis=1)


def hardened(thresholds):
    """Every row is right with a threshold of 0.5; the attack moves rows by 0.2 towards the other class."""
    x = np.concatenate([np.linspace(0, 0.2, ROWS // 2), np.linspace(0.8, 1, ROWS // 2)]).astype(np.float32)[:, None]
    y = np.repeat([0, 1], ROWS // 2)
    fitted, left = [], list(thresholds)

    def fit(rows, labels):
        fitted.append(len(rows))
        assert len(rows) == len(labels)
        return Threshold(left.pop(0))

    def step(_model, rows, labels, _budget, _params, *, rng):
        assert isinstance(rng, np.random.Generator)
        return rows + np.where(labels == 0, 0.2, -0.2).astype(np.float32)[:, None]

    params = SimpleNamespace(rounds=ROUNDS, rows=10)
    attack = rounds.Attack(step, params, budgets=(None,))
    return rounds.harden(fit, x, y, attack=attack, seed=0, task=Quiet()), fitted


def test_the_best_round_is_kept_and_fitted_again_with_the_held_out_rows_and_their_points():
    # Thresholds near one class lose its attacked rows; the second round, in the middle, loses none.
    result, fitted = hardened([0.25, 0.75, 0.5, 0.25, 0.5])
    assert result.best == 2
    assert [entry["clean"] for entry in result.history] == [1.0] * (ROUNDS + 1)
    assert result.history[2]["robust"] == 1.0
    assert max(result.history[number]["robust"] for number in (0, 1, 3)) < 1.0
    assert fitted == [
        80,
        90,
        100,
        110,
        100 + 2 * 20,
    ]  # ten points a round; at the end, 20 held-out rows and their points


def test_the_plain_fit_is_kept_on_all_rows_when_no_round_is_better():
    result, fitted = hardened([0.5, 0.25, 0.25, 0.25, 0.5])
    assert result.best == 0
    assert fitted[-1] == ROWS
