"""Randomised smoothing: the class a model predicts most often for noisy copies of an input, with a proven radius.

Source: Cohen, Rosenfeld, Kolter 2019, "Certified Adversarial Robustness via Randomized Smoothing": theorem 1, and
figure 1's PREDICT and CERTIFY. The certificate is for the vote g, not for the model f that votes: if f is served alone,
there is no certificate. For each input, the certificate is wrong with probability at most `alpha`.
Imports torch when it is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Quiet, Task
from hauberk.models.port import Floats
from hauberk.models.torch_model import TorchModel, forward

ABSTAIN = -1
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Smoothing:
    """Settings of the vote.

    sigma: standard deviation of the noise, in input units; a larger one certifies larger radii and is less accurate.
    guess: number of votes that pick the class. votes: number of fresh votes that certify it. alpha: probability that
    a certificate is wrong. Raises InvalidInput for values out of range. The largest provable radius is
    sigma * z(alpha ** (1 / votes)), where z is the quantile of the standard normal: 2.46 sigma for 1000 votes.
    """

    sigma: float
    guess: int = 100
    votes: int = 1000
    alpha: float = 0.001

    def __post_init__(self) -> None:
        if not (0 < self.sigma < float("inf")):
            raise InvalidInput(f"smoothing `sigma` must be a finite number above 0, found {self.sigma}.")
        if self.guess < 1 or self.votes < 1:
            raise InvalidInput(f"smoothing needs 1 vote or more, found {self.guess} and {self.votes}.")
        if not 0 < self.alpha < 0.5:
            raise InvalidInput(f"smoothing `alpha` is a probability above 0 and below 0.5, found {self.alpha}.")


@dataclass(frozen=True, slots=True)
class Certified:
    """For each row: the certified class or ABSTAIN, and the L2 radius, which is 0 for ABSTAIN."""

    classes: NDArray[np.int64]
    radii: NDArray[np.float64]


def certify(
    model: TorchModel, x: Floats, how: Smoothing, *, rng: torch.Generator, task: Task | None = None
) -> Certified:
    """Return the certified class and L2 radius of each row of x (n, *shape).

    rng: on the model's device. Cost: guess + votes forward passes of each row. Answers: any change of L2 length
    below the radius. Does not answer: other norms, except through the L2 length; a served model that does not vote.
    """
    task = task or Quiet()
    classes, radii = np.full(len(x), ABSTAIN, dtype=np.int64), np.zeros(len(x))
    for row in range(len(x)):
        picked = int(_counts(model, x[row], how.sigma, how.guess, rng).argmax())
        seen = int(_counts(model, x[row], how.sigma, how.votes, rng)[picked])
        share = _lower_bound(seen, how.votes, how.alpha)
        if share > 0.5:
            classes[row], radii[row] = picked, how.sigma * NormalDist().inv_cdf(share)
        task.update((row + 1) / len(x), text=f"{row + 1} of {len(x)} rows")
    return Certified(classes, radii)


def predict(
    model: TorchModel, x: Floats, how: Smoothing, *, rng: torch.Generator, task: Task | None = None
) -> NDArray[np.int64]:
    """Return (n,) the class of the vote for each row; ABSTAIN if the two leading classes cannot be told apart.

    A returned class is the true vote's with probability at least 1 - alpha. Cost: votes forward passes of each row.
    """
    task = task or Quiet()
    stats = need("scipy.stats")
    given = np.full(len(x), ABSTAIN, dtype=np.int64)
    for row in range(len(x)):
        counts = _counts(model, x[row], how.sigma, how.votes, rng)
        first, second = np.argsort(-counts, kind="stable")[:2]
        if stats.binomtest(int(counts[first]), int(counts[first] + counts[second]), 0.5).pvalue <= how.alpha:
            given[row] = first
        task.update((row + 1) / len(x))
    return given


def _lower_bound(successes: int, trials: int, alpha: float) -> float:
    """Return the exact one-sided lower confidence bound of a binomial share in [0, 1], at level 1 - alpha.

    successes: in [0, trials]; raises InvalidInput otherwise. Source: Clopper, Pearson 1934: the share for which this
    many successes or more have probability alpha, a quantile of a beta distribution.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise InvalidInput(f"expected 0 to {trials} successes in 1 trial or more, found {successes}.")
    if not successes:
        return 0.0
    return float(need("scipy.special").betaincinv(successes, trials - successes + 1, alpha))


def _counts(model: TorchModel, row: Floats, sigma: float, votes: int, rng: torch.Generator) -> NDArray[np.int64]:
    """Return (classes,) the number of times the model predicts each class for the row with fresh Gaussian noise."""
    module = model.module.eval()
    counts = torch.zeros(model.classes, dtype=torch.int64, device=model.device)
    origin = torch.from_numpy(np.ascontiguousarray(row, np.float32)).to(model.device)[None]
    with torch.no_grad():
        for start in range(0, votes, _BATCH):
            shape = (min(_BATCH, votes - start), *row.shape)
            # Not clipped to the pixel range: the theorem needs Gaussian noise, and clipped noise is not Gaussian.
            noise = torch.randn(shape, generator=rng, device=model.device)
            given = forward(module, origin + sigma * noise).argmax(1)
            counts += torch.bincount(given, minlength=model.classes)
    return counts.cpu().numpy().astype(np.int64)
