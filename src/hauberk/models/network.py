"""Network: a torch module as a `Differentiable`. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from hauberk.core.errors import InvalidInput
from hauberk.models.isolation import isolated
from hauberk.models.layers import fold_norms, quicken
from hauberk.models.port import Floats, passes


class Network:
    """A module that takes (n, ...) float32 and returns logits, as a `models.port.Differentiable`.

    The caller's module is never changed: each call asks an isolated copy that shares its weights and is in evaluation
    mode. Weights that the caller trains later are seen. Several threads may ask at once.
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
        """Arguments as in `models.adapting.as_model`."""
        if len(mean) != len(std) or any(not value > 0 for value in std):
            raise InvalidInput(
                "expected `mean` and `std` together, one value for each channel, and each std above 0."
            )
        self.module = module
        first = next(module.parameters(), None)
        self.device = "cpu" if first is None else str(first.device)
        self._scale = (_channels(mean, self.device), _channels(std, self.device)) if len(mean) else None
        if classes is None:
            if sample is None:
                raise InvalidInput("the number of classes cannot be read from a module: pass `classes=`.")
            classes = int(self.scores_of(sample[:1]).shape[-1])
        self.classes = classes

    def logits(self, x: Tensor) -> Tensor:
        """Return (n, classes) logits, differentiable by x."""
        return self._forward(isolated(self.module, share=True), x)

    def held(self) -> Held:
        """Return a fast copy for a search."""
        return Held(self.module, self.classes, self.device, self._forward)

    def _forward(self, module: nn.Module, x: Tensor) -> Tensor:
        if self._scale is not None:
            x = (x - self._scale[0]) / self._scale[1]
        return ask(module, x)

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) logits."""
        return self.scores_of(x) if len(x) else np.zeros((0, self.classes), np.float32)

    def scores_of(self, x: Floats) -> Floats:
        """Return the module's output in the shape that it has."""
        module = isolated(self.module, share=True)
        with torch.no_grad():
            parts = [self._forward(module, part).cpu().numpy() for part in batches(x, self.device)]
        return np.concatenate(parts)


class Held:
    """A fast isolated copy of a model, for searches that ask it many times; its weights are fixed when it is made."""

    def __init__(
        self,
        module: nn.Module,
        classes: int,
        device: str,
        forward: Callable[[nn.Module, Tensor], Tensor] | None = None,
    ) -> None:
        """forward: a function of a module like `module` and of x that returns logits."""
        self._copy, self._forward = laid_out(module), forward or ask
        self.classes, self.device = classes, device

    def logits(self, x: Tensor) -> Tensor:
        """Return (n, classes), differentiable by x."""
        try:
            return self._forward(self._copy, x)
        except RuntimeError:  # such as a `view` that needs contiguous rows; other errors raise again below
            self._copy.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            return self._forward(self._copy, x)

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) logits."""
        with (
            torch.no_grad()
        ):  # not inference mode: tensors that a module caches could not be differentiated through later
            parts = [self.logits(part).float().cpu().numpy() for part in batches(x, self.device)]
        return np.concatenate(parts) if parts else np.zeros((0, self.classes), np.float32)


def laid_out(module: nn.Module) -> nn.Module:
    """Return an isolated copy that is fast to differentiate by its input.

    Batch norms are folded into the convolutions before them, and convolutions use the channels-last layout, which is
    faster for few channels on processors and on GPUs. Scores differ in the last bits; therefore verdicts ask the caller's
    own model.
    """
    copied = isolated(module)
    fold_norms(copied)
    quicken(copied)
    return last_channels(copied)


def last_channels(module: nn.Module) -> nn.Module:
    """Change the weights of convolutions to the channels-last layout, in place, and return the module."""
    if not any(weight.ndim == 5 for weight in module.parameters()):  # for volumes the layout has another name
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's types
    return module


def ask(module: nn.Module, x: Tensor) -> Tensor:
    """Return module(x) in float32. x is copied, because a first layer that works in place would change the caller's rows."""
    logits: Tensor = module(x.clone())
    return logits.float()


def batches(x: Floats, device: str) -> Iterator[Tensor]:
    """Yield x as float32 tensors on the device, part by part."""
    for part in passes(x.shape, device):
        yield torch.from_numpy(np.ascontiguousarray(x[part], np.float32)).to(device)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Set the module to evaluation mode without weight gradients for the block, and restore it afterwards.

    Only for a module that one thread owns, such as a training loop's: every holder of the module sees the change. To ask
    a module that belongs to somebody else, use `isolation.isolated`.
    """
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
