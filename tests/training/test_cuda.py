"""Training on a GPU, on machines that have one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hauberk import training
from hauberk.attacks import evasion
from hauberk.attacks.budget import Ball
from hauberk.core.threats import Norm
from hauberk.training import Hardening, Options
from hauberk.training.checkpoint import Checkpoint

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

OPTIONS = Options(epochs=8, average=0.9, augment="shift")


def build(spec):
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, spec.classes),
    )


def trained(digits, method, options=OPTIONS, awp=0.0):
    hardening = Hardening((Ball(Norm.LINF, 0.1),), method, awp=awp)
    return training.train(build, digits.spec, digits.x, digits.y, hardening=hardening, options=options).model


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("method", "awp"), [("n-fgsm", 0.0), ("pgd", 0.0), ("trades", 0.005), ("mart", 0.0)])
def test_hardening_on_the_gpu_withstands_and_scores_the_same_on_the_cpu(digits, method, awp, precision):
    model = trained(digits, method, Options(epochs=8, precision=precision), awp)
    assert model.device == "cuda"
    found = evasion.pgd(model, digits.x_test, digits.y_test, norm="linf", eps=0.1, steps=20)
    assert found.robust > 0.5
    here = training.load_weights(build, digits.spec, model.weights(), device="cpu")
    np.testing.assert_allclose(here.scores(digits.x_test), model.scores(digits.x_test), atol=2e-2)


def test_the_same_seed_gives_the_same_bits(digits):
    assert trained(digits, "trades").weights() == trained(digits, "trades").weights()


def test_a_stopped_run_continues_to_the_same_bits(digits, tmp_path, monkeypatch):
    file = tmp_path / "state"
    hardening = Hardening((Ball(Norm.LINF, 0.1),), "pgd")

    def run(**rest):
        return training.train(
            build, digits.spec, digits.x, digits.y, hardening=hardening, options=OPTIONS, **rest
        ).model.weights()

    whole = run()
    monkeypatch.setitem(Checkpoint.__init__.__kwdefaults__, "pause", 0.0)

    class Until:
        def update(self, done, *, text=""):  # noqa: ARG002 - the signature of Task
            if done > 0.6:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=file, task=Until())
    assert file.exists()
    assert run(checkpoint=file) == whole
