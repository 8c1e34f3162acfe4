"""Train plainly or hardened, fine-tune what was brought, bring back what was stored: the room's main functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

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
from hauberk.training.options import Options, recipe_of, refuse_for_estimators

if TYPE_CHECKING:
    from hauberk.models.torch_model import Encoded, TorchModel

Build = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Hardening:
    """To what, and how, a model is hardened.

    budgets: of the declared evasion threats, at least one; each batch meets one of them, in turn. method: a name in
    HARDENING, or "auto". params: of the method, by name. awp: radius of the adversarial weight perturbation that is
    added, as a share of each layer's norm (0.005 is usual; 0 is none). patience: epochs without a gain on held-out
    rows under attack after which training stops, the best epoch kept; 0 trains to the end and keeps the last. None
    leaves it to a plan, and is 0 without one.
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
    """A trained model and what its training measured.

    metrics: `seconds`, `epochs` (rounds of fitting for an estimator), `final_loss` (mean cross-entropy over the
    training batches, in nats), `final_accuracy`; a guarded method adds `collapses`, early stopping `best_epoch`.
    series: by epoch or round, points {"x", "y"}. notes: plain sentences. method: the hardening method used, "" when
    trained plainly.
    """

    model: TorchModel | SklearnModel
    metrics: Mapping[str, float]
    series: Mapping[str, list[dict[str, float]]]
    notes: tuple[str, ...]
    method: str = ""


