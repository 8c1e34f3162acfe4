"""The team's own training function: called with the verified data and with Hauberk's hardening step for its loop.

    def train(data, spec, model, harden, seed):
        optimizer = torch.optim.AdamW(model.parameters())
        for x, y in batches(data, seed):
            loss = torch.nn.functional.cross_entropy(model(harden(model, x, y)), y)
            optimizer.zero_grad(); loss.backward(); optimizer.step()
        return model

It is called twice. For the plain reference, `harden` returns its input unchanged; for the hardened model, it returns the
adversarial form of the batch within the declared budget. Everything else is up to the team.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.models import _blame
from hauberk.models.port import Floats, Labels
from hauberk.models.sklearn_model import SklearnModel
from hauberk.models.spec import Spec
from hauberk.training import building
from hauberk.training._randomness import device_of, seeded
from hauberk.training.batch import Batch
from hauberk.training.fitting import Build, Hardening, Outcome, built, check_rows, encoded, final, tried

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hauberk.models.torch_model import TorchModel

_NAMES = ("data", "spec", "model", "harden", "seed", "device")
_EXAMPLE = (
    "Write it as `def train(data, spec, model, harden, seed):` and use "
    "`loss = cross_entropy(model(harden(model, x, y)), y)` in the loop, so that Hauberk can harden what it trains."
)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The verified training rows: x float32 (n, *spec.shape), y int64 (n,)."""

    x: Floats
    y: Labels

    def __len__(self) -> int:
        return len(self.x)


