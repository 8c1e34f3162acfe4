"""Seeds for code that draws from process-wide generators, held only while that code runs.

Hauberk's own code draws from generators that it is given. A team's layers and builders cannot: `nn.Dropout`,
`nn.init` and scikit-learn draw from the generators of the process, and torch offers no other way. `Draws` therefore
keeps the states of these generators as a value. While a block holds it, the process-wide generators have that state;
afterwards they have the state from before, and the value has what the block left. torch's switches for deterministic
kernels are set and restored along with them.

One lock admits one thread at a time, so two trainings in one process alternate between epochs rather than disturb
each other. What cannot be had: a thread outside such a block that draws from a process-wide generator while another
thread is inside draws from the held state, and changes it. Threads that need their numbers use generators of their own.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need

_ONE_AT_A_TIME = threading.RLock()  # re-entrant: a block may call code that opens a block of its own


@dataclass(slots=True)
class Draws:
    """The states of Python's, NumPy's and torch's process-wide generators, kept outside the process-wide objects.

    torch is None when it was not imported; cuda is None unless the training runs on a CUDA device.
    """

    python: Any
    numpy: Any
    torch: Any
    cuda: Any
    device: str

    @classmethod
    def of(cls, seed: int, device: str = "cpu") -> Draws:
        """Return the states that follow from a seed. No process-wide generator is touched."""
        torch = sys.modules.get("torch")
        return cls(
            random.Random(seed).getstate(),  # noqa: S311 - no secret is drawn from it
            np.random.RandomState(seed % 2**32).get_state(),
            torch.Generator().manual_seed(seed).get_state() if torch else None,
            torch.Generator(device).manual_seed(seed).get_state() if torch and device.startswith("cuda") else None,
            device,
        )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Give the process-wide generators these states inside the block, and restore the ones from before.

        The same seed, machine, device and number of threads give the same numbers; another machine may round
        differently. Blocks until no other thread is inside such a block.
        """
        with _ONE_AT_A_TIME, _restored(), _torch_restored():
            self._apply()
            try:
                yield
            finally:
                self._collect()

    def pack(self) -> dict[str, Any]:
        """Return the states as JSON values and tensors."""
        name, keys, *rest = self.numpy
        numpy = [str(name), np.asarray(keys).tolist(), *rest]
        return {"python": self.python, "numpy": numpy, "torch": self.torch, "cuda": self.cuda}

    def unpack(self, packed: Mapping[str, Any]) -> None:
        """Take the states from what `pack` returned, also after a round trip through JSON."""
        version, numbers, gauss = packed["python"]
        self.python = (version, tuple(numbers), gauss)
        name, keys, *rest = packed["numpy"]
        self.numpy = (name, np.array(keys, dtype=np.uint32), *rest)
        self.torch, self.cuda = packed["torch"], packed["cuda"]

    def _apply(self) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002 - team code and scikit-learn draw from it
        if self.torch is not None:
            need("torch").set_rng_state(self.torch)
        if self.cuda is not None:
            need("torch").cuda.set_rng_state(self.cuda, self.device)

    def _collect(self) -> None:
        self.python, self.numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - as above
        if self.torch is not None:
            self.torch = need("torch").get_rng_state()
        if self.cuda is not None:
            self.cuda = need("torch").cuda.get_rng_state(self.device)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the process-wide generators inside the block; see `Draws.held`.

    torch is seeded only when it has been imported, because scikit-learn models do without it.
    """
    torch = sys.modules.get("torch")
    device = "cuda" if torch is not None and torch.cuda.is_available() else "cpu"
    with Draws.of(seed, device).held():
        yield


@contextmanager
def _restored() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - restored below
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002 - as above


@contextmanager
def _torch_restored() -> Iterator[None]:
    if "torch" not in sys.modules:
        yield
        return
    torch = need("torch")
    strict, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    benchmark = torch.backends.cudnn.benchmark
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(list(devices)):
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=warns)
            torch.backends.cudnn.benchmark = benchmark


def device_of(name: str) -> str:
    """Return the torch device for "auto", "cpu", "cuda" or "cuda:1". Raises InvalidInput when it is absent."""
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
