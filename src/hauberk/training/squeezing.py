"""Squeezing: layers that a model's builder may put in front, to remove small perturbations from pictures.

    def build(spec):
        return nn.Sequential(BitDepth(4), Median(3), net(spec))

Source: Xu, Evans, Qi 2018, "Feature Squeezing: Detecting Adversarial Examples in Deep Neural Networks", section 3.
They are part of the model, so every attack and every export includes them, and they are always attacked adaptively:
rounding, whose true gradient is zero, passes the gradient through unchanged (straight-through; BPDA, Athalye, Carlini,
Wagner 2018, "Obfuscated Gradients Give a False Sense of Security", section 4.1). By themselves they stop little against
an attacker who knows about them. Imports torch when it is imported.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hauberk.core.errors import InvalidInput


class BitDepth(nn.Module):
    """Rounds pixels in [0, 1] to 2 ** bits levels; its gradient is that of the identity.

    Answers: changes below half a level that are not aimed at the boundary between two levels. Does not answer:
    attackers who know about it.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        if not 1 <= bits <= 8:
            raise InvalidInput(f"a bit depth is a number of bits from 1 to 8, found {bits}.")
        self.steps = 2**bits - 1

    def forward(self, x: Tensor) -> Tensor:
        """Return x rounded."""
        rounded: Tensor = (x * self.steps).round() / self.steps
        # The sum would round once more in float32; without a gradient, the levels are exact.
        return x + (rounded - x).detach() if x.requires_grad else rounded


class Median(nn.Module):
    """Replaces each pixel by the median of the `size` x `size` pixels around it, edges repeated; size is odd.

    It is differentiable: the gradient goes to the selected pixel. Answers: changes of single pixels. Does not answer:
    smooth changes; attackers who know about it.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < 3 or size % 2 == 0:
            raise InvalidInput(f"a median's size is odd and 3 or more, found {size}.")
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return x (n, c, h, w) smoothed."""
        margin, height, width = self.size // 2, x.shape[2], x.shape[3]
        padded = nn.functional.pad(x, (margin, margin, margin, margin), mode="replicate")
        around = [
            padded[:, :, row : row + height, column : column + width]
            for row in range(self.size)
            for column in range(self.size)
        ]
        middle = len(around) // 2
        return torch.stack(around, dim=-1).topk(middle + 1, dim=-1).values[..., -1]
