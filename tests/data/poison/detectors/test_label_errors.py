"""Label errors: flips of both kinds come first, ambiguity by nature is not flagged, and the pair matrix finds its pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.core.errors import InvalidInput
from hauberk.data.poison.detectors.label_errors import Params, doubts, rarity


def classes_that_overlap(n, k, *, sharpness, seed=0):
    """True classes drawn from known probabilities: an honest, calibrated and ambiguous world."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, k)) * sharpness
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(k, p=row) for row in probabilities])
    return y, (probabilities + 1e-4) / (probabilities + 1e-4).sum(axis=1, keepdims=True), rng


def seen_through(probabilities, matrix):
    """What a model says that learned from labels given by `matrix` (true class, given class)."""
    return probabilities @ matrix


def recall_at(scores, wrong, share=0.005):
    bar = np.quantile(scores[~wrong], 1 - share)
    return (scores[wrong] > bar).mean()


def test_flips_to_any_class_come_first():
    y, clear, rng = classes_that_overlap(4000, 5, sharpness=6)
    wrong = rng.random(len(y)) < 0.1
    given_ = np.where(wrong, (y + rng.integers(1, 5, len(y))) % 5, y)
    matrix = 0.9 * np.eye(5) + 0.025 * (1 - np.eye(5))
    seen = seen_through(clear, matrix)
    doubt = doubts(given_, seen, pairs=0.6, sharpen=1.5)[np.arange(len(y)), given_]
    assert recall_at(doubt, wrong) > 0.6


def test_flips_between_pairs_are_found_where_the_label_alone_does_not_tell():
    y, clear, rng = classes_that_overlap(4000, 10, sharpness=6, seed=1)
    wrong = rng.random(len(y)) < 0.1
    given_ = np.where(wrong, (y + 1) % 10, y)
    seen = seen_through(clear, 0.9 * np.eye(10) + 0.1 * np.roll(np.eye(10), 1, axis=1))
    each = np.arange(len(y))
    joined = doubts(given_, seen, pairs=0.6, sharpen=1.5)[each, given_]
    alone = doubts(given_, seen, pairs=0.0, sharpen=1.5)[each, given_]
    assert recall_at(joined, wrong) > recall_at(alone, wrong)


@pytest.mark.parametrize("sharpness", [0.5, 2, 5])
def test_what_is_ambiguous_by_nature_is_not_flagged(sharpness):
    y, probabilities, _ = classes_that_overlap(5000, 4, sharpness=sharpness, seed=2)
    score = rarity(y, probabilities, doubts(y, probabilities, pairs=0.6, sharpen=1.5))
    assert (score >= -np.log10(0.005)).mean() <= 0.01


def few(other, seed):
    """Few rows, labelled as the probabilities of the second of two classes say."""
    rng = np.random.default_rng(seed)
    y = (rng.random(len(other)) < other).astype(np.int64)
    return y, np.stack([1 - other, other], axis=1)


def loud(y, probabilities, **values):
    score = rarity(y, probabilities, doubts(y, probabilities, pairs=0.6, sharpen=1.5), **values)
    return int((score >= 3).sum())


def test_a_small_class_that_is_never_certain_is_quiet_and_one_with_wrong_labels_is_not():
    # Patients: some risk remains with the best signs, and it grows from row to row.
    growing = 0.005 * 100 ** np.linspace(0, 1, 400)
    # Clear rows of both classes, one in ten with a wrong label: the model learned so much doubt about each.
    level = np.repeat([0.1, 0.9], [300, 150])
    quiet = [loud(*few(growing, seed), steepest=2.25) for seed in range(10)]
    assert np.mean(quiet) <= 0.005 * 400
    assert np.mean([loud(*few(growing, seed)) for seed in range(10)]) > 2 * np.mean(quiet)
    assert min(loud(*few(level, seed), steepest=2.25) for seed in range(10)) > 20


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_the_order_of_rows_does_not_matter(seed, k):
    y, probabilities, rng = classes_that_overlap(200, k, sharpness=3, seed=seed)
    if len(np.unique(y)) < k:
        return
    order = rng.permutation(len(y))
    one = rarity(y, probabilities, doubts(y, probabilities, pairs=0.6, sharpen=1.5))
    other = rarity(y[order], probabilities[order], doubts(y[order], probabilities[order], pairs=0.6, sharpen=1.5))
    assert np.allclose(one[order], other, atol=0.02)


@pytest.mark.parametrize("values", [{"pairs": -0.1}, {"pairs": 1.1}, {"sharpen": 0.5}, {"sharpen": float("nan")}])
def test_impossible_parameters_are_refused(values):
    with pytest.raises(InvalidInput, match="expected pairs"):
        Params(**values)
