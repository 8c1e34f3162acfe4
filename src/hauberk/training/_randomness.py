"""One seed for everything that may draw: Python, NumPy and torch, put back afterwards as they were."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need


def calm_threads() -> None:
    """Ask OpenMP's threads to sleep while they wait; to be called before torch is imported, which reads it once.

    They spin by default. With two processes on the same cores each then burns the time that the other needs, and a
    training of seconds takes minutes. What the environment already says is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed every global generator inside the block and ask torch for deterministic kernels.

    A team's builder and its layers draw from the global generators (initial weights, dropout), so these are
    seeded as well as our own; torch only when it has been imported, since scikit-learn models do without it. The
    same seed, machine, device and number of threads give the same numbers; another machine may round differently.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - put back below
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - scikit-learn and team code draw from it
    try:
        if "torch" in sys.modules:
            with _torch_seeded(seed):
                yield
        else:
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002 - as found


@contextmanager
def _torch_seeded(seed: int) -> Iterator[None]:
    torch = need("torch")
    # cuBLAS reads this once, when it starts; without it, torch refuses deterministic matrix products on CUDA.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    strict, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    benchmark = torch.backends.cudnn.benchmark
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=warns)
            torch.backends.cudnn.benchmark = benchmark


def device_of(name: str) -> str:
    """Return the torch device for "auto", "cpu", "cuda" or "cuda:1". Raises InvalidInput when it is not there."""
    torch = need("torch")
    available = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if available else "cpu"
    if name == "cpu":
        return name
    if name == "cuda" or (name.startswith("cuda:") and name[5:].isdigit()):
        if available and int(name[5:] or 0) < torch.cuda.device_count():
            return name
        seen = f"{torch.cuda.device_count()} CUDA devices" if available else "no CUDA device"
        raise InvalidInput(f'device {name!r}: this machine has {seen}. Use device = "auto" or "cpu".')
    raise InvalidInput(f'device {name!r} is not known: use "auto", "cpu", "cuda" or "cuda:1".')
