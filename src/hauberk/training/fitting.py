"""Train plainly or hardened, fine-tune a model trained elsewhere, load stored weights: the room's main functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hauberk.attacks.budget import Budget
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Quiet, Task
from hauberk.models import encoding
from hauberk.models.port import Floats, Labels
from hauberk.models.sklearn_model import SklearnModel, features, fitted
from hauberk.models.spec import Spec
from hauberk.training import building
from hauberk.training._randomness import device_of, seeded
from hauberk.training.options import Options, Recipe, recipe_of, refuse_for_estimators

if TYPE_CHECKING:
    from hauberk.models.torch_model import Encoded, TorchModel
    from hauberk.training import loop

Build = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Hardening:
    """The threats a model is hardened against, and how.

    budgets: budgets of the declared evasion threats, at least one; batches use them in turn. method: a name in
    HARDENING, or "auto". params: the method's parameters by name. awp: radius of the adversarial weight perturbation,
    as a share of each layer's norm, in [0, 1) (0.005 is usual; 0 is none). patience: epochs without a gain under
    attack on held-out rows after which training stops and the best epoch is kept; 0 trains to the end and keeps the
    last epoch; None lets a plan choose, and means 0 without one. Raises InvalidInput for values out of range.
    """

    budgets: tuple[Budget, ...]
    method: str = "auto"
    params: Mapping[str, Any] = field(default_factory=dict)
    awp: float = 0.0
    patience: int | None = None

    def __post_init__(self) -> None:
        if not self.budgets:
            raise InvalidInput("there is no evasion threat to harden against: declare one, or train plainly.")
        if not 0 <= self.awp < 1:
            raise InvalidInput(f"awp is a share of each layer's norm from 0 (off) to below 1, found {self.awp}.")
        if (self.patience or 0) < 0:
            raise InvalidInput(f"patience is a number of epochs, 0 or more, found {self.patience}.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trained model and the measurements of its training.

    metrics: `seconds`, `epochs` (rounds of fitting for an estimator), `final_loss` (mean cross-entropy over the
    training batches, in nats), `final_accuracy` in [0, 1]; a guarded method adds `collapses`, early stopping adds
    `best_epoch`. series: points {"x", "y"} by epoch or round. notes: plain sentences. method: the hardening method,
    "" for plain training.
    """

    model: TorchModel | SklearnModel
    metrics: Mapping[str, float]
    series: Mapping[str, list[dict[str, float]]]
    notes: tuple[str, ...]
    method: str = ""


def train(  # noqa: PLR0913 - the public function: model, data, threat, settings, all keyword-only but the data
    build: Build,
    spec: Spec,
    x: Floats,
    y: Labels,
    *,
    hardening: Hardening | None = None,
    options: Options | None = None,
    seed: int = 0,
    device: str = "auto",
    task: Task | None = None,
    checkpoint: Path | None = None,
) -> Outcome:
    """Build a model and train it, plainly or hardened to declared budgets.

    x: (n, *spec.shape) float32, y: (n,) int64 in [0, spec.classes), n >= 2. The same arguments on the same machine
    give the same model, bit by bit. checkpoint: a file in which a torch training stores its state; after a kill, the
    same call continues from it to the same bits as a run without the kill. Delete the file once the model is stored.
    Answers: the evasion threats of `hardening`, as far as its method does. Does not answer: poisoned rows. Raises
    InvalidInput for a builder that fails (naming its file and line), a loss or scores that are NaN, a method that is
    not for this kind of model, and options that do not fit.
    """
    options, task, clock = options or Options(), task or Quiet(), monotonic()
    check_rows(x, y, spec)
    made = built(build, spec, seed)
    if building.is_module(made):
        job = _Job(spec, x, y, hardening, recipe_of(options, spec), seed, task, checkpoint)
        outcome = _train_module(encoded(made, spec, x), job, device_of(device))
    else:
        refuse_for_estimators(options)
        with seeded(seed + 1):
            outcome = _train_estimator(made, _Job(spec, x, y, hardening, None, seed, task))
    return _timed(outcome, clock)


@dataclass(frozen=True, slots=True)
class _Job:
    """The arguments of `train`, checked, with the options filled in (None for an estimator)."""

    spec: Spec
    x: Floats
    y: Labels
    hardening: Hardening | None
    recipe: Recipe | None
    seed: int
    task: Task
    checkpoint: Path | None = None
    warm: bool = False  # the weights are trained already, so the budget is full from the start


