"""AWP: the loss is minimised where nearby weights make it worst, which keeps robustness from fading on new inputs.

Source: Wu, Xia, Wang 2020, "Adversarial Weight Perturbation Helps Robust Generalization", algorithm 1 with one
step. It goes with any method. Here offsets and scales (batch norm's among them) stay where they are, and the extra
pass leaves batch statistics as it found them. Imports torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_TINY = 1e-12


@contextmanager
def ascended(module: nn.Module, loss: Callable[[], Tensor], *, radius: float) -> Iterator[None]:
    """Hold the weights, inside the block, one step up the gradient of `loss()`, and put them back to the bit.

    radius: the step's length as a share of each layer's norm, such as 0.005. Gradients that are computed inside
    the block stay. Cost: one forward and one backward pass.
    """
    weights = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    gradients = torch.autograd.grad(loss(), weights, allow_unused=True)
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for buffer, was in buffers:
            buffer.copy_(was)
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                weight.add_(gradient, alpha=float(radius * weight.norm() / (gradient.norm() + _TINY)))
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, was in zip(weights, before, strict=True):
                weight.copy_(was)
