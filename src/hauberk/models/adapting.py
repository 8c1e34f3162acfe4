"""Adapting: a Model from a torch module, an estimator or a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hauberk.core.errors import InvalidInput
from hauberk.models.port import Floats, Model, log_of


def as_model(
    thing: Any,  # noqa: ANN401 - whatever the caller has
    *,
    classes: int | None = None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    sample: Floats | None = None,
) -> Model:
    """Return `thing` as a Model.

    thing: a Model, as it is; a torch.nn.Module of logits; an object with `predict_proba` or `decision_function`, such
    as a scikit-learn estimator (images are given to it flat); or a function from x to (n, classes) scores, or to (n,)
    labels, which become scores of 0 and 1. classes: how many there are; found out by asking about `sample`, a row of
    input, where it is left out. mean, std: one for each channel, for a module that wants (x - mean) / std: attacks
    work on x in pixel units, and the normalisation is part of the model, done here and nowhere else.

    Raises InvalidInput for anything else, and where the classes can neither be read nor asked.
    """
    if isinstance(thing, Model):
        return thing
    if _is_module(thing):
        from hauberk.models.network import Network  # imports torch

        return Network(thing, classes=classes, mean=mean, std=std, sample=sample)
    if len(mean) or len(std):
        raise InvalidInput("`mean` and `std` are for torch modules: normalise inside the function that predicts.")
    ask = _question(thing)
    known = len(getattr(thing, "classes_", ())) or None
    return Asked(ask, classes or known or _count(ask, sample))


class Asked:
    """A function from inputs to scores or labels, as a Model."""

    def __init__(self, ask: Callable[[Floats], NDArray[Any]], classes: int) -> None:
        self._ask = ask
        self.classes = classes

    def scores(self, x: Floats) -> Floats:
        """Return what the function says; labels as one-hot rows."""
        if not len(x):
            return np.zeros((0, self.classes), np.float32)
        said = np.asarray(self._ask(x))
        if said.ndim == 1 and len(said) == len(x):
            return np.asarray(np.arange(self.classes) == said[:, None], dtype=np.float32)
        return np.asarray(said, dtype=np.float32)


def _is_module(thing: object) -> bool:
    """Whether it is a torch.nn.Module, without importing torch to find out."""
    return any(
        f"{base.__module__}.{base.__name__}" == "torch.nn.modules.module.Module" for base in type(thing).mro()
    )


def _question(thing: Any) -> Callable[[Floats], NDArray[Any]]:  # noqa: ANN401 - an estimator or a function
    if hasattr(thing, "predict_proba"):
        return lambda x: log_of(np.asarray(thing.predict_proba(x.reshape(len(x), -1))))
    if hasattr(thing, "decision_function"):
        return lambda x: _two_sided(np.asarray(thing.decision_function(x.reshape(len(x), -1))))
    if callable(thing):
        return thing  # type: ignore[no-any-return]  # its answers are checked when they come
    raise InvalidInput(
        f"a {type(thing).__name__} is no model: pass a torch module, an object with predict_proba or decision_function, "
        "or a function from x to scores."
    )


def _two_sided(values: NDArray[Any]) -> NDArray[Any]:
    """A decision function of two classes has one value a row: above 0 is the second class."""
    return np.stack([-values, values], axis=1) if values.ndim == 1 else values


def _count(ask: Callable[[Floats], NDArray[Any]], sample: Floats | None) -> int:
    said = None if sample is None else np.asarray(ask(sample))
    if said is None or said.ndim != 2:
        raise InvalidInput("how many classes there are cannot be read from this model: say `classes=`.")
    return int(said.shape[1])
