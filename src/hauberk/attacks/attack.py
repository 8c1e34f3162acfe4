"""Attack: the one entry point of every evasion attack, and the registry of attacks.

An attack searches for allowed inputs that are not classified as `y`. The steps around the search are the same for all
attacks and are done here: inputs are checked, rows that are misclassified already are skipped, and `verdict` judges the
result independently of the search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hauberk.attacks.averaged import averaged
from hauberk.attacks.budget import Ball, Region
from hauberk.attacks.params import Params
from hauberk.attacks.verdict import AttackResult, SearchResult, judge, nothing, predictions
from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.core.registry import Registry
from hauberk.models.adapting import as_model
from hauberk.models.port import Differentiable, Floats, Labels, Model

if TYPE_CHECKING:
    from torch import Tensor

_REPEATED = 16  # rows that are scored twice, to detect models that answer at random
_SAME = 1e-4  # relative difference of scores that the order of a sum explains
_SAME_GPU = 2e-2  # GPUs multiply with ten bits of mantissa and choose other kernels for other batch sizes
_FAINT = 1e-3  # warn when the median spread of the scores is below this
RANDOM = (
    "the model returns other scores for the same input when it is asked again: one attack on one draw says little. "
    "Use auto_attack(draws=20), which averages gradients over draws."
)


class Attack(Protocol):
    """Search for allowed inputs that are not classified as `y`, or, given targets, that are classified as `targets`.

    All rows passed to a search are classified correctly. Randomness comes from `attacks.draws`, so that the result for a
    row does not depend on the other rows. A targeted attack takes one more keyword, `targets: Labels | None`.
    """

    def __call__(  # noqa: PLR0913 - model, inputs, what is allowed, how hard to try
        self,
        model: Any,  # noqa: ANN401 - a Model, or a Differentiable if `access` is "gradients"
        x: Floats,
        y: Labels,
        budget: Any,  # noqa: ANN401 - one of the params' regions
        params: Any,  # noqa: ANN401 - the attack's own params
        *,
        rng: np.random.Generator,
        task: Task,
    ) -> SearchResult:
        """Return inputs like `x`, each allowed by `budget`; for a row that was not fooled, its best attempt."""


ATTACKS: Registry[Attack] = Registry("attack", "hauberk.attacks.evasion.methods")


def attack(  # noqa: PLR0913, PLR0917 - the shape of an attack
    run: Attack,
    model: Any,  # noqa: ANN401 - what `as_model` takes
    x: Floats,
    y: Labels,
    budget: Region,
    params: Params,
    *,
    rng: np.random.Generator,
    task: Task | None = None,
    targets: Labels | None = None,
) -> AttackResult:
    """Attack each row of x and return the judged results.

    model: what `models.adapting.as_model` accepts. x: (n, ...) floats inside the budget's box; y: (n,) whole numbers in
    [0, classes), n may be 0; targets: (n,) classes other than y, or None.

    Nothing that is passed changes, during the call or after it: not the arrays, not a module's mode, weights, gradients
    and buffers. `rng` advances. Global random states are neither set nor restored: a model that draws from them keeps
    doing so. Several threads may attack the same model at once.

    Raises InvalidInput for inputs, labels, budgets or models that cannot be used, saying which and what to do.
    Cost beside the search: two passes of scores over x.
    """
    x, y = _as_arrays(x, y)
    if not len(x):
        return AttackResult(x, y, nothing())
    draws = getattr(params, "draws", 1)
    checked = _checked(averaged(as_model(model, sample=x[:1]), draws))
    # 1. Check the inputs: with a wrong scale or a wrong label every number below would be meaningless.
    _check_access(checked, params)
    _check_budget(budget, params)
    _check_values(checked, x, y, budget)
    _check_targets(checked, y, targets)
    # 2. Skip rows that are misclassified already: they need no attack.
    clean = checked.scores(x)
    right = predictions(clean) == y
    warnings = _odd(checked, x, clean, random=draws > 1)
    # 3. Search on the remaining rows.
    rows = np.flatnonzero(right)
    more = {} if targets is None else {"targets": targets[rows]}
    searched = _for_search(checked, x, clean)
    found = run(searched, x[rows], y[rows], budget, params, rng=rng, task=task or Quiet(), **more)
    whole = SearchResult(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
    whole.x[rows], whole.queries[rows], whole.gradients[rows] = found.x, found.queries, found.gradients
    # 4. Judge the result by code that shares nothing with the search.
    verdicts = judge(checked, whole, x, y, budget, clean=clean, targets=targets)
    return AttackResult(whole.x, y, verdicts, warnings + found.warnings)


class _Checked:
    """A model whose answers are checked for their shape."""

    def __init__(self, model: Model) -> None:
        self.inner = model

    @property
    def classes(self) -> int:
        return self.inner.classes

    def scores(self, x: Floats) -> Floats:
        try:
            scores = np.asarray(self.inner.scores(x))
        except HauberkError:
            raise
        except Exception as error:
            raise InvalidInput(f"the model failed on {len(x)} rows: {type(error).__name__}: {error}") from error
        if scores.shape != (len(x), self.classes):
            raise InvalidInput(
                f"the model returned scores of shape {scores.shape}, expected {(len(x), self.classes)}: one score "
                "for each class."
            )
        return scores.astype(np.float32, copy=False)


class _CheckedDifferentiable(_Checked):
    """The same for a model with gradients."""

    def __init__(self, model: Differentiable) -> None:
        super().__init__(model)
        self.device = model.device
        self._logits = model.logits

    def logits(self, x: Tensor) -> Tensor:
        logits = self._logits(x)
        if logits.shape != (len(x), self.classes):
            raise InvalidInput(
                f"the model returned logits of shape {tuple(logits.shape)}, expected {(len(x), self.classes)}."
            )
        if x.requires_grad and not logits.requires_grad:
            raise InvalidInput(
                "no gradient reaches the input: the model detaches it (look for .detach(), .data, torch.no_grad() or "
                "numpy inside forward). Remove that, or use a black-box attack: square on images, evolutionary on tables."
            )
        return logits


def _checked(model: Model) -> _Checked:
    if isinstance(model, _Checked):
        return model
    return _CheckedDifferentiable(model) if isinstance(model, Differentiable) else _Checked(model)


def _for_search(model: _Checked, x: Floats, clean: Floats) -> _Checked:
    """Return the model that a search asks: the fast copy that `held` returns, if its scores are the same."""
    make = getattr(model.inner, "held", None)
    if make is None:
        return model
    copy = _checked(make())
    return copy if _same(copy, x[:_REPEATED], clean[:_REPEATED]) else model


def _same(copy: _Checked, x: Floats, clean: Floats) -> bool:
    close = _closeness(copy)
    try:
        return np.allclose(copy.scores(x), clean, rtol=close, atol=close * np.median(np.abs(clean)), equal_nan=True)
    except InvalidInput:
        return False


def _closeness(model: _Checked) -> float:
    return _SAME_GPU if str(getattr(model, "device", "cpu")).startswith("cuda") else _SAME


def _as_arrays(x: Floats, y: Labels) -> tuple[Floats, Labels]:
    """Return both as float32 and int64. Raises InvalidInput for arrays of another kind."""
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        raise InvalidInput(
            f"expected x and y as numpy arrays, found {type(x).__name__} and {type(y).__name__}: "
            "convert a tensor by tensor.cpu().numpy()."
        )
    if x.dtype.kind != "f":
        raise InvalidInput(
            f"x holds {x.dtype}, expected floats in the model's own units: pixels are x.astype('float32') / 255."
        )
    if y.dtype.kind not in "iu" or y.shape != x.shape[:1]:
        raise InvalidInput(
            f"expected y as whole numbers of shape {x.shape[:1]}, found {y.dtype} of shape {y.shape}."
        )
    return np.ascontiguousarray(x, np.float32), y.astype(np.int64)


def _check_access(model: _Checked, params: Params) -> None:
    if params.access == "gradients" and not isinstance(model, _CheckedDifferentiable):
        raise InvalidInput(
            "this attack needs a model with gradients, and this one gives scores only: use a black-box attack."
        )


def _check_budget(budget: Region, params: Params) -> None:
    if not isinstance(budget, params.regions):
        kinds = " or ".join(region.__name__ for region in params.regions)
        others = [entry.name for entry in ATTACKS if isinstance(budget, entry.params.regions)]
        raise InvalidInput(
            f"this attack works in a {kinds}, found a {type(budget).__name__}. Attacks that work in it: "
            f"{', '.join(others) or 'none'}."
        )
    if isinstance(budget, Ball) and budget.norm not in params.norms:
        raise InvalidInput(f"this attack is defined for {', '.join(params.norms)} balls, not {budget.norm}.")
    if isinstance(budget, Ball) and budget.eps == 0:
        raise InvalidInput("`eps` is 0: nothing may change, so there is nothing to attack. Measure clean accuracy.")


def _check_values(model: _Checked, x: Floats, y: Labels, budget: Region) -> None:
    if model.classes < 2:
        raise InvalidInput("the model has one class: it cannot be wrong, so there is nothing to attack.")
    if _outside(y, model):
        raise InvalidInput(
            f"labels lie in [{y.min()}, {y.max()}], expected [0, {model.classes}): the model's classes."
        )
    if not np.isfinite(x).all():
        bad = np.flatnonzero(~np.isfinite(x).all(axis=tuple(range(1, x.ndim))))
        raise InvalidInput(f"{len(bad)} rows of x hold NaN or infinity, first row {bad[0]}: repair or drop them.")
    if x.min() < budget.low or x.max() > budget.high:
        raise InvalidInput(
            f"x lies in [{x.min():g}, {x.max():g}], outside [{budget.low:g}, {budget.high:g}]: scale the input, put "
            "normalisation inside the model (`as_model(module, mean=..., std=...)`), or pass `low` and `high`."
        )


def _check_targets(model: _Checked, y: Labels, targets: Labels | None) -> None:
    if targets is not None and (targets.shape != y.shape or (targets == y).any() or _outside(targets, model)):
        raise InvalidInput(f"expected a target for each row: a class in [0, {model.classes}) other than its label.")


def _outside(labels: Labels, model: _Checked) -> bool:
    return not 0 <= labels.min() <= labels.max() < model.classes


def _odd(model: _Checked, x: Floats, clean: Floats, *, random: bool) -> tuple[str, ...]:
    """Return warnings about the model: NaN scores, scores that hardly differ, scores that change when asked again."""
    odd: list[str] = []
    undefined = np.flatnonzero(np.isnan(clean).any(axis=1))
    if len(undefined):
        odd.append(
            f"the model's scores are NaN for {len(undefined)} of {len(x)} unchanged rows, first row {undefined[0]}: "
            "they count as wrong. Look for a division by zero, a logarithm of zero, or training that diverged."
        )
    spread = np.ptp(np.delete(clean, undefined, axis=0), axis=1)
    if len(spread) and 0 < np.median(spread) < _FAINT:
        odd.append(
            f"the model's scores differ by only {np.median(spread):.1g}, which is close to rounding: attacks that walk "
            "to the boundary may miss it. Multiply the scores by a constant, which changes no prediction."
        )
    some = x[:0] if random else x[:_REPEATED]
    same = _closeness(model)
    if len(some) and not np.allclose(model.scores(some), clean[:_REPEATED], rtol=same, atol=same, equal_nan=True):
        odd.append(RANDOM)
    return tuple(odd)
