"""What each attack finds, held against closed forms on a linear model and against slow obvious twins."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.attacks import evasion
from hauberk.attacks.budget import Ball
from hauberk.core.threats import Norm
from hauberk.models.adapting import as_model

torch = pytest.importorskip("torch")

DUAL = {"linf": 1, "l2": 2, "l1": np.inf}
EPS = {"linf": 0.02, "l2": 0.07, "l1": 0.1}  # small enough for the box never to bind


def distances(weights, bias, x, norm):
    """How far each row is from the plane."""
    return np.abs(x.reshape(len(x), -1) @ weights + bias) / np.linalg.norm(weights, ord=DUAL[norm])


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize(
    "attack",
    [
        evasion.fgsm,
        lambda *a, **k: evasion.pgd(*a, loss="margin", momentum=0.5, **k),
        lambda *a, **k: evasion.apgd(*a, steps=40, **k),
        lambda *a, **k: evasion.apgd(*a, steps=40, loss="dlr", classes=9, **k),
        lambda *a, **k: evasion.fab(*a, steps=10, **k),
        evasion.deepfool,
        lambda *a, **k: evasion.fmn(*a, steps=60, **k),
    ],
    ids=["fgsm", "pgd", "apgd-ce", "apgd-t", "fab", "deepfool", "fmn"],
)
def test_a_ball_attack_fools_what_the_closed_form_says_can_fall(attack, norm, linear):
    model, x, y, weights, bias = linear
    x, y = x[:80], y[:80]
    far = distances(weights, bias, x, norm)
    slack = 0.35 if norm == "l1" else 0.03  # L1 steps move a few pixels, the optimum a single one
    found = attack(model, x, y, norm=norm, eps=EPS[norm]).verdicts
    assert 0.2 < (far < EPS[norm]).mean() < 0.9
    assert not found.fooled[far > 1.001 * EPS[norm]].any()
    assert found.fooled[far < (1 - slack) * EPS[norm]].all()


@pytest.mark.parametrize(
    ("attack", "norm", "slack"),
    [
        (lambda *a, **k: evasion.fab(*a, steps=30, **k), "linf", 0.01),
        (lambda *a, **k: evasion.fab(*a, steps=30, **k), "l2", 0.01),
        (lambda *a, **k: evasion.fab(*a, steps=30, **k), "l1", 0.05),
        (evasion.deepfool, "linf", 0.03),
        (evasion.deepfool, "l2", 0.03),
        (evasion.deepfool, "l1", 0.03),
        (evasion.fmn, "linf", 0.05),
        (evasion.fmn, "l2", 0.05),
        (evasion.ddn, "l2", 0.05),
        (evasion.carlini_wagner, "l2", 0.05),
    ],
)
def test_the_smallest_change_is_the_distance_to_the_plane(attack, norm, slack, linear):
    model, x, y, weights, bias = linear
    x, y = x[:40], y[:40]
    far = distances(weights, bias, x, norm)
    inside = far < 0.25  # where the plane is reached before the box ends
    found = attack(model, x, y, norm=norm).verdicts
    assert found.fooled[inside].all()
    ratio = found.distance[inside] / np.maximum(far[inside], 1e-3)
    assert (ratio[far[inside] > 1e-2] >= 0.999).all()
    assert np.median(ratio[far[inside] > 1e-2]) <= 1 + slack


def test_targets_are_reached_and_other_classes_do_not_count(pictures):
    x, y = pictures.x[:40], pictures.y[:40]
    targets = (y + 3) % 10
    for attack in (evasion.pgd, evasion.apgd, evasion.fab):
        found = attack(pictures.net, x, y, norm="linf", eps=0.3, steps=15, targets=targets)
        fooled = found.verdicts.fooled & found.verdicts.right
        assert fooled.any()
        with torch.no_grad():
            said = as_model(pictures.net, classes=10).scores(found.x).argmax(1)
        np.testing.assert_array_equal(said[fooled], targets[fooled])


def test_auto_attack_is_no_weaker_than_its_parts_and_says_nothing_of_an_honest_model(pictures):
    x, y = pictures.x[:40], pictures.y[:40]
    whole = evasion.auto_attack(pictures.net, x, y, norm="linf", eps=0.05)
    part = evasion.apgd(pictures.net, x, y, norm="linf", eps=0.05)
    assert whole.robust <= part.robust
    assert whole.warnings == ()


class Rounded(torch.nn.Module):
    """Rounds its input: a defence that hides the gradient and stops no one who does not ask for it."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net((x * 15).round() / 15 + 0 * x)


def test_masked_gradients_give_a_warning(pictures):
    x, y = pictures.x[:60], pictures.y[:60]
    found = evasion.auto_attack(Rounded(pictures.net), x, y, norm="linf", eps=0.15)
    assert any("gradients may be masked" in warning for warning in found.warnings)
    assert found.robust < evasion.pgd(Rounded(pictures.net), x, y, norm="linf", eps=0.15).robust


