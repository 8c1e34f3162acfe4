"""Randomised smoothing: the class that a model gives most often to noisy copies of an input, with a proven radius.

Source: Cohen, Rosenfeld, Kolter 2019, "Certified Adversarial Robustness via Randomized Smoothing": theorem 1, and
figure 1's PREDICT and CERTIFY. What is certified is the vote g, not the model f that votes: whoever serves f alone
has no certificate. A certificate is wrong with probability `alpha` at most, for each input.
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
    """How votes are taken and judged.

    sigma: standard deviation of the noise, in input units; larger certifies further and is less accurate. guess:
    votes that pick the class. votes: fresh ones that prove it. alpha: probability that a certificate is wrong.
    Raises InvalidInput for values that make no sense. The largest radius that can be proven is
    sigma * z(alpha ** (1 / votes)), z being the standard normal's quantile: 2.46 sigma for 1000 votes.
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
    """For each row: the class that is certified, ABSTAIN where none is; and the L2 radius, 0 where none is."""

    classes: NDArray[np.int64]
    radii: NDArray[np.float64]


def certify(
    model: TorchModel, x: Floats, how: Smoothing, *, rng: torch.Generator, task: Task | None = None
) -> Certified:
    """Return the certified class and L2 radius of each row of x (n, *shape).

    rng: on the model's device. Cost: guess + votes forward passes of each row. Answers: any change of L2 length
    below the radius. Does not answer: another norm, except through its L2 length; a served model that does not vote.
    """
    task = task or Quiet()
    classes, radii = np.full(len(x), ABSTAIN, dtype=np.int64), np.zeros(len(x))
    for row in range(len(x)):
        picked = int(_counts(model, x[row], how.sigma, how.guess, rng).argmax())
        seen = int(_counts(model, x[row], how.sigma, how.votes, rng)[picked])
        share = lower_bound(seen, how.votes, how.alpha)
        if share > 0.5:
            classes[row], radii[row] = picked, how.sigma * NormalDist().inv_cdf(share)
        task.update((row + 1) / len(x), text=f"{row + 1} rows certified or not")
    return Certified(classes, radii)


def predict(
    model: TorchModel, x: Floats, how: Smoothing, *, rng: torch.Generator, task: Task | None = None
) -> NDArray[np.int64]:
    """Return the class that the vote gives each row, ABSTAIN where the two first are too close to tell apart.

    A class that is given is the vote's with probability 1 - alpha at least. Cost: votes forward passes of each row.
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


def lower_bound(successes: int, trials: int, alpha: float) -> float:
    """Return the exact one-sided lower confidence bound of a binomial share, at level 1 - alpha.

    successes in [0, trials]. Source: Clopper, Pearson 1934: the share at which as many successes or more have
    probability alpha, a quantile of a beta distribution.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise InvalidInput(f"expected 0 to {trials} successes in 1 trial or more, found {successes}.")
    if not successes:
        return 0.0
    return float(need("scipy.special").betaincinv(successes, trials - successes + 1, alpha))


def _counts(model: TorchModel, row: Floats, sigma: float, votes: int, rng: torch.Generator) -> NDArray[np.int64]:
    """Return (classes,): how often the model gives each class to the row with fresh Gaussian noise."""
    module = model.module.eval()
    counts = torch.zeros(model.classes, dtype=torch.int64, device=model.device)
    origin = torch.from_numpy(np.ascontiguousarray(row, np.float32)).to(model.device)[None]
    with torch.no_grad():
        for start in range(0, votes, _BATCH):
            shape = (min(_BATCH, votes - start), *row.shape)
            # Not cut to the pixel range: the theorem is about Gaussian noise, and a cut is another noise.
            noise = torch.randn(shape, generator=rng, device=model.device)
            given = forward(module, origin + sigma * noise).argmax(1)
            counts += torch.bincount(given, minlength=model.classes)
    return counts.cpu().numpy().astype(np.int64)
