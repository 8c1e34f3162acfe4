"""Hauberk's attacks beside those of ART, foolbox, torchattacks, adv-lib and auto-attack: seconds and accuracy left.

    HAUBERK_DATA=... python benchmarks/attacks.py [--only WORD] [--rounds N] [--threads N] [--device cuda]

Fashion-MNIST, a network of 166,406 parameters (two strided convolutions, two linear layers), plain and trained with PGD;
both are trained once and stored in the temporary folder. Each line is one attack on the same rows with the same eps and
steps. Each tool runs once a round, and the fastest round counts. `cpu` is processor time, which a busy machine hardly
changes; ratios on the CPU use it. `wall` is elapsed time; ratios on a GPU use it. A peer that is not installed is skipped,
and one that fails is listed with its error. `left` is accuracy under attack and `dist` the median distance of fooling rows,
both computed here from the returned inputs only; `out` counts rows that left the ball or the box by more than 1e-4.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hauberk.attacks import evasion

EPS = 0.1
DEVICE = "cpu"


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1568, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def fashion(part: str) -> tuple[np.ndarray, np.ndarray]:
    folder = Path(os.environ["HAUBERK_DATA"])
    images = gzip.decompress((folder / f"fashion-{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"fashion-{part}-labels-idx1-ubyte.gz").read_bytes())
    x = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return (x / np.float32(255)).astype(np.float32), np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def trained(kind: str) -> nn.Module:
    """Return the plain or the robust network, trained once on this machine."""
    kept = Path(tempfile.gettempdir()) / f"hauberk-benchmark-fashion-{kind}.pt"
    torch.manual_seed(0)
    net = network()
    if not kept.exists():
        x, y = (torch.from_numpy(part) for part in fashion("train30k"))
        epochs, rows = (4, len(x)) if kind == "plain" else (4, 12_000)
        x, y = x[:rows], y[:rows]
        optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
        batches = len(x) // 128
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * (batches + 1))
        for epoch in range(epochs):
            for rows in torch.randperm(len(x)).split(128):
                eps = 0.0 if kind == "plain" else EPS * min(1.0, (epoch + 1) / 2)
                loss = nn.functional.cross_entropy(net(harden(net, x[rows], y[rows], eps)), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        torch.save(net.state_dict(), kept)
    net.load_state_dict(torch.load(kept, weights_only=True))
    return net.eval().to(DEVICE)


def harden(net: nn.Module, x: torch.Tensor, y: torch.Tensor, eps: float, steps: int = 2) -> torch.Tensor:
    if not eps:
        return x
    moved = (x + eps * (2 * torch.rand_like(x) - 1)).clamp(0, 1)
    for _ in range(steps):
        moved.requires_grad_()
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(net(moved), y), moved)
        moved = torch.clamp(moved.detach() + 0.7 * eps * gradient.sign(), x - eps, x + eps).clamp(0, 1)
    return moved


@dataclass
class Row:
    """One attack: the peers' turns are functions of (net, x, y) to adversarial inputs, numpy in and out."""

    title: str
    kind: str
    n: int
    norm: float
    eps: float
    turns: dict[str, Callable] = field(default_factory=dict)


def ours(name: str, **settings) -> Callable:
    return lambda net, x, y: getattr(evasion, name)(net, x, y, **settings).x


def tensors(attack: Callable) -> Callable:
    """Turn an attack on tensors into one on arrays."""

    def turn(net, x, y):
        return attack(net, torch.from_numpy(x).to(DEVICE), torch.from_numpy(y).to(DEVICE)).detach().cpu().numpy()

    return turn


def art(name: str, **settings) -> Callable:
    def turn(net, x, y):
        import art.attacks.evasion as attacks
        from art.estimators.classification import PyTorchClassifier

        shape, loss, kind = (1, 28, 28), nn.CrossEntropyLoss(), "cpu" if DEVICE == "cpu" else "gpu"
        estimator = PyTorchClassifier(net, loss, shape, 10, clip_values=(0.0, 1.0), device_type=kind)
        cls = getattr(attacks, name)
        if "verbose" in cls.attack_params:
            settings["verbose"] = False
        return cls(estimator, **settings).generate(x, y)

    return turn


