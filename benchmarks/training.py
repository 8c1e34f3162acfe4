"""Cost of an epoch of adversarial training: Hauberk, a hand-written loop and ART; and single-step methods beside PGD-7.

    HAUBERK_DATA=... python benchmarks/training.py [--rows 10000] [--rounds 3] [--epochs 8] [--json FILE]

Fashion-MNIST, L-inf 0.1, batches of 128, a small convolutional net, the same optimiser (SGD, momentum 0.9). Epochs of
all loops are timed in turn, so that other work on the machine affects all alike. The result is the median of the ratios, in
wall-clock and in processor seconds (the latter are more reliable on a busy machine).
Then `pgd` is trained for the full number of epochs, and `fgsm-rs` and `n-fgsm` for five sixths of them: one of their epochs
costs 5/17 of PGD-7's by arithmetic (a pass for the inputs is 2/3 of a pass for the weights). All are attacked by PGD with
50 steps and 2 restarts. Without ART its row is left out: `pip install --no-deps adversarial-robustness-toolbox six tqdm`.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import importlib.util
import io
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hauberk import training
from hauberk.attacks.budget import Ball
from hauberk.core.threats import Norm
from hauberk.training import Hardening, Options, loop, methods
from hauberk.training.batch import Batch
from hauberk.training.options import recipe_of

EPS, BATCH, RATE, STEPS = 0.1, 128, 0.05, 7
SPEC = training.Spec("image", (1, 28, 28), 10)
BUDGET = Ball(Norm.LINF, EPS)


def fashion(part, rows):
    def idx(name):
        data = gzip.decompress((Path(os.environ["HAUBERK_DATA"]) / name).read_bytes())
        shape = [int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(data[3])]
        return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)

    x, y = idx(f"fashion-{part}-images-idx3-ubyte.gz"), idx(f"fashion-{part}-labels-idx1-ubyte.gz")
    return (x[:rows, None] / 255).astype(np.float32), y[:rows].astype(np.int64)


def net(_spec=None):
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 49, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


class Ours:
    """One epoch of `loop.train`, as `protect` runs it."""

    def __init__(self, method, precision="fp32", **params):
        self.module = net()
        self.chosen = methods.for_torch(method, {"warmup": 0.0, **params}, (BUDGET,))
        options = Options(epochs=1, batch=BATCH, learning_rate=RATE, optimizer="sgd", precision=precision)
        self.recipe = recipe_of(options, SPEC)

    def epoch(self, x, y):
        loop.train(self.module, x, y, loop.Run(self.recipe, 0, "cpu", self.chosen))


class ByHand:
    """The loop that a person would write: Madry et al., and nothing else."""

    def __init__(self):
        self.module = net()
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=RATE, momentum=0.9, nesterov=True)

    def epoch(self, x, y):
        x, y = torch.from_numpy(x), torch.from_numpy(y)
        for rows in torch.randperm(len(x)).split(BATCH):
            origin, labels = x[rows], y[rows]
            self.module.eval()
            changed = (origin + torch.empty_like(origin).uniform_(-EPS, EPS)).clamp(0, 1)
            for _ in range(STEPS):
                changed.requires_grad_()
                loss = nn.functional.cross_entropy(self.module(changed), labels)
                (gradient,) = torch.autograd.grad(loss, changed)
                changed = changed.detach() + EPS / 4 * gradient.sign()
                changed = torch.minimum(torch.maximum(changed, origin - EPS), origin + EPS).clamp(0, 1)
            self.module.train()
            loss = nn.functional.cross_entropy(self.module(changed), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


class Art:
    """ART's trainer with the same recipe."""

    def __init__(self):
        from art.defences.trainer import AdversarialTrainerMadryPGD
        from art.estimators.classification import PyTorchClassifier

        module = net()
        classifier = PyTorchClassifier(
            module,
            nn.CrossEntropyLoss(),
            (1, 28, 28),
            10,
            optimizer=torch.optim.SGD(module.parameters(), lr=RATE, momentum=0.9, nesterov=True),
            clip_values=(0.0, 1.0),
            device_type="cpu",
        )
        self.trainer = AdversarialTrainerMadryPGD(
            classifier, nb_epochs=1, batch_size=BATCH, eps=EPS, eps_step=EPS / 4, max_iter=STEPS, num_random_init=1
        )

    def epoch(self, x, y):
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
            self.trainer.fit(x, y)


