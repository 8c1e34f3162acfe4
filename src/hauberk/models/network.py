"""Network: a torch module as attacks see it. Imports torch when it is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from hauberk.core.errors import InvalidInput
from hauberk.models.layers import fold_norms, quicken
from hauberk.models.port import Floats, passes

_NO_COPY = (RuntimeError, TypeError, AttributeError, NotImplementedError)  # what copying a module may raise


class Network:
    """A module that takes (n, ...) float32 and returns logits: `models.port.Differentiable`.

    The module stays the caller's: it is put into evaluation mode for each call only, and comes back as it was.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        classes: int | None = None,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        sample: Floats | None = None,
    ) -> None:
        """As `models.adapting.as_model`, which explains the arguments."""
        if len(mean) != len(std) or any(not value > 0 for value in std):
            raise InvalidInput("`mean` and `std` go together, one for each channel, and each std is above 0.")
        self.module = module
        first = next(module.parameters(), None)
        self.device = "cpu" if first is None else str(first.device)
        self._scale = (_channels(mean, self.device), _channels(std, self.device)) if len(mean) else None
        if classes is None:
            if sample is None:
                raise InvalidInput("how many classes there are cannot be read from a module: say `classes=`.")
            classes = int(self.scores_of(sample[:1]).shape[-1])
        self.classes = classes

    def logits(self, x: Tensor) -> Tensor:
        """Return what the module says of x, differentiable by x."""
        with frozen(self.module):
            return self._forward(self.module, x)

    def held(self) -> Held:
        """Return a copy for a search."""
        return Held(self.module, self.classes, self.device, self._forward)

    def _forward(self, module: nn.Module, x: Tensor) -> Tensor:
        if self._scale is not None:
            x = (x - self._scale[0]) / self._scale[1]
        return ask(module, x)

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) logits."""
        return self.scores_of(x) if len(x) else np.zeros((0, self.classes), np.float32)

    def scores_of(self, x: Floats) -> Floats:
        """Return the module's answer in whatever shape it has."""
        with torch.no_grad():
            return np.concatenate([self.logits(part).float().cpu().numpy() for part in batches(x, self.device)])


class Held:
    """A frozen copy of a model that a search asks many times, without the care that the caller's own needs."""

    def __init__(
        self,
        module: nn.Module,
        classes: int,
        device: str,
        forward: Callable[[nn.Module, Tensor], Tensor] | None = None,
    ) -> None:
        """`forward` asks a module like `module` about x."""
        self._copy, self._forward = laid_out(module), forward or ask
        self.classes, self.device = classes, device

    def logits(self, x: Tensor) -> Tensor:
        """Return (n, classes), differentiable by x."""
        try:
            return self._forward(self._copy, x)
        except RuntimeError:  # such as a `view` that wants the usual layout; what is wrong in itself raises again
            self._copy.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            return self._forward(self._copy, x)

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) logits."""
        with torch.no_grad():  # not inference mode: what a module keeps of it could not be differentiated through
            parts = [self.logits(part).float().cpu().numpy() for part in batches(x, self.device)]
        return np.concatenate(parts) if parts else np.zeros((0, self.classes), np.float32)


def laid_out(module: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, without weight gradients, quick to differentiate by its input.

    Batch norms are part of the convolutions before them, and convolutions are laid out channels last, which takes less
    time for few channels, on processors and on GPUs. Scores differ in the last bits, which is why verdicts are the
    caller's own model's. A module that cannot be copied stands behind `frozen` instead, at its own speed.
    """
    try:
        # Of a compiled module the one inside: a search asks with ever fewer rows, and for several gradients of a pass.
        copied = deepcopy(getattr(module, "_orig_mod", module)).eval().requires_grad_(False)
    except _NO_COPY:
        return _Frozen(module)
    fold_norms(copied)
    quicken(copied)
    return last_channels(copied)


def last_channels(module: nn.Module) -> nn.Module:
    """Lay the weights of convolutions out channels last, in place."""
    if not any(weight.ndim == 5 for weight in module.parameters()):  # volumes have another name for the layout
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's types
    return module


class _Frozen(nn.Module):
    """A module that is frozen for each call."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self._inner = [inner]  # in a list, so that it is no part of this one

    def forward(self, x: Tensor) -> Tensor:
        with frozen(self._inner[0]):
            logits: Tensor = self._inner[0](x)
        return logits


def ask(module: nn.Module, x: Tensor) -> Tensor:
    """Return module(x) in float32, of a copy of x: a first layer that works in place would change the caller's rows."""
    logits: Tensor = module(x.clone())
    return logits.float()


def batches(x: Floats, device: str) -> Iterator[Tensor]:
    """Yield x as float32 tensors on the device, part by part."""
    for part in passes(x.shape, device):
        yield torch.from_numpy(np.ascontiguousarray(x[part], np.float32)).to(device)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Hold the module in evaluation mode, its weights asking for no gradient, and give it back as it was."""
    training = [part for part in module.modules() if part.training]
    learning = [weight for weight in module.parameters() if weight.requires_grad]
    try:
        for part in training:
            part.training = False
        for weight in learning:
            weight.requires_grad_(False)
        yield
    finally:
        for part in training:
            part.training = True
        for weight in learning:
            weight.requires_grad_(True)


def _channels(values: Sequence[float], device: str) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float32, device=device).reshape(1, -1, 1, 1)