def fine_tune(  # noqa: PLR0913 - as `train`
    model: TorchModel,
    x: Floats,
    y: Labels,
    *,
    hardening: Hardening | None,
    options: Options | None = None,
    seed: int = 0,
    task: Task | None = None,
    checkpoint: Path | None = None,
) -> Outcome:
    """Harden a model that was trained elsewhere, or train it plainly (None), from its weights at half the usual rate.

    The model itself is not changed. Raises InvalidInput as `train`, and for a model that is no torch module
    (`onnx_model.CANNOT_HARDEN` is the message).
    """
    import copy

    from hauberk.models.onnx_model import CANNOT_HARDEN

    if model.framework != "torch":
        raise InvalidInput(CANNOT_HARDEN)
    options, task, clock = options or Options(), task or Quiet(), monotonic()
    check_rows(x, y, model.spec)
    recipe = recipe_of(options, model.spec, fine_tune=True)
    job = _Job(model.spec, x, y, hardening, recipe, seed, task, checkpoint, warm=True)
    return _timed(_train_module(copy.deepcopy(model.module), job, model.device), clock)


def load_weights(
    build: Build, spec: Spec, data: bytes, *, x: Floats | None = None, device: str = "auto"
) -> TorchModel:
    """Return the torch model of a builder and safetensors bytes, stored by Hauberk or made elsewhere.

    x: training rows; needed for a table whose weights come without Hauberk's encoder, which is then fitted on them.
    Raises InvalidInput, naming the entry, when the bytes do not fit the builder's model.
    """
    need("torch"), need("safetensors")
    from hauberk.models import torch_model

    made = built(build, spec, 0)
    if not building.is_module(made):
        raise InvalidInput(
            f"{building.where(build)}: weights (.safetensors) belong to a torch.nn.Module, and this builds a "
            f"{type(made).__name__}. Export a fitted estimator as ONNX and use that file."
        )
    if x is None and spec.kind == "table" and not torch_model.has_encoder(data):
        raise InvalidInput("these weights were made elsewhere: the training rows are needed to fit the encoder.")
    module = encoded(made, spec, x)
    torch_model.read_weights(module, data)
    return tried(torch_model.TorchModel(module, spec, device_of(device)))


def built(build: Build, spec: Spec, seed: int) -> Any:  # noqa: ANN401 - an nn.Module or an estimator
    """Return what the team's builder makes, with its first weights drawn from `seed`."""
    import sys

    knew_torch = "torch" in sys.modules
    with seeded(seed):
        made = building.call_builder(build, spec)
    if building.is_module(made) and not knew_torch:
        # The builder itself imported torch, after the seeding, so its first weights were not seeded: build again.
        with seeded(seed):
            made = building.call_builder(build, spec)
    return made


def encoded(inner: Any, spec: Spec, x: Floats | None) -> Encoded:  # noqa: ANN401 - an nn.Module
    """Return a module behind the encoder of a table's columns, fitted on x if there are rows."""
    from hauberk.models.torch_model import Encoded, Encoder

    if spec.kind == "image":
        return Encoded(None, inner)
    return Encoded(Encoder(encoding.unfitted(spec) if x is None else encoding.fit(spec, x)), inner)


def _train_module(module: Encoded, job: _Job, device: str) -> Outcome:
    from hauberk.models.torch_model import TorchModel
    from hauberk.training import loop
    from hauberk.training.checkpoint import Checkpoint, key_of

    assert job.recipe is not None
    with seeded(job.seed + 1):  # a lazy layer draws its weights here
        model = tried(TorchModel(module, job.spec, device))
    run = loop.Run(job.recipe, job.seed, device, task=job.task)
    kept, method = np.arange(len(job.x)), ""
    if job.hardening is not None:
        kept, method = _harden(run, job, job.hardening)
    if job.checkpoint is not None:
        key = key_of(module, job.x, job.y, job.recipe, job.hardening, job.seed, device)
        run.checkpoint = Checkpoint(job.checkpoint, key=key)
    history = loop.train(model.module, job.x[kept], job.y[kept], run).history
    model.scores(job.x[:2])  # raises for a model that diverged in its last step
    last = history[-1]
    metrics = {"epochs": float(len(history)), "final_loss": last["loss"], "final_accuracy": last["accuracy"]}
    notes: list[str] = []
    for watch in run.watches:
        metrics |= watch.metrics()
        notes += watch.notes()
    return Outcome(model, metrics, _series(history, "epoch"), tuple(notes), method)