def costs(x, y, rounds):
    """Return wall-clock and processor seconds of an epoch of each loop; the loops take turns."""
    made = {
        "by hand": ByHand(),
        "hauberk pgd-7": Ours("pgd", steps=STEPS),
        "hauberk pgd-7 bf16": Ours("pgd", "bf16", steps=STEPS),
        "hauberk n-fgsm": Ours("n-fgsm"),
        "hauberk fgsm-rs": Ours("fgsm-rs"),
        "hauberk trades-7": Ours("trades", steps=STEPS),
    }
    if importlib.util.find_spec("art") is not None:
        made["art pgd-7"] = Art()
    taken = {name: [] for name in made}
    for each in made.values():  # fills caches, and compiles code that is compiled at first use
        each.epoch(x[: 4 * BATCH], y[: 4 * BATCH])
    for _ in range(rounds):
        for name, each in made.items():
            clock, busy = time.perf_counter(), time.process_time()
            each.epoch(x, y)
            taken[name].append((time.perf_counter() - clock, time.process_time() - busy))
    return taken


def attacked(model, x, y):
    """Return accuracy under PGD with 50 steps; a row counts as right if it withstands both restarts."""
    strong = methods.for_torch("pgd", {"steps": 50, "step": 0.1}, (BUDGET,))
    held = np.ones(len(x), dtype=bool)
    for seed in range(2):
        rng = torch.Generator().manual_seed(seed)
        changed = strong.perturb(model.module, Batch.of(torch.from_numpy(x), torch.from_numpy(y)), rng=rng)
        held &= model.scores(changed.numpy()).argmax(1) == y
    return float(held.mean())


def whole(method, params, data, test, epochs):
    x, y = data
    options = Options(epochs=epochs, batch=BATCH)
    started = time.perf_counter()
    outcome = training.train(net, SPEC, x, y, hardening=Hardening((BUDGET,), method, params), options=options)
    seconds = time.perf_counter() - started
    clean = float((outcome.model.scores(test[0]).argmax(1) == test[1]).mean())
    return {
        "seconds": seconds,
        "clean": clean,
        "robust": attacked(outcome.model, *test),
        "collapses": outcome.metrics.get("collapses", 0.0),
    }


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=8, help="of the whole trainings; 0 leaves them out")
    arguments.add_argument("--test", type=int, default=1000)
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    x, y = fashion("train30k", given.rows)
    taken = costs(x, y, given.rounds)
    print(f"one epoch of {len(x)} rows, {torch.get_num_threads()} threads, {given.rounds} rounds")
    print(f"  {'':20} {'clock':>9} {'processor':>11}   and each as a multiple of hauberk pgd-7")
    for name, pairs in taken.items():
        clock, busy = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
        by = [
            statistics.median(own[i] / base[i] for own, base in zip(pairs, taken["hauberk pgd-7"], strict=True))
            for i in (0, 1)
        ]
        print(f"  {name:20} {clock:7.2f} s {busy:9.2f} s   {by[0]:6.3f} {by[1]:6.3f}", flush=True)
    report = {"epochs": taken}
    if given.epochs:
        test = fashion("test", given.test)
        for method, params, share in (
            ("pgd", {"steps": STEPS}, 1.0),
            ("fgsm-rs", {}, 5 / 6),
            ("n-fgsm", {}, 5 / 6),
        ):
            epochs = max(1, round(share * given.epochs))
            report[method] = {"epochs": epochs, **whole(method, params, (x, y), test, epochs)}
            print(f"  {method:20} " + ", ".join(f"{name} {value:.3f}" for name, value in report[method].items()))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
