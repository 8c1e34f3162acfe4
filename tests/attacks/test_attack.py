"""The door: what is refused, with which words, and what an independent verdict says."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.attacks import evasion
from hauberk.attacks.attack import attack
from hauberk.attacks.budget import Ball
from hauberk.attacks.evasion import ATTACKS
from hauberk.attacks.verdict import SearchResult
from hauberk.core.errors import InvalidInput
from hauberk.models.adapting import as_model

torch = pytest.importorskip("torch")


def pgd(model, x, y, **settings):
    return evasion.pgd(model, x, y, **({"norm": "linf", "eps": 0.02, "steps": 3} | settings))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y: ((x * 255).astype(np.uint8), y), "/ 255"),
        (lambda x, y: (x * 255, y), r"outside \[0, 1\]"),
        (lambda x, y: (x - 1, y), "scale the input"),
        (lambda x, y: (np.where(np.arange(len(x))[:, None, None, None] == 2, np.nan, x), y), "first row 2"),
        (lambda x, y: (torch.from_numpy(x), y), "numpy"),
        (lambda x, y: (x, y + 1), r"expected \[0, 2\)"),
        (lambda x, y: (x, y - 1), r"expected \[0, 2\)"),
        (lambda x, y: (x, y.astype(float)), "whole numbers"),
        (lambda x, y: (x, y[:-1]), "whole numbers of shape"),
    ],
)
def test_inputs_that_mean_something_else_are_refused_with_the_way_out(change, words, linear):
    model, x, y, _, _ = linear
    with pytest.raises(InvalidInput, match=words):
        pgd(model, *change(x[:8], y[:8]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"eps": 0.0}, "nothing may change"),
        ({"eps": -1.0}, "0 or more"),
        ({"eps": float("nan")}, "0 or more"),
        ({"steps": 0}, "steps >= 1"),
        ({"norm": "l3"}, "linf, l2, l1"),
        ({"loss": "hinge"}, "cross-entropy, margin, dlr"),
        ({"low": 1.0, "high": 0.0}, "below"),
    ],
)
def test_impossible_budgets_and_settings_are_refused(settings, words, linear):
    model, x, y, _, _ = linear
    with pytest.raises(InvalidInput, match=words):
        pgd(model, x[:8], y[:8], **settings)


@pytest.mark.parametrize("targets", [np.zeros(3, np.int64), np.array([0, 1, 9, 9, 9, 9, 9, 9])])
def test_impossible_targets_are_refused(targets, linear):
    model, x, y, _, _ = linear
    with pytest.raises(InvalidInput, match="target"):
        pgd(model, x[:8], y[:8], targets=targets)


class Detached(torch.nn.Module):
    def forward(self, x):
        return x.detach().flatten(1)[:, :2]


class Wide(torch.nn.Module):
    def forward(self, x):
        return x.flatten(1)


def test_a_model_that_detaches_the_input_is_named(linear):
    _, x, y, _, _ = linear
    with pytest.raises(InvalidInput, match="no gradient reaches the input"):
        pgd(as_model(Detached(), classes=2), x, np.zeros_like(y))


def test_logits_of_another_shape_and_a_single_class_are_refused(linear):
    _, x, y, _, _ = linear
    with pytest.raises(InvalidInput, match=r"shape \(8, 16\), expected \(8, 2\)"):
        pgd(as_model(Wide(), classes=2), x[:8], y[:8])
    with pytest.raises(InvalidInput, match="one class"):
        evasion.square(lambda inputs: np.zeros((len(inputs), 1)), x[:8], np.zeros(8, np.int64), norm="l2", eps=1.0)


def test_dropout_and_batch_norm_in_training_mode_are_asked_in_evaluation_mode(pictures_like):
    x, y, net = pictures_like
    net.train()
    first = [part.running_mean.clone() for part in net.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    found = evasion.pgd(net, x, y, norm="linf", eps=0.05, steps=3)
    assert found.warnings == ()
    assert net.training
    for part, mean in zip([p for p in net.modules() if isinstance(p, torch.nn.BatchNorm2d)], first, strict=True):
        assert torch.equal(part.running_mean, mean)


@pytest.fixture
def pictures_like():
    rng = np.random.default_rng(0)
    x = rng.random((20, 1, 8, 8), dtype=np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3),
            torch.nn.BatchNorm2d(4),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.5),
            torch.nn.Flatten(),
            torch.nn.Linear(144, 3),
        )
    net.eval()
    with torch.no_grad():
        y = net(torch.from_numpy(x)).argmax(1).numpy()
    return x, y, net


def test_normalisation_is_part_of_the_model(pictures_like):
    x, y, net = pictures_like
    mean, std = (0.2,), (0.5,)
    inner = as_model(net, classes=3, mean=mean, std=std)
    wrapped = torch.nn.Sequential(Normal(), net)
    np.testing.assert_allclose(inner.scores(x), as_model(wrapped, classes=3).scores(x), atol=1e-5)
    one = evasion.pgd(inner, x, y, norm="linf", eps=0.05)
    two = evasion.pgd(wrapped, x, y, norm="linf", eps=0.05)
    np.testing.assert_array_equal(one.verdicts.fooled, two.verdicts.fooled)


class Normal(torch.nn.Module):
    def forward(self, x):
        return (x - 0.2) / 0.5


def test_the_judge_believes_no_attack(linear):
    """One that leaves the ball, one that returns NaN, one that did nothing: none of them fooled the model."""
    model, x, y, _, _ = linear
    entry = ATTACKS["pgd"]

    def cheat(_model, rows, *_rest, **_more):
        moved, nothing = rows.copy(), np.zeros(len(rows), np.int64)
        moved[0] += 0.3
        moved[1] = np.nan
        return SearchResult(moved, nothing, nothing)

    ball = Ball("linf", 0.02)
    found = attack(cheat, model, x[:5], y[:5], ball, entry.make({}), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(found.verdicts.allowed, [False, False, True, True, True])
    assert not found.verdicts.fooled.any()
    assert found.robust == 1.0
    assert found.success == 0.0
    np.testing.assert_allclose(found.verdicts.distance[2:], 0)
    expected = np.abs(np.diff(model.scores(x[2:5]), axis=1))[:, 0]
    np.testing.assert_allclose(found.verdicts.margin[2:], expected, rtol=1e-5)


def test_scores_close_to_rounding_give_a_warning(linear, linear_model):
    model, x, y, _, _ = linear
    faint = linear_model(1e-6 * model.weights, 1e-6 * model.bias)
    assert any("close to rounding" in word for word in pgd(faint, x[:8], y[:8]).warnings)
    assert not any("rounding" in word for word in pgd(model, x[:8], y[:8]).warnings)
