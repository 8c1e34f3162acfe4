"""Attack: the one door through which every evasion attack goes, and the registry of those that do.

An attack looks for allowed inputs that are not classified as `y`. What surrounds the search is the same for all, and
is done here: inputs are checked, rows that are wrong already are left alone, and another module judges what was found.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypedDict, Unpack

import numpy as np

from hauberk.attacks.averaged import averaged
from hauberk.attacks.budget import Ball, Region
from hauberk.attacks.verdict import Found, Tried, judge, nothing, predictions
from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.core.registry import Registry
from hauberk.core.threats import Norm
from hauberk.models.adapting import as_model
from hauberk.models.port import Differentiable, Floats, Labels, Model

if TYPE_CHECKING:
    from torch import Tensor

_TWICE = 16  # rows that are asked about twice, to find models that answer at random
_SAME = 1e-4  # scores that differ by less, in proportion, differ by the order of a sum
_FAINT = 1e-3  # scores that lie no farther apart are told of
_SAME_GPU = 2e-2  # a GPU multiplies with ten bits of mantissa, and picks other kernels for another number of rows
RANDOM = (
    "the model gives other scores when it is asked again: one attack on one draw says little of it. "
    'Use auto_attack(mode="random"), which averages gradients over draws.'
)


class Params(Protocol):
    """What an attack's params say of it, beside its own settings.

    access: what it asks for: "gradients", "scores" or "labels". norms: of the balls it works in; none for tables. One that
    has `draws` above 1 asks, and is judged by, the model's mean prediction over that many answers.
    """

    access: ClassVar[str]
    norms: ClassVar[tuple[Norm, ...]]


class Attack(Protocol):
    """Looks for an allowed input that is not classified as `y`, or, for those that can, that is as `targets`.

    Every row given to it is right as it is. Randomness comes from `attacks.draws`, so that a row's result does not
    depend on its company. An attack with targets takes one more keyword, `targets: Labels | None`.
    """

    def __call__(  # noqa: PLR0913 - model, inputs, what is allowed, how hard to try
        self,
        model: Any,  # noqa: ANN401 - a Model, or a Differentiable where `access` is "gradients"
        x: Floats,
        y: Labels,
        budget: Any,  # noqa: ANN401 - a Budget, or the one Region that the attack knows
        params: Any,  # noqa: ANN401 - the attack's own params
        *,
        rng: np.random.Generator,
        task: Task,
    ) -> Tried:
        """Return inputs like `x`, each allowed by `budget`; a row that was not fooled is its best attempt."""


ATTACKS: Registry[Attack] = Registry("attack", "hauberk.attacks.evasion")


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
) -> Found:
    """Attack each row of x and return what was found, judged.

    model: as `models.adapting.as_model`. x: (n, ...) floats inside the box; y: (n,) whole numbers in [0, classes), n may
    be 0; targets: (n,) classes other than y, or None. Nothing that is passed is changed: not the arrays, not the
    model's mode and weights, not the global random states; `rng` moves on.

    Raises InvalidInput for inputs, labels, budgets or models that cannot be used, saying which and what to do.
    Cost, beside the attack's own: two passes of scores over x.
    """
    x, y = _rows(x, y)
    if not len(x):
        return Found(x, y, nothing())
    draws = getattr(params, "draws", 1)
    door = _door(averaged(as_model(model, sample=x[:1]), draws))
    # 1. Inputs are what they claim to be: a wrong scale or label would give numbers that mean nothing.
    _check(door, x, y, budget, params, targets)
    with _random_states(door, rng):
        # 2. Rows that are wrong already need no attack, and cost nothing.
        clean = door.scores(x)
        right = predictions(clean) == y
        warnings = _odd(door, x, clean, random=draws > 1)
        # 3. The search, on the rest.
        rows = np.flatnonzero(right)
        more = {} if targets is None else {"targets": targets[rows]}
        with _held(door, x, clean) as held:
            tried = run(held, x[rows], y[rows], budget, params, rng=rng, task=task or Quiet(), **more)
        whole = Tried(x.copy(), np.zeros(len(x), np.int64), np.zeros(len(x), np.int64))
        whole.x[rows], whole.queries[rows], whole.gradients[rows] = tried.x, tried.queries, tried.gradients
        # 4. The verdict, by code that shares nothing with the search.
        verdicts = judge(door, whole, x, y, budget, clean=clean, targets=targets)
    return Found(whole.x, y, verdicts, warnings + tried.warnings)


class Common(TypedDict, total=False):
    """Keywords that all attacks in a ball have.

    low, high: of every coordinate; 0 and 1 if left out. generator: a numpy Generator, or a seed; 0 if left out. task:
    is told how far the work is.
    """

    low: float
    high: float
    generator: np.random.Generator | int
    task: Task | None


def attack_ball(  # noqa: PLR0913 - as `attack`
    run: Attack,
    model: Any,  # noqa: ANN401 - as `attack`
    x: Floats,
    y: Labels,
    params: Params,
    *,
    norm: str,
    eps: float,
    targets: Labels | None = None,
    **rest: Unpack[Common],
) -> Found:
    """Attack inside a ball named by its norm. Raises InvalidInput for a norm that is not there."""
    if norm not in set(Norm):
        raise InvalidInput(f"no norm is named {norm!r}; known: {', '.join(Norm)}.")
    ball = Ball(Norm(norm), eps, rest.get("low", 0.0), rest.get("high", 1.0))
    rng = np.random.default_rng(rest.get("generator", 0))
    return attack(run, model, x, y, ball, params, rng=rng, task=rest.get("task"), targets=targets)


class _Door:
    """Stands before the model and refuses answers of another shape."""

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


class _OpenDoor(_Door):
    """The same before a model with gradients."""

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


def _door(model: Model) -> _Door:
    if isinstance(model, _Door):
        return model
    return _OpenDoor(model) if isinstance(model, Differentiable) else _Door(model)


@contextmanager
def _held(door: _Door, x: Floats, clean: Floats) -> Iterator[_Door]:
    """Yield the model as a search asks it: a frozen copy, where the model offers one that answers the same.

    A module's code may not bear what makes the copy quick, and functions inside it may hold on to the original, which
    is therefore frozen meanwhile.
    """
    make = getattr(door.inner, "held", None)
    if make is None:
        yield door
        return
    from hauberk.models.network import frozen

    module = getattr(door.inner, "module", None)
    with nullcontext() if module is None else frozen(module):
        copy = _door(make())
        yield copy if _same(copy, x[:_TWICE], clean[:_TWICE]) else door


def _same(copy: _Door, x: Floats, clean: Floats) -> bool:
    close = _closeness(copy)
    try:
        return np.allclose(copy.scores(x), clean, rtol=close, atol=close * np.median(np.abs(clean)), equal_nan=True)
    except InvalidInput:
        return False


def _closeness(model: _Door) -> float:
    return _SAME_GPU if str(getattr(model, "device", "cpu")).startswith("cuda") else _SAME


def _rows(x: Floats, y: Labels) -> tuple[Floats, Labels]:
    """Return both as float32 and int64. Raises InvalidInput for arrays of another kind."""
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        raise InvalidInput(
            f"expected x and y as numpy arrays, found {type(x).__name__} and {type(y).__name__}: "
            "of a tensor, pass tensor.cpu().numpy()."
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


def _check(  # noqa: PLR0913, PLR0917 - what the caller passed
    model: _Door, x: Floats, y: Labels, budget: Region, params: Params, targets: Labels | None
) -> None:
    if params.access == "gradients" and not isinstance(model, _OpenDoor):
        raise InvalidInput(
            "this attack needs a model with gradients, and this one gives scores only: use a black-box attack."
        )
    if isinstance(budget, Ball) and budget.norm not in params.norms:
        known = ", ".join(params.norms)
        raise InvalidInput(
            f"this attack is defined for {known} balls, not {budget.norm}."
            if known
            else "this attack is for tables with a budget by column: use square or another attack on images."
        )
    if isinstance(budget, Ball) and budget.eps == 0:
        raise InvalidInput("`eps` is 0: nothing may change, so there is nothing to attack. Count clean accuracy.")
    _check_values(model, x, y, budget)
    if targets is not None and (targets.shape != y.shape or (targets == y).any() or _outside(targets, model)):
        raise InvalidInput(f"expected a target for each row: a class in [0, {model.classes}) other than its label.")


def _check_values(model: _Door, x: Floats, y: Labels, budget: Region) -> None:
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
            "normalisation inside the model (`as_model(module, mean=..., std=...)`), or say `low` and `high`."
        )


def _outside(labels: Labels, model: _Door) -> bool:
    return not 0 <= labels.min() <= labels.max() < model.classes


def _odd(model: _Door, x: Floats, clean: Floats, *, random: bool) -> tuple[str, ...]:
    """Say what is odd about the model: answers that are no numbers, or that change when asked again."""
    odd: list[str] = []
    undefined = np.flatnonzero(np.isnan(clean).any(axis=1))
    if len(undefined):
        odd.append(
            f"the model's scores are NaN for {len(undefined)} of {len(x)} rows as they are, first row {undefined[0]}: "
            "they count as wrong. Look for a division by zero, a logarithm of zero, or training that diverged."
        )
    spread = np.ptp(np.delete(clean, undefined, axis=0), axis=1)
    if len(spread) and 0 < np.median(spread) < _FAINT:
        odd.append(
            f"the model's scores differ by {np.median(spread):.1g} only, near what rounding is: attacks that walk to "
            "the boundary may miss it. Multiply the scores by a constant, which changes no prediction."
        )
    some = x[:0] if random else x[:_TWICE]
    same = _closeness(model)
    if len(some) and not np.allclose(model.scores(some), clean[:_TWICE], rtol=same, atol=same, equal_nan=True):
        odd.append(RANDOM)
    return tuple(odd)


@contextmanager
def _random_states(model: _Door, rng: np.random.Generator) -> Iterator[None]:
    """Seed the global generators, which a model that answers at random draws from, and give them back as they were."""
    seed = int(rng.integers(1 << 32))
    kept = np.random.get_state()  # noqa: NPY002 - the global state is the one that a model may draw from
    np.random.seed(seed)  # noqa: NPY002 - as above
    torch = sys.modules.get("torch")
    try:
        if torch is None:
            yield
        else:
            device = str(getattr(model, "device", "cpu"))
            with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
                torch.manual_seed(seed)
                yield
    finally:
        np.random.set_state(kept)  # noqa: NPY002 - as above
