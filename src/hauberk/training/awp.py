"""AWP: minimises the loss at the worst nearby weights, so that robustness carries over to new inputs.

Source: Wu, Xia, Wang 2020, "Adversarial Weight Perturbation Helps Robust Generalization", algorithm 1 with one
step. It combines with any method. Here offsets and scales (also those of batch norm) are not perturbed, and the extra
pass does not change batch statistics. Imports torch when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_TINY = 1e-12


@contextmanager
def ascended(module: nn.Module, loss: Callable[[], Tensor], *, radius: float) -> Iterator[None]:
    """Move the weights one step up the gradient of `loss()` inside the block, then restore them to the bit.

    radius: length of the step as a share of each layer's norm, such as 0.005. Gradients computed inside the block are
    kept. Cost: one forward and one backward pass.
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