def _harden(run: loop.Run, job: _Job, hardening: Hardening) -> tuple[NDArray[np.int64], str]:
    """Put the method and its watches into the run; return the rows to train on, and the method's name."""
    from hauberk.training import heldout, loop, methods
    from hauberk.training.descent import MeanLoss

    chosen = methods.for_torch(hardening.method, hardening.params, hardening.budgets)
    run.method, run.descent = chosen, MeanLoss(awp=hardening.awp)
    run.warmup = 0.0 if job.warm else chosen.warmup
    if not (chosen.guard or hardening.patience):
        return np.arange(len(job.x)), chosen.name
    out, kept = heldout.split(len(job.x), job.seed)
    rows = heldout.HeldOut(job.x[out], job.y[out], device=run.device, seed=job.seed)
    start = math.ceil(run.recipe.epochs * max(run.warmup, loop.RISE))
    run.watches = methods.watching(chosen, rows, patience=hardening.patience or 0, start=start)
    return kept, chosen.name


def _train_estimator(estimator: Any, job: _Job) -> Outcome:  # noqa: ANN401 - scikit-learn publishes no types
    from hauberk.training import methods, rounds

    spec, x, y, hardening = job.spec, job.x, job.y, job.hardening
    coded = encoding.fit(spec, x) if spec.kind == "table" else None

    def fit(rows: Floats, labels: Labels) -> SklearnModel:
        return SklearnModel(fitted(estimator, features(rows, coded), labels, spec, job.seed), spec, coded)

    if hardening is None:
        model = fit(x, y)
        return Outcome(model, {"epochs": 1.0, **final(model, x, y)}, {}, ())
    name, step, params = methods.for_estimator(hardening.method, hardening.params)
    attack = rounds.Attack(step, params, hardening.budgets)
    hard = rounds.harden(fit, x, y, attack=attack, seed=job.seed, task=job.task)
    metrics = {"epochs": len(hard.history) + 1.0, **final(hard.model, x, y)}
    return Outcome(hard.model, metrics, _series(hard.history, "round"), (_round_note(hard),), name)


def _round_note(hard: Any) -> str:  # noqa: ANN401 - rounds.Hardened, imported late
    best = hard.history[hard.best]
    if hard.best == 0:
        return "No round of attack and augment beat the plain fit on held-out rows, so the plain fit was kept."
    return (
        f"Round {hard.best} of {len(hard.history) - 1} was best on held-out rows: accuracy {best['clean']:.3f} "
        f"clean, {best['robust']:.3f} under attack."
    )


def final(model: TorchModel | SklearnModel, x: Floats, y: Labels) -> dict[str, float]:
    """Return `final_loss` (mean cross-entropy in nats) and `final_accuracy` over rows."""
    scores = model.scores(x)
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return {
        "final_loss": float(-np.mean(logs[np.arange(len(y)), y])),
        "final_accuracy": float((scores.argmax(axis=1) == y).mean()),
    }


def _series(history: Sequence[Mapping[str, float]], by: str) -> dict[str, list[dict[str, float]]]:
    names = sorted({name for entry in history for name in entry} - {by})
    return {name: [{"x": e[by], "y": e[name]} for e in history if name in e] for name in names}


def tried(model: TorchModel) -> TorchModel:
    """Return the model after one pass over two valid rows, which raises InvalidInput if its forward cannot work."""
    from hauberk.models.probes import probes

    model.scores(probes(model.spec, 2))
    return model


def check_rows(x: Floats, y: Labels, spec: Spec) -> None:
    """Raise InvalidInput unless rows and labels fit the spec and are finite."""
    if x.shape[1:] != spec.shape or len(x) != len(y) or len(x) < 2:
        raise InvalidInput(
            f"training needs x of shape (n, {', '.join(map(str, spec.shape))}) and n labels, n >= 2; "
            f"found {x.shape} and {y.shape}."
        )
    if int(y.min()) < 0 or int(y.max()) >= spec.classes:
        raise InvalidInput(f"labels run from {y.min()} to {y.max()}; expected 0 to {spec.classes - 1}.")
    if not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))[0])
        raise InvalidInput(f"training row {row} contains NaN or infinity: fill or drop such rows first.")


def _timed(outcome: Outcome, clock: float) -> Outcome:
    return replace(outcome, metrics={**outcome.metrics, "seconds": monotonic() - clock})