def train(  # noqa: PLR0913 - model, data, threat and settings are each another thing
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
    """Build a model and train it: plainly, or hardened to declared budgets.

    x: (n, *spec.shape) float32, y: (n,) int64 in [0, spec.classes), n >= 2. The same arguments on the same machine
    give the same model, bit by bit. checkpoint: a file in which a torch training keeps its state; one that was killed
    goes on from there, to the same bits as without the kill, when it is called with the same arguments. Whoever
    has the model may delete it. Raises InvalidInput for a builder that fails (naming its file and line), a loss
    or scores that are NaN, a method that is not for this kind of model, options that do not fit.
    """
    options, task, clock = options or Options(), task or Quiet(), monotonic()
    _check_rows(x, y, spec)
    made = built(build, spec, seed)
    if building.is_module(made):
        with seeded(seed + 1):
            module = encoded(made, spec, x)
            outcome = _train_module(module, spec, x, y, hardening, options, seed, device, task, checkpoint)
    else:
        with seeded(seed + 1):
            outcome = _train_estimator(made, spec, x, y, hardening, options, seed, task)
    return _timed(outcome, clock)


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
    """Harden a model that was trained elsewhere, or train it plainly (None), from its weights, at half the usual rate.

    The model that is given stays as it is. Raises InvalidInput as `train`, and for a model that is no torch module
    (`onnx_model.CANNOT_HARDEN` says it to the user).
    """
    import copy

    from hauberk.models.onnx_model import CANNOT_HARDEN

    if model.framework != "torch":
        raise InvalidInput(CANNOT_HARDEN)
    options, task, clock = options or Options(), task or Quiet(), monotonic()
    _check_rows(x, y, model.spec)
    with seeded(seed + 1):
        module = copy.deepcopy(model.module)
        outcome = _train_module(
            module, model.spec, x, y, hardening, options, seed, model.device, task, checkpoint, fine_tune=True
        )
    return _timed(outcome, clock)


def load_weights(
    build: Build, spec: Spec, data: bytes, *, x: Floats | None = None, device: str = "auto"
) -> TorchModel:
    """Return the torch model that `build` and safetensors bytes make, ours or brought.

    x: training rows; needed for a table whose weights come without Hauberk's encoder, which is then fitted on them.
    Raises InvalidInput when the bytes do not fit the builder's model, saying which entry.
    """
    need("torch"), need("safetensors")
    from hauberk.models import torch_model

    made = built(build, spec, 0)
    if not building.is_module(made):
        raise InvalidInput(
            f"{building.where(build)}: weights (.safetensors) belong to a torch.nn.Module, and this builds a "
            f"{type(made).__name__}. Bring a fitted estimator as ONNX."
        )
    if x is None and spec.kind == "table" and not torch_model.has_encoder(data):
        raise InvalidInput("these weights were made elsewhere: the training rows are needed to fit the encoder.")
    module = encoded(made, spec, x)
    torch_model.read_weights(module, data)
    return _tried(torch_model.TorchModel(module, spec, device_of(device)))


def built(build: Build, spec: Spec, seed: int) -> Any:  # noqa: ANN401 - an nn.Module or an estimator
    """Return what the team's builder makes, its first weights drawn from `seed`."""
    import sys

    knew_torch = "torch" in sys.modules
    with seeded(seed):
        made = building.call_builder(build, spec)
    if building.is_module(made) and not knew_torch:
        # The builder imported torch itself, after the seeding: only now can its initial weights be seeded.
        with seeded(seed):
            made = building.call_builder(build, spec)
    return made


def encoded(inner: Any, spec: Spec, x: Floats | None) -> Encoded:  # noqa: ANN401 - an nn.Module
    """Return a module behind the encoder of a table's columns, fitted on x where there are rows."""
    from hauberk.models.torch_model import Encoded, Encoder

    if spec.kind == "image":
        return Encoded(None, inner)
    return Encoded(Encoder(encoding.unfitted(spec) if x is None else encoding.fit(spec, x)), inner)


def _train_module(  # noqa: PLR0913, PLR0917 - the arguments of `train`
    module: Encoded,
    spec: Spec,
    x: Floats,
    y: Labels,
    hardening: Hardening | None,
    options: Options,
    seed: int,
    device: str,
    task: Task,
    checkpoint: Path | None,
    *,
    fine_tune: bool = False,
) -> Outcome:
    from hauberk.models.torch_model import TorchModel
    from hauberk.training import heldout, loop, methods
    from hauberk.training.checkpoint import Checkpoint, key_of

    recipe = recipe_of(options, spec, fine_tune=fine_tune)
    place = device_of(device)
    model = _tried(TorchModel(module, spec, place))
    run = loop.Run(recipe, seed, place)
    kept = np.arange(len(x))
    method = ""
    if hardening is not None:
        chosen = methods.for_torch(hardening.method, hardening.params, hardening.budgets)
        method, run.method, run.awp = chosen.name, chosen, hardening.awp
        run.warmup = 0.0 if fine_tune else chosen.warmup
        if chosen.guard or hardening.patience:
            out, kept = heldout.split(len(x), seed)
            rows = heldout.HeldOut(x[out], y[out], device=place, seed=seed)
            start = math.ceil(recipe.epochs * max(run.warmup, loop.RISE))
            run.watches = methods.watching(chosen, rows, patience=hardening.patience or 0, start=start)
    if checkpoint is not None:
        run.checkpoint = Checkpoint(checkpoint, key=key_of(module, x, y, recipe, hardening, seed, place))
    history = loop.train(model.module, x[kept], y[kept], run, task)
    model.scores(x[:2])  # a model that diverged in its last step says so here
    last = history[-1]
    metrics = {"epochs": float(len(history)), "final_loss": last["loss"], "final_accuracy": last["accuracy"]}
    notes: list[str] = []
    for watch in run.watches:
        metrics |= watch.metrics()
        notes += watch.notes()
    return Outcome(model, metrics, _series(history, "epoch"), tuple(notes), method)


def _train_estimator(  # noqa: PLR0913, PLR0917 - the arguments of `train`
    estimator: Any,  # noqa: ANN401 - scikit-learn publishes no types
    spec: Spec,
    x: Floats,
    y: Labels,
    hardening: Hardening | None,
    options: Options,
    seed: int,
    task: Task,
) -> Outcome:
    from hauberk.training import methods, rounds

    refuse_for_estimators(options)
    coded = encoding.fit(spec, x) if spec.kind == "table" else None

    def fit(rows: Floats, labels: Labels) -> SklearnModel:
        return SklearnModel(fitted(estimator, features(rows, coded), labels, spec, seed), spec, coded)

    if hardening is None:
        model, series, fits, name = fit(x, y), {}, 1, ""
        notes: tuple[str, ...] = ()
    else:
        name, step, params = methods.for_estimator(hardening.method, hardening.params)
        hard = rounds.harden(fit, x, y, step=step, params=params, budgets=hardening.budgets, seed=seed, task=task)
        model, series, fits = hard.model, _series(hard.history, "round"), len(hard.history) + 1
        notes = (_round_note(hard),)
    scores = model.scores(x)
    loss = float(-np.mean(_log_share(scores)[np.arange(len(y)), y]))
    metrics = {
        "epochs": float(fits),
        "final_loss": loss,
        "final_accuracy": float((scores.argmax(axis=1) == y).mean()),
    }
    return Outcome(model, metrics, series, notes, name)


def _round_note(hard: Any) -> str:  # noqa: ANN401 - rounds.Hardened, imported late
    best = hard.history[hard.best]
    if hard.best == 0:
        return "No round of attack and augment was better on held-out rows than the plain fit, which was kept."
    return (
        f"Round {hard.best} of {len(hard.history) - 1} was best on held-out rows: accuracy {best['clean']:.3f} "
        f"clean, {best['robust']:.3f} under attack."
    )


def _log_share(scores: Floats) -> Floats:
    shifted = scores - scores.max(axis=1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _series(history: Sequence[Mapping[str, float]], by: str) -> dict[str, list[dict[str, float]]]:
    names = sorted({name for entry in history for name in entry} - {by})
    return {name: [{"x": e[by], "y": e[name]} for e in history if name in e] for name in names}


def _tried(model: TorchModel) -> TorchModel:
    """Run the model on two valid rows, so that one that cannot work says so before it is trained."""
    from hauberk.models.probes import probes

    model.scores(probes(model.spec, 2))
    return model


def _check_rows(x: Floats, y: Labels, spec: Spec) -> None:
    if x.shape[1:] != spec.shape or len(x) != len(y) or len(x) < 2:
        raise InvalidInput(
            f"training needs x of shape (n, {', '.join(map(str, spec.shape))}) and n labels, n >= 2; "
            f"found {x.shape} and {y.shape}."
        )
    if int(y.min()) < 0 or int(y.max()) >= spec.classes:
        raise InvalidInput(f"labels run from {y.min()} to {y.max()}; expected 0 to {spec.classes - 1}.")
    if not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))[0])
        raise InvalidInput(f"training row {row} holds NaN or infinity: fill or drop such rows first.")


def _timed(outcome: Outcome, clock: float) -> Outcome:
    from dataclasses import replace

    return replace(outcome, metrics={**outcome.metrics, "seconds": monotonic() - clock})
