"""Robust accuracy after twenty minutes of training on two cores: Fashion-MNIST at L-inf 0.1, GTSRB at 4/255, AutoAttack.

    HAUBERK_DATA=... python benchmarks/robust_training.py fashion|gtsrb [--minutes 20] [--test N] [--weights FILE]

TRADES with averaged weights and pictures shifted by a pixel; for road signs, a small data set, also with adversarial weight
perturbation. `hauberk.training.plan` turns `--minutes` into epochs by timing this recipe. The model is attacked by the
standard AutoAttack (APGD-CE, APGD-T, FAB-T and Square with 100, 100, 100 and 5,000 steps) on `--test` pictures. `--weights`
stores the trained weights; if the file exists, these weights are attacked and nothing is trained. Use a few minutes and
`--rows` for a quick run of the script.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from hauberk import training
from hauberk.attacks import evasion
from hauberk.attacks.budget import Ball
from hauberk.core.threats import Norm
from hauberk.training import Hardening, Options
from training import fashion


def clothes(spec):
    """Four convolutions and two layers, 1.77 million weights, without batch norm."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 128, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128 * 49, 256),
        nn.ReLU(),
        nn.Linear(256, spec.classes),
    )


class Block(nn.Module):
    """A residual block with batch norm and activation before each convolution (He 2016)."""

    def __init__(self, before, width, stride):
        super().__init__()
        self.start = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(before, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
        )
        same = stride == 1 and before == width
        self.shortcut = None if same else nn.Conv2d(before, width, 1, stride, bias=False)

    def forward(self, x):
        started = self.start(x)
        return self.body(started) + (x if self.shortcut is None else self.shortcut(started))


def signs(spec):
    """Three residual blocks of 32, 64 and 128 channels, pooled over the picture; 0.31 million weights."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1, bias=False),
        Block(32, 32, 1),
        Block(32, 64, 2),
        Block(64, 128, 2),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, spec.classes),
    )


def clothing(part, rows):
    return fashion("train30k" if part == "train" else part, rows)


def gtsrb(part, rows):
    arrays = np.load(Path(os.environ["HAUBERK_DATA"]) / "gtsrb-32x32.npz")
    # The test rows are sorted by class, so rows are drawn at random, the same in each run.
    chosen = np.random.default_rng(0).permutation(len(arrays[f"y_{part}"]))[:rows]
    x = arrays[f"x_{part}"][chosen].transpose(0, 3, 1, 2)
    return (x / 255).astype(np.float32), arrays[f"y_{part}"][chosen].astype(np.int64)


# Reader, network, radius, classes, settings of TRADES, radius of the weight perturbation.
CASES = {
    "fashion": (clothing, clothes, 0.1, 10, {"beta": 4.0}, 0.0),
    "gtsrb": (gtsrb, signs, 4 / 255, 43, {"beta": 4.0, "steps": 4, "step": 0.35}, 0.005),
}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("case", choices=CASES)
    arguments.add_argument("--minutes", type=float, default=20.0)
    arguments.add_argument("--rows", type=int, default=30_000)
    arguments.add_argument("--test", type=int, default=1000)
    arguments.add_argument("--weights", type=Path)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    read, build, eps, classes, params, awp = CASES[given.case]
    x, y = read("train", given.rows)
    test = read("test", given.test)
    spec = training.Spec("image", x.shape[1:], classes)
    result = {"case": given.case, "test": len(test[0])}
    if given.weights and given.weights.exists():
        model = training.load_weights(build, spec, given.weights.read_bytes())
    else:
        hardening = Hardening((Ball(Norm.LINF, eps),), "trades", params, awp=awp, patience=0)
        options = Options(batch=128, augment="shift", average=0.995, precision="auto")
        planned = training.plan(build, spec, x, y, hardening=hardening, minutes=given.minutes, options=options)
        print(*planned.notes, sep="\n", flush=True)
        started = time.perf_counter()
        options = replace(options, epochs=planned.epochs)
        model = training.train(build, spec, x, y, hardening=hardening, options=options, seed=0).model
        result |= {"rows": len(x), "epochs": planned.epochs, "seconds": time.perf_counter() - started}
        if given.weights:
            given.weights.write_bytes(model.weights())
    started = time.perf_counter()
    verdict = evasion.auto_attack(model, *test, norm="linf", eps=eps)
    result |= {
        "device": model.device,
        "clean": float((model.scores(test[0]).argmax(1) == test[1]).mean()),
        "auto_attack": verdict.robust,
        "attack_seconds": time.perf_counter() - started,
        "warnings": list(verdict.warnings),
    }
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
