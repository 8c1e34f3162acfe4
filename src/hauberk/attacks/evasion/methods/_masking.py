"""Signs of masked gradients: the model looks robust because its gradients mislead attacks.

The tests of Athalye, Carlini and Wagner 2018, "Obfuscated Gradients Give a False Sense of Security", section 3.1, and of
Carlini et al. 2019, "On Evaluating Adversarial Robustness", section 4: a black-box attack beats the white-box attacks, one
step beats many, a larger radius does not help, or gradients are zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hauberk.attacks.budget import Ball
from hauberk.attacks.evasion.methods._losses import margin
from hauberk.attacks.evasion.methods._slope import on, slope
from hauberk.attacks.evasion.methods.apgd import ApgdParams
from hauberk.attacks.evasion.methods.apgd import run as apgd
from hauberk.attacks.evasion.methods.fgsm import FgsmParams
from hauberk.attacks.evasion.methods.fgsm import run as fgsm
from hauberk.attacks.verdict import predictions
from hauberk.core.progress import Quiet
from hauberk.models.port import Differentiable, Floats, Labels, passes

_SHARE = 0.02  # smallest share of the rows that counts as a sign; fewer may be chance
_ROWS = 64  # largest number of robust rows that are tested
_WIDER = 4.0  # times the radius
_STEPS = 30
_ADVICE = "gradients may be masked: trust the smaller number, and look for layers that round, clip or saturate."


def black_box_signs(fell: Mapping[str, int], rows: int) -> list[str]:
    """Return a warning if Square fooled rows that the white-box attacks did not. fell: rows fooled by each attack."""
    black = fell.get("square", 0)
    if black < max(2, _SHARE * rows):
        return []
    return [f"the black-box attack fooled {black} of {rows} rows that withstood the white-box attacks: {_ADVICE}"]


def signs_on_robust_rows(
    model: Differentiable, x: Floats, y: Labels, ball: Ball, *, rng: np.random.Generator
) -> list[str]:
    """Return warnings from tests of robust rows: zero gradients, one step instead of many, a larger radius.

    Cost: about 35 gradients of at most 64 rows.
    """
    x, y = x[:_ROWS], y[:_ROWS]
    if not len(x):
        return []
    signs: list[str] = []
    flat = sum(_flat(model, x[part], y[part]) for part in passes(x.shape, model.device))
    if flat > 0.1 * len(x):
        signs.append(f"the gradient of the margin is zero for {flat} of {len(x)} robust rows: {_ADVICE}")
    one = fgsm(model, x, y, ball, FgsmParams(), rng=rng, task=Quiet())
    held = int((predictions(model.scores(one.x)) == y).sum())
    if len(x) - held >= max(2, _SHARE * len(x)):
        signs.append(f"one step fooled {len(x) - held} of {len(x)} rows that withstood a hundred steps: {_ADVICE}")
    wide = replace(ball, eps=ball.eps * _WIDER)
    far = apgd(model, x, y, wide, ApgdParams(steps=_STEPS), rng=rng, task=Quiet())
    held = int((predictions(model.scores(far.x)) == y).sum())
    if held > 0.9 * len(x):
        signs.append(f"{held} of {len(x)} robust rows withstand {_WIDER:g} times the radius too: {_ADVICE}")
    return signs


def _flat(model: Differentiable, x: Floats, y: Labels) -> int:
    found = slope(model, on(model, x), margin, on(model, y))
    return int((found.gradient.flatten(1).abs().amax(1) == 0).sum())
