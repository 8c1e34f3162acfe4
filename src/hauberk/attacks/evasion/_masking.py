"""Signs that gradients are masked: that a model looks robust because attacks are led astray, not because it is.

The tests that Athalye, Carlini and Wagner 2018, "Obfuscated Gradients Give a False Sense of Security", section 3.1,
and Carlini et al. 2019, "On Evaluating Adversarial Robustness", section 4, ask for: do black-box attacks beat white-box
ones, does one step beat many, do larger radii not help, are there gradients at all?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hauberk.attacks.budget import Ball
from hauberk.attacks.evasion._losses import margin
from hauberk.attacks.evasion._slope import on, slope
from hauberk.attacks.evasion.apgd import ApgdParams
from hauberk.attacks.evasion.apgd import run as apgd
from hauberk.attacks.evasion.fgsm import FgsmParams
from hauberk.attacks.evasion.fgsm import run as fgsm
from hauberk.attacks.verdict import predictions
from hauberk.core.progress import Quiet
from hauberk.models.port import Differentiable, Floats, Labels, passes

_SHARE = 0.02  # of the rows; fewer are luck
_ROWS = 64  # of those that stand are looked at once more
_WIDER = 4.0  # radii
_STEPS = 30
_ADVICE = "gradients may be masked: trust the smaller number, and look for layers that round, clip or saturate."


def fallen_to(fell: Mapping[str, int], rows: int) -> list[str]:
    """Say where the black box found what the white box did not. fell: how many rows each attack took, of `rows`."""
    black = fell.get("square", 0)
    if black < max(2, _SHARE * rows):
        return []
    return [f"the black-box attack fooled {black} of {rows} rows that withstood those with gradients: {_ADVICE}"]


def of_the_standing(
    model: Differentiable, x: Floats, y: Labels, ball: Ball, *, rng: np.random.Generator
) -> list[str]:
    """Look at rows that withstood everything once more: without gradients, in one step, at a larger radius.

    Cost: about 35 gradients of at most 64 rows.
    """
    x, y = x[:_ROWS], y[:_ROWS]
    if not len(x):
        return []
    signs: list[str] = []
    flat = sum(_flat(model, x[part], y[part]) for part in passes(x.shape, model.device))
    if flat > 0.1 * len(x):
        signs.append(f"the gradient of the margin is zero for {flat} of {len(x)} rows that stand: {_ADVICE}")
    one = fgsm(model, x, y, ball, FgsmParams(), rng=rng, task=Quiet())
    held = int((predictions(model.scores(one.x)) == y).sum())
    if len(x) - held >= max(2, _SHARE * len(x)):
        signs.append(f"one step fooled {len(x) - held} of {len(x)} rows that withstood a hundred: {_ADVICE}")
    wide = replace(ball, eps=ball.eps * _WIDER)
    far = apgd(model, x, y, wide, ApgdParams(steps=_STEPS), rng=rng, task=Quiet())
    held = int((predictions(model.scores(far.x)) == y).sum())
    if held > 0.9 * len(x):
        signs.append(f"{held} of {len(x)} rows that stand withstand {_WIDER:g} times the radius too: {_ADVICE}")
    return signs


def _flat(model: Differentiable, x: Floats, y: Labels) -> int:
    found = slope(model, on(model, x), margin, on(model, y))
    return int((found.gradient.flatten(1).abs().amax(1) == 0).sum())
