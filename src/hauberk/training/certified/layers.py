"""Layers: interval bounds of one layer's outputs, with a rule for each kind. Imports torch when it is imported."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hauberk.core.errors import InvalidInput
from hauberk.models.layers import QUICK
from hauberk.training.squeezing import BitDepth, Median

_AFFINE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_SHAPES = (nn.Flatten, nn.Unflatten, nn.Identity, nn.ZeroPad2d)
_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d)
# Monotone layers: the ends of the interval are mapped separately.
_RISING = (
    nn.ReLU,
    nn.ReLU6,
    nn.Tanh,
    nn.Sigmoid,
    nn.Softplus,
    nn.ELU,
    nn.Hardtanh,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    BitDepth,
    Median,
)
KNOWN = (*_AFFINE, *_NORMS, *_POOLS, *_SHAPES, *_DROPOUT, *_RISING, nn.LeakyReLU, *QUICK)
_EDGE = 1e-6
_MOVED: tuple[Any, ...] = (torch.flatten, "flatten", "view", "reshape", "contiguous", torch.reshape)
_RISING_CALLS: tuple[Any, ...] = (
    torch.relu,
    functional.relu,
    "relu",
    torch.tanh,
    "tanh",
    torch.sigmoid,
    "sigmoid",
    functional.max_pool2d,
    torch.max_pool2d,
)
_SUMS: tuple[Any, ...] = (operator.add, torch.add)
# With a constant operand: shifts and scales, such as a normalisation inside the model.
_ARITHMETIC: tuple[Any, ...] = (
    *_SUMS,
    operator.sub,
    operator.mul,
    operator.truediv,
    torch.sub,
    torch.mul,
    torch.div,
)
_MEANS: tuple[Any, ...] = (functional.avg_pool2d, functional.adaptive_avg_pool2d, torch.mean, "mean")


@dataclass(frozen=True, slots=True)
class Interval:
    """Values between `low` and `high`, two tensors of one shape."""

    low: Tensor
    high: Tensor


def is_affine(called: Any) -> bool:  # noqa: ANN401 - a layer, a function, or a method's name
    """Return whether it is an affine function of its one input, in evaluation mode."""
    if isinstance(called, nn.Module):
        return isinstance(called, (*_AFFINE, *_POOLS, *_SHAPES)) or (
            isinstance(called, (*_NORMS, *_DROPOUT)) and not called.training
        )
    return called in _MOVED or called in _MEANS or called in _ARITHMETIC


def is_sum(called: Any) -> bool:  # noqa: ANN401 - as `is_affine`
    """Return whether it adds its two inputs."""
    return called in _SUMS


def passed(called: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as `is_affine`
    """Return the output of a layer, function or method: an interval if an argument is an interval.

    Raises InvalidInput if there is no rule for it.
    """
    count = len([each for each in args if isinstance(each, Interval)])
    if any(isinstance(each, Interval) for each in kwargs.values()):
        raise _unknown(f"{_name(called)} with a named argument")
    if isinstance(called, str) and called in ("size", "dim"):
        return getattr(args[0].low, called)(*args[1:])
    if called is getattr and count:
        return getattr(args[0].low, args[1])
    if not count and called is not torch.cat:
        return getattr(args[0], called)(*args[1:], **kwargs) if isinstance(called, str) else called(*args, **kwargs)
    if isinstance(called, nn.Module):
        return _layer(called, args[0])
    if called in _ARITHMETIC and not (count == 2 and called in _SUMS):
        if count == 2 or isinstance(args[1], Interval):
            raise _unknown(f"{_name(called)} of two parts of the model, or of a number and a part")
        one, other = called(args[0].low, args[1]), called(args[0].high, args[1])
        return Interval(torch.minimum(one, other), torch.maximum(one, other))  # a negative factor swaps the ends
    if called in _MOVED or called in _RISING_CALLS or called in _MEANS or called in _SUMS or called is torch.cat:
        return _ends(called, args, kwargs)
    raise _unknown(_name(called))


def _layer(layer: Any, x: Interval) -> Interval:  # noqa: ANN401 - an nn.Module with attributes of its own
    _refuse_odd(layer)
    if isinstance(layer, _AFFINE):
        return _affine(layer, x)
    if isinstance(layer, _NORMS):
        return _normed(layer, x)
    if isinstance(layer, _DROPOUT):
        return x
    if isinstance(layer, BitDepth):
        # A pixel near the edge of a level may be rounded differently in float32 and float64.
        return Interval(layer(x.low - _EDGE), layer(x.high + _EDGE))
    # Copies, because a layer may work in place and its input interval is used again.
    return Interval(layer(x.low.clone()), layer(x.high.clone()))


def _refuse_odd(layer: Any) -> None:  # noqa: ANN401 - as `_layer`
    """Raise InvalidInput for a layer that its rule does not cover, such as a subclass, which may compute anything."""
    name = type(layer).__name__
    if type(layer) not in KNOWN:
        raise _unknown(name)
    if layer._forward_hooks or layer._forward_pre_hooks:  # noqa: SLF001 - torch has no public accessor
        raise _unknown(f"{name} with a hook")
    for kind, attribute in ((nn.LeakyReLU, "negative_slope"), (nn.ELU, "alpha"), (nn.Softplus, "beta")):
        if isinstance(layer, kind) and getattr(layer, attribute) < 0:
            raise _unknown(f"{name} with {attribute} below 0")


def _affine(layer: Any, x: Interval) -> Interval:  # noqa: ANN401 - one of _AFFINE
    """Map centre and half width, the width by absolute weights; this is the exact interval of an affine layer."""
    centre, half = (x.high + x.low) / 2, (x.high - x.low) / 2
    middle = layer(centre)
    weights = {"weight": layer.weight.abs()}
    if layer.bias is not None:
        weights["bias"] = torch.zeros_like(layer.bias)
    spread = torch.func.functional_call(layer, weights, (half,))
    return Interval(middle - spread, middle + spread)


def _normed(layer: Any, x: Interval) -> Interval:  # noqa: ANN401 - one of _NORMS
    if layer.running_var is None:
        raise _unknown(f"{type(layer).__name__} without kept statistics")

    def apply(value: Tensor) -> Tensor:
        mean, variance = layer.running_mean, layer.running_var
        return functional.batch_norm(value, mean, variance, layer.weight, layer.bias, eps=layer.eps)

    one, other = apply(x.low), apply(x.high)  # a negative scale swaps the ends
    return Interval(torch.minimum(one, other), torch.maximum(one, other))


def _ends(called: Any, args: Any, kwargs: Mapping[str, Any]) -> Interval:  # noqa: ANN401 - as `is_affine`
    def side(name: str) -> Tensor:
        def pick(value: Any) -> Any:  # noqa: ANN401 - an argument
            if isinstance(value, Interval):
                return getattr(value, name)
            return type(value)(pick(each) for each in value) if isinstance(value, list | tuple) else value

        chosen, named = [pick(each) for each in args], {**kwargs}
        named.pop("inplace", None)  # the input interval is used again
        made: Tensor = (
            getattr(chosen[0], called)(*chosen[1:], **named)
            if isinstance(called, str)
            else called(*chosen, **named)
        )
        return made

    return Interval(side("low"), side("high"))


def _name(called: Any) -> str:  # noqa: ANN401 - as `is_affine`
    return str(getattr(called, "__name__", called))


def _unknown(name: str) -> InvalidInput:
    known = [layer.__name__ for layer in KNOWN]
    return InvalidInput(
        f"bounds have no rule for {name}, so nothing can be proven about this model. There are rules for "
        f"{', '.join(known)}, sums of two branches, concatenation and reshaping. Use these, or certify by smoothing."
    )
