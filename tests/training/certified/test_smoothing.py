"""Smoothing: the binomial bound against scipy, the radius against geometry, the vote against PGD."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.models.torch_model import Encoded, TorchModel
from hauberk.training import Hardening, Options, Spec, methods
from hauberk.training.batch import Batch
from hauberk.training.certified import smoothing
from hauberk.training.certified.smoothing import ABSTAIN, Smoothing


@settings(max_examples=60, deadline=None)
@given(trials=st.integers(1, 3000), share=st.floats(0, 1), alpha=st.floats(1e-6, 0.4))
def test_the_bound_is_scipys_exact_one(trials, share, alpha):
    successes = round(share * trials)
    found = smoothing._lower_bound(successes, trials, alpha)
    exact = stats.binomtest(successes, trials, alternative="greater").proportion_ci(1 - alpha, method="exact").low
    assert found == pytest.approx(exact, abs=1e-9)
    if successes:  # the definition: at that share, as many successes or more have probability alpha
        assert stats.binom.sf(successes - 1, trials, found) == pytest.approx(alpha, rel=1e-4)


def test_a_bound_of_no_trials_is_refused():
    for successes, trials in ((-1, 5), (6, 5), (0, 0)):
        with pytest.raises(InvalidInput, match="successes in 1 trial or more"):
            smoothing._lower_bound(successes, trials, 0.01)


def half_space(weight, offset):
    layer = nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.stack([torch.zeros(4), torch.tensor(weight)]))
        layer.bias.copy_(torch.tensor([0.0, offset]))
    module = nn.Sequential(nn.Flatten(), layer)
    return TorchModel(Encoded(None, module), Spec("image", (1, 2, 2), 2), "cpu")


def test_the_radius_of_a_half_space_is_the_distance_to_its_edge():
    """Cohen et al. 2019, section 3: for a linear model the vote is that model, and the radius is exact."""
    weight, sigma = [2.0, -1.0, 0.5, 1.0], 0.5
    model = half_space(weight, 0.1)
    x = np.random.default_rng(0).normal(size=(30, 1, 2, 2)).astype(np.float32)
    signed = (x.reshape(30, 4) @ np.array(weight) + 0.1) / np.linalg.norm(weight)
    how = Smoothing(sigma, votes=4000)
    found = smoothing.certify(model, x, how, rng=torch.Generator().manual_seed(0))
    proven = found.classes != ABSTAIN
    assert (found.classes[proven] == (signed > 0)[proven]).all()
    assert (found.radii <= np.abs(signed)).all()
    sure = (np.abs(signed) > 0.2) & (np.abs(signed) < 0.8)
    assert sure.sum() > 5
    assert (found.radii[sure] > 0.8 * np.abs(signed[sure])).all()
    assert found.radii.max() <= sigma * stats.norm.ppf(0.001 ** (1 / 4000)) + 1e-9  # the most that votes can prove


def test_on_the_boundary_it_abstains():
    model = half_space([1.0, 0.0, 0.0, 0.0], 0.0)
    x = np.zeros((20, 1, 2, 2), np.float32)
    how, rng = Smoothing(0.5), torch.Generator().manual_seed(0)
    found = smoothing.certify(model, x, how, rng=rng)
    assert (found.classes == ABSTAIN).sum() >= 19
    assert (found.radii[found.classes == ABSTAIN] == 0).all()
    assert (smoothing.predict(model, x, how, rng=rng) == ABSTAIN).sum() >= 19
    far = np.full((5, 1, 2, 2), 3.0, np.float32)
    assert (smoothing.predict(model, far, how, rng=rng) == 1).all()


RADIUS = 0.4


def mlp(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(spec.features, 64), nn.ReLU(), nn.Linear(64, spec.classes))


@pytest.fixture(scope="module")
def models(digits):
    options = Options(epochs=20, learning_rate=5e-3)
    hardening = Hardening((Ball(Norm.L2, RADIUS),), "noise")
    plain = training.train(mlp, digits.spec, digits.x, digits.y, options=options).model
    return plain, training.train(mlp, digits.spec, digits.x, digits.y, hardening=hardening, options=options).model


def test_training_with_noise_certifies_more_and_pgd_does_not_turn_a_certified_vote(models, digits):
    x, y = digits.x_test[:80], digits.y_test[:80]
    how = Smoothing(0.5 * RADIUS)
    certified = []
    for model in models:
        found = smoothing.certify(model, x, how, rng=torch.Generator().manual_seed(1))
        certified.append((found.classes == y) & (found.radii > RADIUS))
    plain, noisy = (float(each.mean()) for each in certified)
    assert noisy > 0.5, certified
    assert noisy > plain + 0.05
    rows = np.flatnonzero(certified[1])
    pgd = methods.for_torch("pgd", {"steps": 30, "step": 0.1}, (Ball(Norm.L2, RADIUS),))
    origin, labels = torch.from_numpy(x[rows]), torch.from_numpy(y[rows])
    changed = pgd.perturb(models[1].module, Batch.of(origin, labels), rng=torch.Generator().manual_seed(2)).numpy()
    assert np.abs(changed - x[rows]).max() > 0.05
    given_classes = smoothing.predict(models[1], changed, how, rng=torch.Generator().manual_seed(3))
    assert (given_classes == y[rows]).all()


def test_the_same_seed_gives_the_same_certificates(models, digits):
    def radii(seed):
        rng = torch.Generator().manual_seed(seed)
        return smoothing.certify(models[1], digits.x_test[:5], Smoothing(0.3), rng=rng).radii

    assert (radii(4) == radii(4)).all()
    assert (radii(4) != radii(5)).any()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sigma": 0.0}, "`sigma` must be a finite number above 0"),
        ({"sigma": 0.5, "votes": 0}, "1 vote or more"),
        ({"sigma": 0.5, "alpha": 0.7}, "`alpha` is a probability"),
    ],
)
def test_settings_out_of_range_are_refused(values, said):
    with pytest.raises(InvalidInput, match=said):
        Smoothing(**values)


def test_noise_for_another_threat_is_refused(digits):
    hardening = Hardening((Ball(Norm.LINF, 0.1),), "noise")
    with pytest.raises(InvalidInput, match="certifies L2 balls"):
        training.train(mlp, digits.spec, digits.x, digits.y, hardening=hardening)
