"""Laws that every registered attack on images obeys, on digits."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.attacks.attack import attack
from hauberk.attacks.budget import Ball
from hauberk.attacks.evasion import ATTACKS
from hauberk.attacks.evasion.methods.corruptions import Corrupted
from hauberk.attacks.shapes import Affine, Patch
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.models.adapting import as_model

torch = pytest.importorskip("torch")

BALLS = {norm: Ball(norm, eps) for norm, eps in ((Norm.LINF, 0.15), (Norm.L2, 0.8), (Norm.L1, 3.0))}
# For each other region that attacks on images know: an example, and the largest distance in its own measure.
SHAPES = {Affine: (Affine(20.0, 1.0), 1.0), Corrupted: (Corrupted(3), 3.0), Patch: (Patch(0.15), 0.15)}
IMAGE = [entry for entry in ATTACKS if "image" in entry.kinds]
CASES = [(entry.name, norm) for entry in IMAGE for norm in entry.params.norms or (None,)]
NAMES = [entry.name for entry in IMAGE]
SHAPED = [entry.name for entry in IMAGE if entry.params.regions[0] in SHAPES]
ANYTIME = [entry.name for entry in IMAGE if entry.params.anytime]


def budget_of(name, norm=None):
    """Return the example budget of an attack, and the largest distance that it allows."""
    params = ATTACKS[name].params
    if params.regions[0] is Ball:
        ball = BALLS[norm or params.norms[0]]
        return ball, ball.eps
    return SHAPES[params.regions[0]]


def run(name, model, x, y, norm=None, seed=0, **settings):  # noqa: PLR0917 - reads like the attack's own signature
    entry = ATTACKS[name]
    params = entry.make({**entry.params.trial} | settings)
    return attack(entry.run, model, x, y, budget_of(name, norm)[0], params, rng=np.random.default_rng(seed))


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_it_stays_in_its_budget_and_the_box_and_fools_some(name, norm, pictures):
    x, y = pictures.x[:30], pictures.y[:30]
    found = run(name, pictures.net, x, y, norm)
    assert found.verdicts.allowed.all()
    assert (found.verdicts.distance <= budget_of(name, norm)[1] + 1e-5).all()
    assert found.x.min() >= 0
    assert found.x.max() <= 1
    assert found.x.dtype == np.float32
    assert found.robust < found.accuracy


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_rows_and_nothing_that_is_given_changes(name, pictures):
    x, y = pictures.x[:12].copy(), pictures.y[:12].copy()
    weights = {key: value.clone() for key, value in pictures.net.state_dict().items()}
    one, two = (run(name, pictures.net, x, y, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.x, two.x)
    np.testing.assert_array_equal(x, pictures.x[:12])
    np.testing.assert_array_equal(y, pictures.y[:12])
    assert all(torch.equal(value, weights[key]) for key, value in pictures.net.state_dict().items())
    assert all(weight.requires_grad for weight in pictures.net.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_attack_on_a_row_does_not_depend_on_order_or_other_rows(name, pictures):
    x, y = pictures.x[:24], pictures.y[:24]
    together = run(name, pictures.net, x, y).verdicts.fooled
    order = np.random.default_rng(1).permutation(24)
    np.testing.assert_array_equal(run(name, pictures.net, x[order], y[order]).verdicts.fooled, together[order])
    parts = [run(name, pictures.net, x[rows], y[rows]).verdicts.fooled for rows in (slice(0, 7), slice(7, 24))]
    np.testing.assert_array_equal(np.concatenate(parts), together)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_that_is_wrong_already_costs_nothing(name, pictures):
    x, y = pictures.x[:16], pictures.y[:16].copy()
    y[::2] = (y[::2] + 1) % 10
    found = run(name, pictures.net, x, y)
    wrong = ~found.verdicts.right
    assert wrong[::2].all()
    assert not (found.verdicts.queries + found.verdicts.gradients)[wrong].any()
    np.testing.assert_array_equal(found.x[wrong], x[wrong])
    assert found.robust <= 0.5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [0, 1, 259])
def test_none_one_and_a_ragged_number_of_rows(name, rows, pictures):
    x, y = pictures.x[:rows], pictures.y[:rows]
    few = {key: min(value, 3) for key, value in ATTACKS[name].params.trial.items()}
    found = run(name, pictures.net, x, y, **few)
    assert found.x.shape == x.shape
    assert len(found.verdicts.fooled) == rows


@pytest.mark.parametrize("name", NAMES)
def test_the_models_mode_and_the_random_states_stay(name, pictures):
    net = torch.nn.Sequential(pictures.net, torch.nn.Dropout(0.5)).train()
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - the state that must not move
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - as above
    run(name, net, pictures.x[:6], pictures.y[:6])
    assert all(part.training for part in net.modules())
    assert torch.equal(before[0], torch.random.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002 - as above
    pictures.net.eval()


class Undefined(torch.nn.Module):
    """Right on digits as they are, whose pixels are sixteenths; NaN on anything else."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        moved = ((x * 16 - (x * 16).round()).abs() > 1e-6).flatten(1).any(1)
        return torch.where(moved[:, None], torch.nan, self.net(x))