def foolbox(name: str, eps: float, **settings) -> Callable:
    def attack(net, x, y):
        import foolbox as fb

        return getattr(fb.attacks, name)(**settings)(fb.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=eps)[1]

    return tensors(attack)


def torchattacks(name: str, **settings) -> Callable:
    def attack(net, x, y):
        import torchattacks as ta

        return getattr(ta, name)(net, **settings)(x, y)

    return tensors(attack)


def adv_lib(name: str, **settings) -> Callable:
    def attack(net, x, y):
        # adv-lib imports these for a perceptual distance and for plots, neither of which is used here.
        for package, member in (("torchvision", "models"), ("visdom", "Visdom")):
            stand_in = types.ModuleType(package)
            setattr(stand_in, member, None)
            sys.modules.setdefault(package, stand_in)
        from adv_lib import attacks

        return getattr(attacks, name)(net, x, y, **settings)

    return tensors(attack)


def reference(*names: str, **settings) -> Callable:
    """auto-attack's own code, where a package of it is installed."""

    def attack(net, x, y):
        try:
            from autoattack import AutoAttack
        except ImportError:
            from pyautoattack import AutoAttack
        one = AutoAttack(
            net, norm="Linf", eps=EPS, version="custom" if names else "standard", seed=0, device=DEVICE
        )
        one.verbose = False
        if names:
            one.attacks_to_run = list(names)
        one.apgd.n_restarts = one.fab.n_restarts = one.apgd_targeted.n_restarts = 1
        if "queries" in settings:
            one.square.n_queries, one.square.rescale_schedule = settings["queries"], True
        if AutoAttack.__module__.startswith("py"):
            return one.run_standard_evaluation(x, y, batch_size=len(x))[0]
        return one.run_standard_evaluation(x, y, bs=len(x))

    return tensors(attack)


INF, STEP = float("inf"), 2.5 / 40
ROWS = [
    *(
        Row(f"PGD-40 {kind}", kind, 1000, INF, EPS, {
            "hauberk": ours("pgd", norm="linf", eps=EPS, steps=40),
            "art": art("ProjectedGradientDescentPyTorch", norm=np.inf, eps=EPS, eps_step=EPS * STEP, max_iter=40,
                       num_random_init=1, batch_size=1000),
            "foolbox": foolbox("LinfPGD", EPS, steps=40, rel_stepsize=STEP),
            "torchattacks": torchattacks("PGD", eps=EPS, alpha=EPS * STEP, steps=40),
        })
        for kind in ("robust", "plain")
    ),
    Row("APGD-CE 100 robust", "robust", 500, INF, EPS, {
        "hauberk": ours("apgd", norm="linf", eps=EPS),
        "auto-attack": reference("apgd-ce"),
        "art": art("AutoProjectedGradientDescent", norm=np.inf, eps=EPS, eps_step=2 * EPS, max_iter=100,
                   nb_random_init=1, batch_size=500, loss_type="cross_entropy"),
        "adv-lib": adv_lib("apgd", eps=EPS, norm=float("inf"), n_iter=100),
    }),
    Row("APGD-T 100 robust", "robust", 100, INF, EPS, {
        "hauberk": ours("apgd", norm="linf", eps=EPS, loss="dlr", classes=9),
        "auto-attack": reference("apgd-t"),
    }),
    Row("FAB-T 100 robust", "robust", 50, INF, EPS, {
        "hauberk": ours("fab", norm="linf", eps=EPS),
        "auto-attack": reference("fab-t"),
    }),
    Row("Square 1000 robust", "robust", 500, INF, EPS, {
        "hauberk": ours("square", norm="linf", eps=EPS, queries=1000),
        "auto-attack": reference("square", queries=1000),
        "art": art("SquareAttack", norm=np.inf, eps=EPS, max_iter=1000, p_init=0.8, batch_size=500),
        "torchattacks": torchattacks("Square", norm="Linf", eps=EPS, n_queries=1000, p_init=0.8),
    }),
    Row("DeepFool L2 plain", "plain", 100, 2, INF, {
        "hauberk": ours("deepfool", norm="l2", steps=50),
        "adv-lib": adv_lib("df", steps=50),
        "art": art("DeepFool", max_iter=50, epsilon=0.02, nb_grads=10, batch_size=100),
    }),
    Row("Carlini-Wagner L2 plain", "plain", 100, 2, INF, {
        "hauberk": ours("carlini_wagner", steps=50, searches=3, rate=0.05),
        "adv-lib": adv_lib("carlini_wagner_l2", max_iterations=50, binary_search_steps=3, learning_rate=0.05,
                           initial_const=0.1),
        "art": art("CarliniL2Method", max_iter=50, binary_search_steps=3, learning_rate=0.05, initial_const=0.1,
                   batch_size=100),
    }),
    Row("DDN L2 100 plain", "plain", 100, 2, INF, {
        "hauberk": ours("ddn", steps=100),
        "adv-lib": adv_lib("ddn", steps=100),
    }),
    Row("FMN Linf 100 plain", "plain", 100, INF, INF, {
        "hauberk": ours("fmn", norm="linf", steps=100),
        "adv-lib": adv_lib("fmn", norm=float("inf"), steps=100),
    }),
    Row("AutoAttack standard robust", "robust", 200, INF, EPS, {
        "hauberk": ours("auto_attack", norm="linf", eps=EPS),
        "auto-attack": reference(),
    }),
]  # fmt: skip