def run(  # noqa: PLR0913 - as `fitting.train`: keyword-only but the function and the data
    function: Callable[..., Any],
    spec: Spec,
    x: Floats,
    y: Labels,
    *,
    build: Build | None = None,
    hardening: Hardening | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Outcome:
    """Call the team's function and return the model it trained.

    The function receives those of these arguments that its signature names: data (TrainingData), spec, model (what
    `build` returned, behind Hauberk's encoder for tables, on the device), harden, seed, device. It returns that model
    trained; or, for images, another module with the same weights' names and shapes; or a fitted estimator that takes
    rows of data.x (flat for images). The process-wide generators are seeded and held for the whole call, see
    `_randomness`.

    Raises InvalidInput when the function has no parameter `harden`, requires another parameter, raises (naming the
    line), or returns something unusable, such as a torch module without a `build` to load its weights into.
    """
    check_rows(x, y, spec)
    wanted = _wanted(function, build)
    clock = monotonic()
    module = None
    if build is not None:
        made = built(build, spec, seed)
        module = encoded(made, spec, x).to(device_of(device)) if building.is_module(made) else made
    calls = [0]
    with seeded(seed + 1):
        offered = {
            "data": TrainingData(x.copy(), y.copy()),
            "spec": spec,
            "model": module,
            "harden": _step(hardening, seed, calls),
            "seed": seed,
            "device": device_of(device) if "device" in wanted else "",
        }
        returned = _call(function, {name: offered[name] for name in wanted})
    source = _Source(function, build, spec, device, module)
    model = _model(returned, source)
    metrics = final(model, x, y) | {"seconds": monotonic() - clock}
    return Outcome(model, metrics, {}, _notes(hardening, calls), "" if hardening is None else hardening.method)


def _wanted(function: Callable[..., Any], build: Build | None) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    unknown = [p.name for p in named if p.name not in _NAMES and p.default is p.empty]
    unknown += [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]
    if unknown:
        raise InvalidInput(
            f"{building.where(function)}: it requires {unknown[0]!r}; it can have: {', '.join(_NAMES)}. {_EXAMPLE}"
        )
    wanted = list(_NAMES) if anything else [p.name for p in named if p.name in _NAMES]
    if "harden" not in wanted:
        raise InvalidInput(f"{building.where(function)}: it has no parameter `harden`. {_EXAMPLE}")
    if "model" in wanted and build is None:
        raise InvalidInput(
            f"{building.where(function)}: it requires `model`, and no builder is named: "
            'add build = "model:build" beside train in [model].'
        )
    return wanted


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - what the team returns
    try:
        return function(**arguments)
    except HauberkError:
        raise
    except Exception as error:
        place = _blame.place(error, otherwise=building.where(function))
        raise InvalidInput(f"{place}: the training function raised {_blame.told(error)}.") from error


def _step(hardening: Hardening | None, seed: int, calls: list[int]) -> Callable[..., Any]:
    """Return harden(model, x, y): tensors for a module, arrays for an estimator; the input itself for plain training."""
    hardeners: dict[str, Callable[..., Any]] = {}

    def harden(model: Any, x: Any, y: Any) -> Any:  # noqa: ANN401 - of either library
        turn, calls[0] = calls[0], calls[0] + 1
        if hardening is None:
            return x
        kind = "torch" if building.is_module(model) else "sklearn"
        if kind not in hardeners:
            hardeners[kind] = _of_batches(hardening, seed) if kind == "torch" else _of_rows(hardening, seed)
        return hardeners[kind](model, x, y, turn)

    return harden


def _of_batches(hardening: Hardening, seed: int) -> Callable[[nn.Module, Tensor, Tensor, int], Tensor]:
    import torch

    from hauberk.training import methods

    chosen = methods.for_torch(hardening.method, hardening.params, hardening.budgets)
    if chosen.has_loss:
        raise InvalidInput(
            f"hardening method {chosen.name!r} minimises a loss of its own, which a training function of the "
            f"team does not: use {' or '.join(methods.without_loss())} with it."
        )
    generators: list[torch.Generator] = []

    def harden(module: nn.Module, x: Tensor, y: Tensor, turn: int) -> Tensor:
        if not generators:
            generators.append(torch.Generator(x.device).manual_seed(seed))
        return chosen.perturb(module, Batch.of(x, y, turn=turn), rng=generators[0])

    return harden


def _of_rows(hardening: Hardening, seed: int) -> Callable[[Any, Floats, Labels, int], Floats]:
    from hauberk.training import methods

    _, step, params = methods.for_estimator(hardening.method, hardening.params)
    rng = np.random.default_rng(seed)

    def harden(model: Any, x: Floats, y: Labels, turn: int) -> Floats:  # noqa: ANN401 - scikit-learn has no types
        spec = Spec("image" if x.ndim > 2 else "table", x.shape[1:], len(model.classes_))
        budget = hardening.budgets[turn % len(hardening.budgets)]
        return step(SklearnModel(model, spec, None), x, y, budget, params, rng=rng)

    return harden


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a returned model comes from. given: the module or estimator that the function received as `model`."""

    function: Callable[..., Any]
    build: Build | None
    spec: Spec
    device: str
    given: Any


def _model(returned: Any, source: _Source) -> TorchModel | SklearnModel:  # noqa: ANN401 - what the team returned
    where, spec = building.where(source.function), source.spec
    if building.is_estimator(returned):
        model = SklearnModel(returned, spec, None)
        from hauberk.models.probes import probes

        model.scores(probes(spec, 2))
        return model
    if not building.is_module(returned):
        found = "None (is there a `return`?)" if returned is None else f"a {type(returned).__name__}"
        raise InvalidInput(f"{where}: returned {found}; expected the trained model.")
    if source.build is None:
        raise InvalidInput(
            f"{where}: returned a torch module, and no builder is named, so its weights could not be loaded again: "
            'add build = "model:build" beside train in [model].'
        )
    return _torch_model(returned, source, source.build)


def _torch_model(returned: nn.Module, source: _Source, build: Build) -> TorchModel:
    from hauberk.models import torch_model
    from hauberk.training.fitting import load_weights

    spec, given = source.spec, source.given
    if isinstance(returned, torch_model.Encoded):
        module = returned
    elif spec.kind == "image":
        module = torch_model.Encoded(None, returned)
    elif isinstance(given, torch_model.Encoded) and returned is given.inner:
        module = given
    else:
        raise InvalidInput(
            f"{building.where(source.function)}: returned a {type(returned).__name__} of its own; for a table, train "
            "and return the `model` that the function receives, which contains the encoder of the columns."
        )
    model = tried(torch_model.TorchModel(module, spec, device_of(source.device)))
    load_weights(build, spec, model.weights(), device="cpu")  # refuse weights that cannot be loaded again now
    return model


def _notes(hardening: Hardening | None, calls: list[int]) -> tuple[str, ...]:
    if not calls[0]:
        return ("The training function never called `harden`, so nothing in it was hardened.",)
    word = "unchanged (the plain reference)" if hardening is None else "adversarial within the declared budget"
    return (f"The training function called `harden` {calls[0]} times; each batch was returned {word}.",)
