"""Losses for training, each a mean over the batch in nats, from scores (n, classes) and labels (n,).

Imports torch when it is imported; `fitting` checks for torch first.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hauberk.core.errors import InvalidInput

_TINY = 1e-12


def cross_entropy(scores: Tensor, y: Tensor) -> Tensor:
    """Return the mean cross-entropy. Raises InvalidInput when the scores do not fit the labels."""
    try:
        return functional.cross_entropy(scores, y)
    except (IndexError, RuntimeError, ValueError) as error:
        raise InvalidInput(
            f"the model's scores have shape {tuple(scores.shape)} for {len(y)} rows with classes up to "
            f"{int(y.max())}: expected (rows, classes). Use spec.classes as the width of the last layer."
        ) from error


def divergence(scores: Tensor, reference: Tensor) -> Tensor:
    """Return (n,) Kullback-Leibler divergences KL(softmax(reference) || softmax(scores)) in nats, one for each row."""
    ours, theirs = functional.log_softmax(scores, 1), functional.log_softmax(reference, 1)
    return (theirs.exp() * (theirs - ours)).sum(1)


def boosted_cross_entropy(scores: Tensor, y: Tensor) -> Tensor:
    """Return the mean of -log p_y - log(1 - max of the others' p). Source: Wang et al. 2020 (MART), equation 7."""
    shares = functional.softmax(scores, 1)
    own = shares.gather(1, y[:, None])[:, 0]
    other = shares.scatter(1, y[:, None], -1.0).amax(1)
    missed = torch.log1p(-other.clamp(max=1 - 1e-6))
    rows: Tensor = -(own.clamp(min=_TINY).log() + missed)
    return rows.mean()
