"""Stickers, turns, corruptions, and what carries over from another model: each on real digits, each with its effect."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hauberk.attacks import evasion
from hauberk.attacks.evasion.methods._corruptions import FAMILIES
from hauberk.attacks.evasion.methods.corruptions import Corrupted
from hauberk.attacks.shapes import Affine, Patch
from hauberk.core.errors import InvalidInput
from hauberk.models.adapting import as_model

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def digits():
    raw = load_digits()
    x = (raw.images / 16).astype(np.float32)[:, None]
    return x, raw.target.astype(np.int64)


def trained(digits, seed, width=48):
    x, y = digits
    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 12, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(768, width),
        torch.nn.ReLU(), torch.nn.Linear(width, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    inputs, labels = torch.from_numpy(x[:1400]), torch.from_numpy(y[:1400])
    for step in range(80):
        rows = slice(350 * (step % 4), 350 * (step % 4 + 1))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs[rows]), labels[rows]).backward()
        optimizer.step()
    return as_model(net, classes=10)


@pytest.fixture(scope="module")
def model(digits):
    return trained(digits, 0)


@pytest.fixture(scope="module")
def held_out(digits):
    return digits[0][1400:1460], digits[1][1400:1460]


class Hidden:
    """A model that shows labels alone."""

    classes = 10

    def __init__(self, model):
        self._model, self.asked = model, 0

    def scores(self, x):
        self.asked += len(x)
        return np.eye(10, dtype=np.float32)[self._model.scores(x).argmax(axis=1)]


def noise_patch(x, share, seed=0):
    tall, wide = Patch(share).size(*x.shape[2:])
    y = x.copy()
    corner = (8 - tall) // 2
    y[:, :, corner : corner + tall, corner : corner + wide] = np.random.default_rng(seed).random((tall, wide))
    return y


def test_an_optimised_sticker_fools_more_than_a_noise_sticker(model, held_out):
    x, y = held_out
    found = evasion.patch(model, x, y, share=0.15, steps=30)
    assert found.verdicts.allowed.all()
    assert found.verdicts.distance.max() <= 0.15
    noise = (model.scores(noise_patch(x, 0.15)).argmax(axis=1) == y).mean()
    assert found.robust < noise - 0.3
    centre = evasion.patch(model, x, y, share=0.15, steps=30, place="centre")
    assert found.robust < centre.robust, "where it sticks counts"


def test_views_make_a_sticker_that_fools_under_other_views(model, held_out):
    from hauberk.attacks.evasion.methods import _stickers

    x, y = held_out
    shape = Patch(0.2)
    tall, wide = shape.size(8, 8)
    corner = torch.full((len(x), 2), (8 - tall) // 2)
    uniform = torch.rand((8, len(x), 5), generator=torch.Generator().manual_seed(3))

    def held(jitter):
        found = evasion.patch(model, x, y, share=0.2, steps=40, views=6, jitter=jitter, place="centre").x
        top = (8 - tall) // 2
        sticker = torch.from_numpy(found[:, :, top : top + tall, top : top + wide])
        shown = [
            _stickers.paste(torch.from_numpy(x), sticker, corner, _stickers.view(draw, 1.5), shape).numpy()
            for draw in uniform
        ]
        return np.mean([(model.scores(picture).argmax(axis=1) != y).mean() for picture in shown])

    assert held(1.5) > held(0.0) + 0.02


def test_a_universal_sticker_is_the_same_everywhere_and_fools_more_than_noise(model, held_out):
    x, y = held_out
    found = evasion.patch(model, x, y, share=0.25, steps=40, universal=True)
    right = found.verdicts.right
    changed = (found.x[right] != x[right]).any(axis=1)
    rectangle = changed.any(axis=0)
    down, along = np.flatnonzero(rectangle.any(axis=1)), np.flatnonzero(rectangle.any(axis=0))
    inside = found.x[right][:, :, down[0] : down[-1] + 1, along[0] : along[-1] + 1]
    np.testing.assert_allclose(inside, np.broadcast_to(inside[:1], inside.shape), atol=1e-6)
    noise = (model.scores(noise_patch(x, 0.25)).argmax(axis=1) == y).mean()
    again = evasion.patch(model, x, y, share=0.25, steps=40, universal=True, generator=1)
    assert (found.robust + again.robust) / 2 < noise - 0.2


def test_a_target_is_reached(model, held_out):
    x, y = held_out
    targets = (y + 1) % 10
    found = evasion.patch(model, x, y, share=0.3, steps=40, targets=targets)
    fell = found.verdicts.fooled
    assert fell.mean() > 0.5
    np.testing.assert_array_equal(model.scores(found.x[fell]).argmax(axis=1), targets[fell])


def test_the_whole_grid_finds_the_worst_rotation_and_few_tries_find_less(model, held_out):
    x, y = held_out
    whole = evasion.spatial(model, x, y, degrees=20, pixels=1)
    assert whole.verdicts.allowed.all()
    budget = Affine(20, 1)
    falls = np.zeros(len(x), bool)
    for choice in budget.choices:
        falls |= model.scores(budget.warp(x, choice)).argmax(axis=1) != y
    np.testing.assert_array_equal(whole.verdicts.fooled[whole.verdicts.right], falls[whole.verdicts.right])
    some = evasion.spatial(model, x, y, degrees=20, pixels=1, tries=10)
    assert some.verdicts.queries.max() <= 10
    assert whole.robust <= some.robust < whole.accuracy


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_a_corruption_is_a_valid_picture_grows_with_severity_and_is_reproducible(name, shape):
    x = np.random.default_rng(1).random((2, *shape), dtype=np.float32)
    x = (x + np.roll(x, 1, 2) + np.roll(x, 1, 3)) / 3  # smooth enough for blurs to have something to do
    budget = Corrupted(5, (name,))
    made = [budget.make(x, severity, name) for severity in (1, 5)]
    for picture in made:
        assert (picture.shape, picture.dtype) == (x.shape, np.float32)
        assert 0 <= picture.min() <= picture.max() <= 1
        assert budget.allows(picture, x).all()
    np.testing.assert_array_equal(budget.make(x, 5, name), made[1])
    away = [np.abs(picture - x).mean() for picture in made]
    assert away[1] >= away[0]
    assert (away[1] > 1e-4) or shape[1] == 8, "a blur of a quarter pixel is none"
    assert not budget.allows(np.clip(made[1] + 0.01, 0, 1), x).any()
    np.testing.assert_array_equal(budget.make(x[::-1], 5, name)[::-1], made[1])


def test_the_worst_corruption_is_worse_than_each(model, held_out):
    x, y = held_out
    found = evasion.corruptions(model, x, y, severity=4)
    table = evasion.accuracy_by_corruption(model, x, y)
    assert set(table) == set(FAMILIES)
    assert found.robust <= min(shares[3] for shares in table.values()) + 1e-9
    assert found.verdicts.allowed.all()
    assert found.verdicts.distance[found.verdicts.right].max() == 4.0
    mild = evasion.corruptions(model, x, y, severity=4, mild=True)
    assert mild.robust <= found.robust
    assert mild.verdicts.distance[mild.verdicts.fooled].mean() < 4
    with pytest.raises(InvalidInput, match="rain"):
        evasion.corruptions(model, x, y, families=("rain",))
    with pytest.raises(InvalidInput, match="1 to 5"):
        evasion.corruptions(model, x, y, severity=6)


def test_transferred_inputs_fool_a_hidden_model_more_than_noise_does(digits, model, held_out):
    x, y = held_out
    hidden, others = Hidden(model), [trained(digits, seed, 32) for seed in (1, 2)]
    one = evasion.transfer(hidden, x, y, surrogates=others[:1], norm="linf", eps=0.2)
    two = evasion.transfer(hidden, x, y, surrogates=others, norm="linf", eps=0.2)
    noise = evasion.label_search(hidden, x, y, norm="linf", eps=0.2, queries=1)
    assert one.verdicts.allowed.all()
    assert one.robust < noise.robust - 0.2
    assert two.robust <= one.robust + 0.03
    assert not two.verdicts.queries.any()
    with pytest.raises(InvalidInput, match="differentiable"):
        evasion.transfer(hidden, x, y, surrogates=[hidden], norm="linf", eps=0.2)


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.25), ("l2", 2.0), ("l1", 12.0)])
def test_a_longer_search_for_labels_never_finds_less(model, held_out, norm, eps):
    x, y = held_out
    short, long = (evasion.label_search(Hidden(model), x, y, norm=norm, eps=eps, queries=q) for q in (5, 50))
    assert not (short.verdicts.fooled & ~long.verdicts.fooled).any()
    assert long.robust < long.accuracy
    assert long.verdicts.queries.max() <= 50
    assert long.verdicts.allowed.all()


def test_shapes_name_the_attack_that_fits_them(model, held_out):
    from hauberk.attacks.attack import attack
    from hauberk.attacks.budget import Ball
    from hauberk.attacks.evasion import ATTACKS
    from hauberk.core.threats import Norm

    x, y = held_out
    for name in ("patch", "spatial", "corruptions"):
        entry = ATTACKS[name]
        for budget in (Ball(Norm.LINF, 0.1), Patch(0.1) if name != "patch" else Affine()):
            with pytest.raises(InvalidInput):
                attack(entry.run, model, x, y, budget, entry.make({}), rng=np.random.default_rng(0))
