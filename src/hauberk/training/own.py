"""The team's own training function: called with the verified data and Hauberk's hardening step to use in its loop.

    def train(data, spec, model, harden, seed):
        optimizer = torch.optim.AdamW(model.parameters())
        for x, y in batches(data, seed):
            loss = torch.nn.functional.cross_entropy(model(harden(model, x, y)), y)
            optimizer.zero_grad(); loss.backward(); optimizer.step()
        return model

It is called twice: for the plain reference `harden` returns its input as it is, for the hardened model it returns
the adversarial form of the batch within the declared budget. What the team does besides is theirs.
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
from hauberk.training.fitting import Build, Hardening, Outcome, _check_rows, _tried, built, encoded

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


def run(  # noqa: PLR0913 - as `fitting.train`
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
    """Call the team's function and return what it trained.

    It is called by name with what it asks for among: data (TrainingData), spec, model (what `build` returned,
    behind Hauberk's encoder for tables, on the device), harden, seed, device. It returns that model trained; or,
    for images, another module of the same make; or a fitted estimator that takes rows of data.x (flat for images).

    Raises InvalidInput when it takes no `harden`, asks for another name, raises (naming the line), or returns what
    cannot be used: among that a torch module without a `build`, from which its weights could not be brought back.
    """
    _check_rows(x, y, spec)
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
    model = _taken(returned, module, build, function, spec, device)
    return Outcome(
        model,
        _metrics(model, x, y) | {"seconds": monotonic() - clock},
        {},
        _notes(hardening, calls),
        _name(hardening),
    )


def _wanted(function: Callable[..., Any], build: Build | None) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    unknown = [p.name for p in named if p.name not in _NAMES and p.default is p.empty]
    unknown += [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]
    if unknown:
        raise InvalidInput(
            f"{building.where(function)}: it asks for {unknown[0]!r}; it can have: {', '.join(_NAMES)}. {_EXAMPLE}"
        )
    wanted = list(_NAMES) if anything else [p.name for p in named if p.name in _NAMES]
    if "harden" not in wanted:
        raise InvalidInput(f"{building.where(function)}: it takes no `harden`. {_EXAMPLE}")
    if "model" in wanted and build is None:
        raise InvalidInput(
            f"{building.where(function)}: it asks for `model`, and no builder is named: "
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
    """Return harden(model, x, y): tensors for a module, arrays for an estimator; the input itself when plain."""
    generators: dict[str, Any] = {}

    def harden(model: Any, x: Any, y: Any) -> Any:  # noqa: ANN401 - of either library
        calls[0] += 1
        if hardening is None:
            return x
        if building.is_module(model):
            return _harden_batch(model, x, y, hardening, generators, seed, calls[0] - 1)
        from hauberk.training import methods

        _, step, params = methods.for_estimator(hardening.method, hardening.params)
        rng = generators.setdefault("numpy", np.random.default_rng(seed))
        spec = Spec("image" if x.ndim > 2 else "table", x.shape[1:], len(model.classes_))
        budget = hardening.budgets[calls[0] % len(hardening.budgets)]
        return step(SklearnModel(model, spec, None), x, y, budget, params, rng=rng)

    return harden


def _harden_batch(  # noqa: PLR0913, PLR0917 - a batch and how to harden it
    module: nn.Module, x: Tensor, y: Tensor, hardening: Hardening, kept: dict[str, Any], seed: int, turn: int
) -> Tensor:
    import torch

    from hauberk.training import methods

    if "chosen" not in kept:
        chosen = methods.for_torch(hardening.method, hardening.params, hardening.budgets)
        if hasattr(chosen.params, "loss"):
            raise InvalidInput(
                f"hardening method {chosen.name!r} minimises a loss of its own, which a training function of the "
                "team does not: use pgd, fgsm-rs or n-fgsm with it."
            )
        kept["chosen"] = chosen
        kept["rng"] = torch.Generator(x.device).manual_seed(seed)
    changed: Tensor = kept["chosen"].perturb(module, x, y, rng=kept["rng"], turn=turn)
    return changed


def _taken(  # noqa: PLR0913, PLR0917 - what came back, and what it is held against
    returned: Any,  # noqa: ANN401 - what the team returned
    given: Any,  # noqa: ANN401 - a module or an estimator
    build: Build | None,
    function: Callable[..., Any],
    spec: Spec,
    device: str,
) -> TorchModel | SklearnModel:
    where = building.where(function)
    if building.is_estimator(returned):
        model = SklearnModel(returned, spec, None)
        from hauberk.models.probes import probes

        model.scores(probes(spec, 2))
        return model
    if not building.is_module(returned):
        found = "None (is there a `return`?)" if returned is None else f"a {type(returned).__name__}"
        raise InvalidInput(f"{where}: returned {found}; expected the trained model.")
    if build is None:
        raise InvalidInput(
            f"{where}: returned a torch module, and no builder is named, so its weights could not be brought back: "
            'add build = "model:build" beside train in [model].'
        )
    return _module_taken(returned, given, build, where, spec, device)


def _module_taken(  # noqa: PLR0913, PLR0917 - as `_taken`
    returned: nn.Module,
    given: Any,  # noqa: ANN401 - a module or an estimator
    build: Build,
    where: str,
    spec: Spec,
    device: str,
) -> TorchModel:
    from hauberk.models import torch_model
    from hauberk.training.fitting import load_weights

    if isinstance(returned, torch_model.Encoded):
        module = returned
    elif spec.kind == "image":
        module = torch_model.Encoded(None, returned)
    elif isinstance(given, torch_model.Encoded) and returned is given.inner:
        module = given
    else:
        raise InvalidInput(
            f"{where}: returned a {type(returned).__name__} of its own; for a table, train and return the `model` "
            "that it is given, which holds the encoder of the columns."
        )
    model = _tried(torch_model.TorchModel(module, spec, device_of(device)))
    load_weights(build, spec, model.weights(), device="cpu")  # what cannot be brought back is refused now
    return model


def _metrics(model: TorchModel | SklearnModel, x: Floats, y: Labels) -> dict[str, float]:
    from hauberk.training.fitting import _log_share

    scores = model.scores(x)
    return {
        "final_loss": float(-np.mean(_log_share(scores)[np.arange(len(y)), y])),
        "final_accuracy": float((scores.argmax(axis=1) == y).mean()),
    }


def _notes(hardening: Hardening | None, calls: list[int]) -> tuple[str, ...]:
    if not calls[0]:
        return ("The training function never called `harden`, so nothing in it was hardened.",)
    word = "as it was (the plain reference)" if hardening is None else "adversarial within the declared budget"
    return (f"The training function called `harden` {calls[0]} times; each batch came back {word}.",)


def _name(hardening: Hardening | None) -> str:
    return "" if hardening is None else hardening.method
