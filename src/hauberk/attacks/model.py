"""Model: the little that an attack needs to know of the thing it attacks. Checked once at the door, by protocol.

Arrays are numpy: x float32, (n, channels, height, width) in [0, 1] for images or (n, columns) as `core.columns`
says for tables; y int64 (n,) in [0, classes). `as_model` makes a Model of what people have at hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hauberk.core.errors import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor

Floats: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64]

SMALLEST = 1e-12  # probabilities are floored here before the logarithm, so that a certain tree gives finite scores


@runtime_checkable
class Model(Protocol):
    """Anything that can be asked for scores: enough for a black-box attack."""

    @property
    def classes(self) -> int:
        """How many classes there are, at least 2."""

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) logits or log-probabilities; the largest is the prediction. Batches inside."""


@runtime_checkable
class Differentiable(Model, Protocol):
    """A model that can be differentiated by its input: what a white-box attack needs."""

    @property
    def device(self) -> str:
        """Where tensors have to be, as torch names it."""

    def logits(self, x: Tensor) -> Tensor:
        """Return (n, classes), differentiable by `x`, in evaluation mode and with weights that ask for no gradient.

        The model's mode and its weights' flags are as before when this returns. A model may also have `held()`, which
        returns a Differentiable that answers the same and faster: searches use it, verdicts do not.
        """


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
        from hauberk.attacks.network import Network

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


def passes(shape: tuple[int, ...], device: str = "cpu") -> Iterator[slice]:
    """Yield slices of the rows of `shape` that go through a network in one pass.

    A processor likes parts whose activations stay in its cache, a GPU larger ones; large inputs go in smaller parts, so
    that memory does not depend on how many rows there are. Rows are independent: the sizes change no result.
    """
    values = max(1, math.prod(shape[1:]))
    if device != "cpu":
        size = min(4096, (1 << 25) // values)
    elif len(shape) == 2:
        size = min(1024, (1 << 22) // values)
    else:
        size = min(128, max(8, (1 << 18) // values), (1 << 22) // values)
    for first in range(0, shape[0], max(1, size)):
        yield slice(first, min(first + max(1, size), shape[0]))


def log_of(probabilities: NDArray[np.generic]) -> Floats:
    """Return log-probabilities in float32, floored at log(1e-12)."""
    logs: Floats = np.log(np.maximum(probabilities.astype(np.float32), np.float32(SMALLEST)))
    return logs


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
