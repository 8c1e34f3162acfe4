"""Planning: which hardening method, and how many epochs, fit into a number of minutes on this machine.

Nothing is searched: a few batches of each method are timed, and the strongest one takes the time that it needs to
pay. TRADES is preferred where it gets 25 epochs, PGD where it gets 12; else single-step training, which learns more
in the same time than a few epochs of a strong attack. More than 60 epochs rarely pay (Rice, Wong, Kolter 2020).
Where patience was left open, training on attacks keeps its best epoch by held-out rows: robust overfitting sets in
late, and more time must not make a model worse. It ends early only where half of the run went by without a gain: a dip
while the learning rate is high says nothing of what its fall will bring.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from time import monotonic
from typing import Any

import numpy as np

from hauberk.attacks.budget import Budget
from hauberk.core.errors import InvalidInput
from hauberk.models import encoding
from hauberk.models.port import Floats, Labels
from hauberk.models.sklearn_model import SklearnModel, features, fitted
from hauberk.models.spec import Spec
from hauberk.training import building
from hauberk.training._randomness import device_of, seeded
from hauberk.training.adversarial import HARDENING
from hauberk.training.fitting import Build, Hardening, built, encoded
from hauberk.training.options import Options, recipe_of

_LADDER = (("trades", 25), ("pgd", 12), ("n-fgsm", 1))  # from the strongest: name, and epochs from which it pays
_MOST_EPOCHS, _MOST_ROUNDS = 60, 20
_BATCHES = 3  # timed of each method, after one that is not
_SPARE = 0.9  # share of the time that is given out: checkpoints and whatever else the machine does take some too


@dataclass(frozen=True, slots=True)
class Plan:
    """What fits: a method, its params, the epochs (None for estimators, whose rounds are in params), and why.

    patience: as `Hardening`; the one that was said, else half of the epochs or 0.
    """

    method: str
    epochs: int | None
    params: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    patience: int = 0


def plan(  # noqa: PLR0913 - the model, its data, the threat and the time are each another thing
    build: Build,
    spec: Spec,
    x: Floats,
    y: Labels,
    *,
    hardening: Hardening,
    minutes: float,
    options: Options | None = None,
    seed: int = 0,
    device: str = "auto",
    clock: Callable[[], float] = monotonic,
) -> Plan:
    """Return what to train within `minutes`, measured here; another machine, or a busy one, gets another plan.

    hardening: budgets, and a method where one was named; "auto" lets the plan choose. clock: in seconds. Raises InvalidInput when
    minutes is not above 0, when `options` set the epochs as well, and as `fitting.train` for a model that fails.
    """
    options = options or Options()
    if not 0 < minutes < float("inf"):
        raise InvalidInput(f"minutes must be above 0 and finite, found {minutes}.")
    if options.epochs is not None:
        raise InvalidInput("minutes choose the number of epochs: leave `epochs` out, or `minutes`.")
    made = built(build, spec, seed)
    if not building.is_module(made):
        return _for_estimator(made, spec, x, y, hardening, minutes, seed, clock)
    seconds = {}
    ladder = [rung for rung in _LADDER if hardening.method in ("auto", rung[0])] or [(hardening.method, 1)]
    for name, _ in ladder:
        with seeded(seed):
            module = encoded(built(build, spec, seed), spec, x)
            seconds[name] = _epoch(
                module, spec, x, y, replace(hardening, method=name), options, device_of(device), clock
            )
    fitting_ = {name: int(_SPARE * 60 * minutes / seconds[name]) for name, _ in ladder}
    method = next((name for name, least in ladder if fitting_[name] >= least), ladder[-1][0])
    epochs = min(max(1, fitting_[method]), _MOST_EPOCHS)
    told = _told(method, epochs, ladder, seconds, fitting_, minutes)
    patience = _patience(hardening, method, epochs, len(x))
    if hardening.patience is None:
        told += _kept(patience, method)
    return Plan(method, epochs, hardening.params, told, patience)


def _patience(hardening: Hardening, method: str, epochs: int, rows: int) -> int:
    """Return the patience that was said, or half of the epochs, or 0 where keeping the best epoch would be no gain.

    Few rows: of a tenth of them the best epoch is a lucky one. No attacks in training: noise and bounds are for a
    certificate, and the epoch that withstands PGD best is not the one of which most can be proven.
    """
    if hardening.patience is not None:
        return hardening.patience
    from hauberk.training import heldout

    return math.ceil(epochs / 2) if rows // 10 >= heldout.ROWS and _attacks(method) else 0


def _attacks(method: str) -> bool:
    return bool(getattr(HARDENING[method].params, "adversarial", True))


def _kept(patience: int, method: str) -> tuple[str, ...]:
    """Return which epoch is kept and why, where no patience was said."""
    if not _attacks(method):
        return ()
    if not patience:
        return ("The last epoch is kept: too few rows can be held out to tell which is best.",)
    after = "1 epoch" if patience == 1 else f"{patience} epochs"
    kept = "Against robust overfitting, the epoch of the highest accuracy under PGD on held-out rows is kept."
    return (f"{kept} Training ends early after {after} without a gain, and not before three quarters of the run.",)


def _epoch(  # noqa: PLR0913, PLR0917 - as `plan`
    module: Any,  # noqa: ANN401 - an nn.Module
    spec: Spec,
    x: Floats,
    y: Labels,
    hardening: Hardening,
    options: Options,
    device: str,
    clock: Callable[[], float],
) -> float:
    """Return the seconds that one epoch takes: the median of a few batches, times their number, and a look after it."""
    from hauberk.training import heldout, loop, methods

    recipe = recipe_of(options, spec)
    chosen = methods.for_torch(hardening.method, hardening.params, hardening.budgets)
    out, _ = heldout.split(len(x), 0)
    held = heldout.HeldOut(x[out], y[out], device=device, seed=0)
    watches = methods.watching(chosen, held, patience=_patience(hardening, chosen.name, 1, len(x)), start=0)
    run = loop.Run(replace(recipe, epochs=1), 0, device, chosen, watches, awp=hardening.awp)
    marks: list[float] = []

    class Marking:
        def update(self, done: float, *, text: str = "") -> None:  # noqa: ARG002 - the shape of Task
            marks.append(clock())

    rows = np.arange((_BATCHES + 1) * recipe.batch) % len(x)
    loop.train(module, x[rows], y[rows], run, Marking())
    spent = median(after - before for before, after in pairwise(marks[: _BATCHES + 1]))
    return spent * len(x) / recipe.batch + marks[-1] - marks[-2]  # the last mark comes after the look


def _told(  # noqa: PLR0913, PLR0917 - everything that the choice depends on
    method: str,
    epochs: int,
    ladder: Sequence[tuple[str, int]],
    seconds: Mapping[str, float],
    fits: Mapping[str, int],
    minutes: float,
) -> tuple[str, ...]:
    costs = ", ".join(f"{name} {seconds[name]:.3g} s" for name, _ in ladder)
    told = [f"Planned for {minutes:g} minutes: {method}, {epochs} epochs. One epoch was measured to take: {costs}."]
    told += [
        f"{name} would get {fits[name]} epochs and needs {least} to pay."
        for name, least in ladder[: [name for name, _ in ladder].index(method)]
    ]
    if fits[method] > _MOST_EPOCHS:
        told.append(f"{fits[method]} epochs would fit; more than {_MOST_EPOCHS} rarely pay.")
    if fits[method] < 1:
        told.append("Not one epoch fits: the one that is trained takes longer than was allowed.")
    return tuple(told)


def _for_estimator(  # noqa: PLR0913, PLR0917 - as `plan`
    estimator: Any,  # noqa: ANN401 - scikit-learn publishes no types
    spec: Spec,
    x: Floats,
    y: Labels,
    hardening: Hardening,
    minutes: float,
    seed: int,
    clock: Callable[[], float],
) -> Plan:
    from hauberk.training import methods

    name, step, params = methods.for_estimator(hardening.method, hardening.params)
    if "rounds" in hardening.params:
        raise InvalidInput("minutes choose the number of rounds: leave `rounds` out, or `minutes`.")
    coded = encoding.fit(spec, x) if spec.kind == "table" else None
    started = clock()
    with seeded(seed):
        model = SklearnModel(fitted(estimator, features(x, coded), y, spec, seed), spec, coded)
        budget: Budget = hardening.budgets[0]
        step(model, x[: params.rows], y[: params.rows], budget, params, rng=np.random.default_rng(seed))
    spent = clock() - started
    rounds = min(max(1, int(_SPARE * 60 * minutes / (spent * len(hardening.budgets))) - 2), _MOST_ROUNDS)
    told = f"Planned for {minutes:g} minutes: {name}, {rounds} rounds. One fit and attack took {spent:.3g} s."
    return Plan(name, None, {**hardening.params, "rounds": rounds}, (told,), hardening.patience or 0)