def measure(row: Row, rounds: int, only: str) -> None:
    net = trained(row.kind)
    x, y = (part[: row.n] for part in fashion("test"))
    best: dict[str, tuple[float, float]] = {}
    found: dict[str, np.ndarray] = {}
    for number in range(rounds + 1):
        for name, turn in row.turns.items():
            if only and name not in only.split(","):
                continue
            if not number:  # a first turn on a few rows, which is not counted: libraries set themselves up in it
                attempted(turn, net, x[:4], y[:4], name)
                continue
            wall, cpu = time.perf_counter(), time.process_time()
            answer = attempted(turn, net, x, y, name)
            if answer is None:
                continue
            found[name] = answer
            spent = time.perf_counter() - wall, time.process_time() - cpu
            best[name] = tuple(map(min, spent, best.get(name, (INF, INF))))
    print(f"{row.title}, n={row.n}")
    for name, (wall, cpu) in best.items():
        left, out, distance = judged(net, x, y, found[name], row)
        by = 1 if DEVICE == "cpu" else 0
        ratio = (wall, cpu)[by] / best["hauberk"][by] if "hauberk" in best else float("nan")
        told = f"left {left:5.1f} %  out {out}  dist {distance:.4f}"
        print(f"  {name:13} wall {wall:8.2f} s  cpu {cpu:8.2f} s  x{ratio:6.2f}  {told}", flush=True)


def attempted(turn: Callable, net: nn.Module, x: np.ndarray, y: np.ndarray, name: str) -> np.ndarray | None:
    try:
        return turn(net, x.copy(), y.copy())
    except Exception as error:  # noqa: BLE001 - a peer may fail in any way, and the others are measured all the same
        print(f"  {name}: not measured, {type(error).__name__}: {error}")
        return None


def judged(net: nn.Module, x: np.ndarray, y: np.ndarray, found: np.ndarray, row: Row) -> tuple[float, int, float]:
    with torch.no_grad():
        clean, after = (
            net(torch.from_numpy(np.asarray(part, np.float32)).to(DEVICE)).argmax(1).cpu().numpy()
            for part in (x, found)
        )
    change = (found.astype(np.float64) - x).reshape(len(x), -1)
    distance = np.linalg.norm(change, ord=row.norm, axis=1)
    out = (
        (distance > row.eps + 1e-4)
        | (found.reshape(len(x), -1).min(1) < -1e-4)
        | (found.reshape(len(x), -1).max(1) > 1.0001)
    )
    fooled = (clean == y) & (after != y)
    return (
        100 * float((after == y).mean()),
        int(out.sum()),
        float(np.median(distance[fooled])) if fooled.any() else 0.0,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="rows whose title holds this word")
    parser.add_argument("--who", default="", help="whose turns, by comma")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    DEVICE = arguments.device
    warnings.simplefilter("ignore")
    for row in ROWS:
        if arguments.only in row.title:
            measure(row, arguments.rounds, arguments.who)