class Noisy(torch.nn.Module):
    """Adds noise to its input, and so never answers twice alike."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x + 0.2 * torch.randn_like(x))


def test_a_random_model_gives_a_warning_and_can_be_averaged(pictures):
    x, y = pictures.x[:20], pictures.y[:20]
    once = evasion.pgd(Noisy(pictures.net), x, y, norm="linf", eps=0.1, steps=5)
    assert any("when it is asked again" in warning for warning in once.warnings)

    def averaged():
        with torch.random.fork_rng():  # the model draws from torch's own generator, which attacks leave alone
            torch.manual_seed(0)
            return evasion.auto_attack(Noisy(pictures.net), x, y, norm="linf", eps=0.1, draws=20)

    one, two = averaged(), averaged()
    assert not any("when it is asked again" in warning for warning in one.warnings)
    np.testing.assert_array_equal(one.x, two.x)
    assert one.robust < one.accuracy


def l1_by_sorting(x, origin, eps):
    """The nearest point of the L1 ball: Duchi et al. 2008, figure 1."""
    delta = (x - origin).ravel()
    if np.abs(delta).sum() <= eps:
        return x
    ordered = np.sort(np.abs(delta))[::-1]
    rank = np.flatnonzero(ordered * np.arange(1, len(ordered) + 1) > ordered.cumsum() - eps)[-1]
    threshold = (ordered.cumsum()[rank] - eps) / (rank + 1)
    return origin + (np.sign(delta) * np.maximum(np.abs(delta) - threshold, 0)).reshape(x.shape)


def test_the_l1_projection_is_that_by_sorting_where_the_box_does_not_bind():
    rng = np.random.default_rng(0)
    origin = np.zeros((20, 1, 4, 4), np.float32)
    x = rng.normal(0, 1, origin.shape).astype(np.float32)
    ours = Ball(Norm.L1, 2.0, low=-9, high=9).project(x, origin)
    for row, point, start in zip(ours, x, origin, strict=True):
        np.testing.assert_allclose(row, l1_by_sorting(point, start, 2.0), atol=1e-5)


@pytest.mark.parametrize("norm", list(Norm))
def test_the_step_to_a_plane_is_the_shortest_in_the_box(norm):
    """Held against bisection over the multiplier, in float64 and one row at a time."""
    from hauberk.attacks.evasion.methods._minimal import lengths, to_plane

    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.random((30, 1, 5, 5), dtype=np.float32))
    normal = torch.from_numpy(rng.normal(size=x.shape).astype(np.float32))
    rise = torch.from_numpy(rng.uniform(-3, 3, 30).astype(np.float32))
    step = to_plane(x, normal, rise, Ball(norm, 1.0))
    assert (x + step).min() >= -1e-6
    assert (x + step).max() <= 1 + 1e-6
    gained = (normal * step).flatten(1).sum(1)
    for row in range(30):
        slope = normal[row].double().abs().flatten().numpy()
        up = (normal[row] * rise[row].sign() > 0).flatten().numpy()
        room = np.where(up, 1 - x[row].flatten().numpy(), x[row].flatten().numpy()).astype(float)
        wanted = min(abs(float(rise[row])), float(slope @ room))
        assert float(gained[row].abs()) == pytest.approx(wanted, abs=1e-3)
        assert float(lengths(step, norm)[row]) <= shortest(slope, room, wanted, norm) * 1.001 + 1e-4


def shortest(slope, room, wanted, norm):
    def size(t):
        if norm is Norm.L1:  # all coordinates steeper than the threshold go as far as they can
            return np.where(slope > 1 / t - 1e-9, room, 0) if t else 0 * room
        return np.minimum(t * (slope if norm is Norm.L2 else 1), room)

    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope @ size(middle) < wanted else (low, middle)
    return np.linalg.norm(size(high), ord={"linf": np.inf, "l2": 2, "l1": 1}[norm])


@pytest.mark.parametrize("attack", [evasion.deepfool, evasion.fab, evasion.fmn])
def test_large_logits_do_not_hide_a_success(attack, pictures):
    """A row counts as fallen when it is wrong by more than rounding, which grows with the logits."""

    class Louder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = pictures.net

        def forward(self, x):
            return 300 * self.net(x)

    x, y = pictures.x[:60], pictures.y[:60]
    plain, loud = (
        attack(model, x, y, norm="linf", eps=0.3)
        for model in (as_model(pictures.net, classes=10), as_model(Louder(), classes=10))
    )
    assert plain.verdicts.fooled.mean() > 0.9
    assert loud.verdicts.fooled.sum() >= plain.verdicts.fooled.sum() - 1