@pytest.mark.parametrize("name", NAMES)
def test_scores_that_are_no_numbers_are_never_robust(name, pictures):
    found = run(name, Undefined(pictures.net), pictures.x[:10], pictures.y[:10])
    assert found.accuracy > 0.8
    assert found.robust == 0
    assert found.verdicts.undefined[found.verdicts.right].all()


@pytest.mark.parametrize("name", NAMES)
def test_the_reported_requests_are_the_actual_requests(name, pictures):
    x, y = pictures.x[:20], pictures.y[:20]
    right = as_model(pictures.net, classes=10).scores(x).argmax(1) == y
    counted = Counted(pictures.net)
    found = run(name, counted, x[right], y[right])
    claimed = int(found.verdicts.queries.sum() + found.verdicts.gradients.sum())
    around = 2 * right.sum() + min(16, right.sum())  # clean scores, verdict, and the look for randomness
    assert claimed > 0
    if ATTACKS[name].params.shares_passes:  # one forward pass serves the gradients of all ten classes
        claimed = int(found.verdicts.queries.sum() + found.verdicts.gradients.sum() // 10)
    # Rows that fell may be asked about until their batch is packed anew; signs of masking cost up to 40 passes.
    assert 0.3 * claimed <= counted.rows - around <= 1.35 * claimed + 45 * right.sum()


class Counted:
    """A model with gradients that counts the rows it is asked about."""

    classes, device = 10, "cpu"

    def __init__(self, net):
        self._net, self.rows = net, 0

    def logits(self, x):
        self.rows += len(x)
        return self._net(x)

    def scores(self, x):
        with torch.no_grad():
            return self.logits(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("name", ANYTIME)
def test_more_budget_never_gives_a_weaker_result(name, pictures):
    setting = ATTACKS[name].params.anytime
    x, y = pictures.x[:40], pictures.y[:40]
    weak, strong = (run(name, pictures.net, x, y, **{setting: value}).verdicts.fooled for value in (1, 4))
    assert not (weak & ~strong).any()


@pytest.mark.parametrize("name", SHAPED)
@pytest.mark.parametrize(
    ("change", "message"), [(lambda x: x * 255, "outside"), (lambda x: x[:, 0, 0], "pictures")]
)
def test_a_shape_is_for_pictures_in_its_range(name, change, message, pictures):
    with pytest.raises(InvalidInput, match=message):
        run(name, Rows(), change(pictures.x[:4]), np.zeros(4, np.int64))


class Rows:
    """Answers any rows, with gradients: what is refused is not the model's doing."""

    classes, device = 10, "cpu"

    def logits(self, x):
        return x.flatten(1)[:, :1] * 0 + torch.eye(10)[:1]

    def scores(self, x):
        return self.logits(torch.from_numpy(x)).numpy()
