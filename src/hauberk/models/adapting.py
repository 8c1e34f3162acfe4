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

    thing: a Model, which is returned unchanged; a torch.nn.Module that returns logits; an object with `predict_proba` or
    `decision_function`, such as a scikit-learn estimator (images are flattened for it); or a function from x to (n, classes)
    scores, or to (n,) labels, which become scores of 0 and 1. classes: number of classes; if omitted, it is read from the
    output for `sample`, one row of input. mean, std: one value for each channel, for a module that expects
    (x - mean) / std; attacks work on x in pixel units, and the normalisation becomes part of the model.

    Raises InvalidInput for anything else, and if the number of classes cannot be determined.
    """
    if isinstance(thing, Model):
        return thing
    if _is_module(thing):
        from hauberk.models.network import Network  # imports torch

        return Network(thing, classes=classes, mean=mean, std=std, sample=sample)
    if len(mean) or len(std):
        raise InvalidInput(
            "`mean` and `std` are for torch modules only: normalise inside the function that predicts."
        )
    ask = _question(thing)
    known = len(getattr(thing, "classes_", ())) or None
    return Asked(ask, classes or known or _count(ask, sample))


class Asked:
    """A function from inputs to scores or labels, as a Model."""

    def __init__(self, ask: Callable[[Floats], NDArray[Any]], classes: int) -> None:
        self._ask = ask
        self.classes = classes

    def scores(self, x: Floats) -> Floats:
        """Return the function's scores; labels as one-hot rows."""
        if not len(x):
            return np.zeros((0, self.classes), np.float32)
        answer = np.asarray(self._ask(x))
        if answer.ndim == 1 and len(answer) == len(x):
            return np.asarray(np.arange(self.classes) == answer[:, None], dtype=np.float32)
        return np.asarray(answer, dtype=np.float32)


def _is_module(thing: object) -> bool:
    """Return whether `thing` is a torch.nn.Module, without importing torch."""
    return any(
        f"{base.__module__}.{base.__name__}" == "torch.nn.modules.module.Module" for base in type(thing).mro()
    )


def _question(thing: Any) -> Callable[[Floats], NDArray[Any]]:  # noqa: ANN401 - an estimator or a function
    if hasattr(thing, "predict_proba"):
        return lambda x: log_of(np.asarray(thing.predict_proba(x.reshape(len(x), -1))))
    if hasattr(thing, "decision_function"):
        return lambda x: _two_sided(np.asarray(thing.decision_function(x.reshape(len(x), -1))))
    if callable(thing):
        return thing  # type: ignore[no-any-return]  # its answers are checked when it is asked
    raise InvalidInput(
        f"a {type(thing).__name__} is not a model: pass a torch module, an object with predict_proba or decision_function, "
        "or a function from x to scores."
    )


def _two_sided(values: NDArray[Any]) -> NDArray[Any]:
    """Return two columns for the decision function of two classes, whose values above 0 mean the second class."""
    return np.stack([-values, values], axis=1) if values.ndim == 1 else values


def _count(ask: Callable[[Floats], NDArray[Any]], sample: Floats | None) -> int:
    answer = None if sample is None else np.asarray(ask(sample))
    if answer is None or answer.ndim != 2:
        raise InvalidInput("the number of classes cannot be read from this model: pass `classes=`.")
    return int(answer.shape[1])
