"""A torch model as attacks, releases and later runs see it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from hauberk import training
from hauberk.core.errors import InvalidInput
from hauberk.models import encoding
from hauberk.models.port import Differentiable
from hauberk.training import OnnxModel, Options, Spec

SPEC = Spec("image", (1, 8, 8), 10)
SHORT = Options(epochs=2)


def small(spec):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(144, spec.classes),
    )


def mlp(spec):
    return nn.Sequential(nn.Linear(spec.features, 8), nn.ReLU(), nn.Linear(8, spec.classes))


@pytest.fixture(scope="module")
def trained(digits):
    return training.train(small, SPEC, digits.x, digits.y, options=SHORT).model


@pytest.fixture(scope="module")
def exported(trained):
    return trained.export_onnx()


def test_it_is_a_differentiable_model(trained):
    assert isinstance(trained, Differentiable)


@pytest.mark.parametrize("rows", [0, 1, 3, 1500])
def test_onnx_gives_the_torch_scores_for_any_number_of_rows(trained, exported, rows):
    x = np.random.default_rng(1).random((rows, 1, 8, 8), dtype=np.float32)
    model = OnnxModel(exported, SPEC)
    np.testing.assert_allclose(model.scores(x), trained.scores(x), atol=1e-4)
    assert model.scores(x).shape == (rows, 10)


def smooth(spec):  # no kinks, so that finite differences hold
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, spec.classes))


def test_the_gradient_is_that_of_the_cross_entropy(digits, loss_gradient):
    trained = training.train(smooth, SPEC, digits.x, digits.y, options=SHORT).model
    x, y = digits.x_test[:3], digits.y_test[:3]
    losses, gradient = loss_gradient(trained, x, y)
    scores = trained.scores(x).astype(np.float64)
    expected = np.log(np.exp(scores).sum(1)) - scores[np.arange(3), y]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    step = 1e-2
    for index in [(0, 3, 3), (0, 5, 2)]:
        moved = x.copy()
        moved[(slice(None), *index)] += step
        back = x.copy()
        back[(slice(None), *index)] -= step
        slope = (loss_gradient(trained, moved, y)[0] - loss_gradient(trained, back, y)[0]) / (2 * step)
        np.testing.assert_allclose(gradient[(slice(None), *index)], slope, atol=1e-3)


def test_onnx_holds_no_path_and_no_trace_of_the_source(exported):
    data = exported
    here = str(Path(__file__).parent).encode()
    for told in (here, b"/usr", b"/home", b"site-packages", b"stack_trace", b".py", b"torch"):
        assert told not in data
    proto = onnx.load_model_from_string(data)
    assert [i.name for i in proto.graph.input] == ["input"]
    assert [o.name for o in proto.graph.output] == ["scores"]


_PRINT_DIGESTS = """
import hashlib, sys
import numpy as np
from torch import nn
from hauberk import training
def build(spec):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 10))
rng = np.random.default_rng(0)
x, y = rng.random((200, 1, 8, 8), dtype=np.float32), rng.integers(0, 10, 200)
hard = training.Hardening((__import__("hauberk.attacks.budget", fromlist=["Ball"]).Ball("linf", 0.1),), "pgd")
spec = training.Spec("image", (1, 8, 8), 10)
model = training.train(build, spec, x, y, hardening=hard, options=training.Options(epochs=2, augment="shift")).model
print(*(hashlib.sha256(data).hexdigest() for data in (model.weights(), model.export_onnx())))
"""


def test_another_process_and_folder_make_the_same_bytes(tmp_path, capsys):
    (tmp_path / "run.py").write_text(_PRINT_DIGESTS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    exec(compile(_PRINT_DIGESTS, "elsewhere/other.py", "exec"), {})
    assert capsys.readouterr().out.split() == done.stdout.split()
    assert len(set(done.stdout.split())) == 2


def test_weights_bring_the_same_model_back(trained, exported, digits):
    again = training.load_weights(small, SPEC, trained.weights())
    assert np.array_equal(again.scores(digits.x_test), trained.scores(digits.x_test))
    assert again.weights() == trained.weights()
    assert again.export_onnx() == exported


def test_a_tables_weights_bring_the_encoder_back_without_the_data(mixed):
    model = training.train(mlp, mixed.spec, mixed.x, mixed.y, options=SHORT).model
    again = training.load_weights(mlp, mixed.spec, model.weights())
    assert np.array_equal(again.scores(mixed.x_test), model.scores(mixed.x_test))


def test_weights_are_stored_under_the_modules_own_names(trained):
    small(SPEC).load_state_dict(load(trained.weights()))


def test_weights_made_elsewhere_get_an_encoder_from_the_training_rows(mixed):
    made = mlp(mixed.spec)
    data = save(made.state_dict())
    model = training.load_weights(mlp, mixed.spec, data, x=mixed.x)
    expected = made(torch.from_numpy(encoding.fit(mixed.spec, mixed.x)(mixed.x_test))).detach().numpy()
    np.testing.assert_allclose(model.scores(mixed.x_test), expected, atol=1e-5)
    with pytest.raises(InvalidInput, match="training rows are needed"):
        training.load_weights(mlp, mixed.spec, data)


def test_weights_that_do_not_fit_are_named(mixed):
    state = mlp(mixed.spec).state_dict()
    cases = [
        ({k: v for k, v in state.items() if k != "2.bias"}, "lack '2.bias'"),
        (state | {"extra": torch.zeros(1)}, "hold 'extra'"),
        (state | {"0.weight": torch.zeros(8, 3)}, r"'0.weight' has shape \(8, 3\)"),
        (state | {"0.bias": torch.full((8,), torch.nan)}, "'0.bias' holds NaN"),
    ]
    for changed, said in cases:
        with pytest.raises(InvalidInput, match=said):
            training.load_weights(mlp, mixed.spec, save(changed), x=mixed.x)
    with pytest.raises(InvalidInput, match="not a safetensors"):
        training.load_weights(mlp, mixed.spec, save(state)[:-10], x=mixed.x)
    with pytest.raises(InvalidInput, match="not a safetensors"):
        training.load_weights(mlp, mixed.spec, b"\x80\x04pickle", x=mixed.x)


class Strange(nn.Module):
    def __init__(self, what):
        super().__init__()
        self.what = what
        self.layer = nn.Linear(64, 10)

    def forward(self, x):
        scores = self.layer(x.flatten(1))
        match self.what:
            case "nan":
                return scores / 0 * 0
            case "shape":
                return scores[:, :3]
            case "raises":
                return scores @ scores
            case "none":
                return None
            case _:
                return scores if scores.detach().sum() > 1e9 else scores * 2


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nan", r"returned NaN for 2 of 2 rows"),
        ("shape", r"shape \(2, 3\) for 2 rows; expected \(2, 10\)"),
        ("raises", r"test_torch_model\.py:\d+: the model's forward raised RuntimeError"),
        ("none", "forward returned a NoneType"),
    ],
)
def test_a_module_that_cannot_work_says_so_before_it_is_trained(digits, what, said):
    with pytest.raises(InvalidInput, match=said):
        training.train(lambda _: Strange(what), SPEC, digits.x, digits.y)


def test_a_module_that_branches_on_values_cannot_be_exported(digits):
    model = training.train(lambda _: Strange("branch"), SPEC, digits.x, digits.y, options=Options(epochs=1)).model
    with pytest.raises(InvalidInput, match="cannot be exported to ONNX"):
        model.export_onnx()
