"""Planning: which hardening method, and how many epochs, fit into a number of minutes on this machine.

A few batches of each candidate are timed. The candidates are the registered methods that declare a rank
(`adversarial.Traits`); the strongest one that gets the epochs it needs to pay is chosen, because a weaker method learns
more in the same time than a few epochs of a strong one. No hyper-parameter is searched. More than 60 epochs rarely pay
(Rice, Wong, Kolter 2020).

If patience was left open, training on attacks keeps its best epoch by held-out rows, because robust overfitting sets in
late and more time must not make a model worse. It ends early only after half of the run without a gain: a drop while
the learning rate is high says nothing about the end of the run.
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

from hauberk.core.errors import InvalidInput
from hauberk.models import encoding
from hauberk.models.port import Floats, Labels
from hauberk.models.sklearn_model import SklearnModel, features, fitted
from hauberk.models.spec import Spec
from hauberk.training import building, methods
from hauberk.training._randomness import device_of, seeded
from hauberk.training.fitting import Build, Hardening, built, encoded
from hauberk.training.options import Options, recipe_of

_MOST_EPOCHS, _MOST_ROUNDS = 60, 20
_BATCHES = 3  # timed for each method, after one that is not timed
_SPARE = 0.9  # share of the time that is planned: checkpoints and other work on the machine take the rest


@dataclass(frozen=True, slots=True)
class Plan:
    """The method that fits, its params, the epochs (None for estimators, whose rounds are in params), and the reasons.

    patience: as `Hardening`; the declared value, else half of the epochs or 0.
    """

    method: str
    epochs: int | None
    params: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    patience: int = 0


@dataclass(frozen=True, slots=True)
class _Job:
    """What is planned, and how time is measured. clock: in seconds."""

    spec: Spec
    x: Floats
    y: Labels
    hardening: Hardening
    options: Options
    minutes: float
    seed: int
    device: str
    clock: Callable[[], float]

    def fits(self, seconds: float) -> int:
        """Return how many units of `seconds` fit into the minutes."""
        return int(_SPARE * 60 * self.minutes / seconds)


def plan(  # noqa: PLR0913 - the public function: model, data, threat and time, all keyword-only but the data
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
    """Return what to train within `minutes`, measured on this machine; another or a busy machine gets another plan.

    hardening: budgets, and a method; "auto" lets the plan choose. clock: in seconds. Cost: four batches of each
    candidate. Raises InvalidInput when minutes is not above 0, when `options` set the epochs as well, and as
    `fitting.train` for a model that fails.
    """
    options = options or Options()
    if not 0 < minutes < float("inf"):
        raise InvalidInput(f"minutes must be above 0 and finite, found {minutes}.")
    if options.epochs is not None:
        raise InvalidInput("minutes choose the number of epochs: leave `epochs` out, or `minutes`.")
    job = _Job(spec, x, y, hardening, options, minutes, seed, device, clock)
    made = built(build, spec, seed)
    return _for_module(build, job) if building.is_module(made) else _for_estimator(made, job)


def _for_module(build: Build, job: _Job) -> Plan:
    hardening = job.hardening
    ladder = methods.ladder() if hardening.method == methods.AUTO else [(hardening.method, 1)]
    if not ladder:
        raise InvalidInput(
            "no hardening method declares a rank, so there is nothing to choose from: name a method."
        )
    seconds = {}
    for name, _ in ladder:
        module = encoded(built(build, job.spec, job.seed), job.spec, job.x)
        seconds[name] = _epoch(module, replace(job, hardening=replace(hardening, method=name)))
    fits = {name: job.fits(seconds[name]) for name, _ in ladder}
    method = next((name for name, least in ladder if fits[name] >= least), ladder[-1][0])
    epochs = min(max(1, fits[method]), _MOST_EPOCHS)
    patience = _patience(hardening, method, epochs, len(job.x))
    notes = [_measured(job.minutes, method, epochs, seconds), *_refused(method, ladder, fits)]
    if hardening.patience is None:
        notes += _kept(patience, method)
    return Plan(method, epochs, hardening.params, tuple(notes), patience)


def _patience(hardening: Hardening, method: str, epochs: int, rows: int) -> int:
    """Return the declared patience, or half of the epochs, or 0 if keeping the best epoch would gain nothing.

    With few rows, the best epoch on a tenth of them is a matter of luck. Without attacks in training (noise, bounds),
    the epoch that withstands PGD best is not the epoch with the most certified rows.
    """
    if hardening.patience is not None:
        return hardening.patience
    from hauberk.training import heldout

    return math.ceil(epochs / 2) if rows // 10 >= heldout.ROWS and methods.traits(method).adversarial else 0


def _kept(patience: int, method: str) -> tuple[str, ...]:
    """Return which epoch is kept and why, when no patience was declared."""
    if not methods.traits(method).adversarial:
        return ()
    if not patience:
        return ("The last epoch is kept: too few rows can be held out to tell which epoch is best.",)
    after = "1 epoch" if patience == 1 else f"{patience} epochs"
    kept = "Against robust overfitting, the epoch with the highest accuracy under PGD on held-out rows is kept."
    return (f"{kept} Training ends early after {after} without a gain, and not before three quarters of the run.",)


def _epoch(module: Any, job: _Job) -> float:  # noqa: ANN401 - an nn.Module
    """Return the seconds of one epoch: the median of a few batches times their number, plus its measurements."""
    from hauberk.training import heldout, loop
    from hauberk.training.descent import MeanLoss

    recipe, device, hardening = recipe_of(job.options, job.spec), device_of(job.device), job.hardening
    chosen = methods.for_torch(hardening.method, hardening.params, hardening.budgets)
    out, _ = heldout.split(len(job.x), 0)
    held = heldout.HeldOut(job.x[out], job.y[out], device=device, seed=0)
    watches = methods.watching(chosen, held, patience=_patience(hardening, chosen.name, 1, len(job.x)), start=0)
    marks: list[float] = []

    class Marking:
        def update(self, done: float, *, text: str = "") -> None:  # noqa: ARG002 - the signature of Task
            marks.append(job.clock())

    once = replace(recipe, epochs=1)
    descent = MeanLoss(awp=hardening.awp)
    run = loop.Run(once, job.seed, device, chosen, watches, descent=descent, task=Marking())
    rows = np.arange((_BATCHES + 1) * recipe.batch) % len(job.x)
    loop.train(module, job.x[rows], job.y[rows], run)
    spent = median(after - before for before, after in pairwise(marks[: _BATCHES + 1]))
    return spent * len(job.x) / recipe.batch + marks[-1] - marks[-2]  # the last mark comes after the watches


def _measured(minutes: float, method: str, epochs: int, seconds: Mapping[str, float]) -> str:
    costs = ", ".join(f"{name} {each:.3g} s" for name, each in seconds.items())
    return f"Planned for {minutes:g} minutes: {method}, {epochs} epochs. One epoch was measured to take: {costs}."


def _refused(method: str, ladder: Sequence[tuple[str, int]], fits: Mapping[str, int]) -> list[str]:
    """Return why stronger methods were not chosen, and how the number of epochs was limited."""
    stronger = ladder[: [name for name, _ in ladder].index(method)]
    notes = [f"{name} would get {fits[name]} epochs and needs {least} to pay." for name, least in stronger]
    if fits[method] > _MOST_EPOCHS:
        notes.append(f"{fits[method]} epochs would fit; more than {_MOST_EPOCHS} rarely pay.")
    if fits[method] < 1:
        notes.append("Not one epoch fits: the one epoch that is trained takes longer than the planned minutes.")
    return notes


def _for_estimator(estimator: Any, job: _Job) -> Plan:  # noqa: ANN401 - scikit-learn publishes no types
    hardening, spec = job.hardening, job.spec
    name, step, params = methods.for_estimator(hardening.method, hardening.params)
    if "rounds" in hardening.params:
        raise InvalidInput("minutes choose the number of rounds: leave `rounds` out, or `minutes`.")
    coded = encoding.fit(spec, job.x) if spec.kind == "table" else None
    started = job.clock()
    with seeded(job.seed):
        model = SklearnModel(fitted(estimator, features(job.x, coded), job.y, spec, job.seed), spec, coded)
        x, y, rng = job.x[: params.rows], job.y[: params.rows], np.random.default_rng(job.seed)
        step(model, x, y, hardening.budgets[0], params, rng=rng)
    spent = job.clock() - started
    rounds = min(max(1, job.fits(spent * len(hardening.budgets)) - 2), _MOST_ROUNDS)
    note = f"Planned for {job.minutes:g} minutes: {name}, {rounds} rounds. One fit and attack took {spent:.3g} s."
    return Plan(name, None, {**hardening.params, "rounds": rounds}, (note,), hardening.patience or 0)
