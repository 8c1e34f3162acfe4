"""Layers: convolutions and ReLUs with the same outputs and faster gradients on CPUs.

Two operations are slower than necessary in a white-box attack. The gradient by the input of a convolution with few
channels, such as a network's first, does not use the fast kernels; a matrix product and a sum of patches give the same
gradient. And a ReLU whose gradient arrives in another memory layout than its output accesses memory in strides. The class
of a layer is replaced, not the object: weights, names, hooks and state do not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional, grad

_FEW = 4  # largest number of input channels for which this is faster


class _Patches(torch.autograd.Function):
    """A convolution with the input gradient as a product and a sum of patches, and torch's own weight gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x, weight)
        ctx.conv = conv
        return functional.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        how = {"stride": ctx.conv.stride, "padding": ctx.conv.padding, "dilation": ctx.conv.dilation}
        by_x = by_weight = by_bias = None
        if ctx.needs_input_grad[0]:
            columns = torch.matmul(weight.to(gradient.dtype).flatten(1).t(), gradient.flatten(2))
            by_x = functional.fold(columns, x.shape[2:], weight.shape[2:], **how).to(x.dtype)
        if ctx.needs_input_grad[1]:
            of = x.to(gradient.dtype)
            by_weight = grad.conv2d_weight(of, weight.shape, gradient, **how).to(weight.dtype)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[2]:
            by_bias = gradient.sum((0, 2, 3)).to(weight.dtype)
        return by_x, by_weight, by_bias, None


class _Rise(torch.autograd.Function):
    """ReLU whose gradient has the memory layout of its output."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, inplace: bool) -> Tensor:  # noqa: ANN401, FBT001 - torch passes it by position
        out = x.relu_() if inplace else x.relu()
        if inplace:
            ctx.mark_dirty(x)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (out,) = ctx.saved_tensors
        last = out.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        return torch.ops.aten.threshold_backward(gradients[0].contiguous(memory_format=layout), out, 0), None


class _Conv2d(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.device.type != "cpu":
            return super().forward(x)
        made: Tensor = _Patches.apply(x, self.weight, self.bias, self)  # type: ignore[no-untyped-call]
        return made


class _ReLU(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.device.type != "cpu":
            return super().forward(x)
        made: Tensor = _Rise.apply(x, self.inplace)  # type: ignore[no-untyped-call]
        return made


QUICK = (_Conv2d, _ReLU)


def quicken(module: nn.Module) -> None:
    """Replace the classes of layers that have a faster version, in place. Subclasses of torch's layers do not change."""
    for part in module.modules():
        if type(part) is nn.ReLU:
            part.__class__ = _ReLU
        elif type(part) is nn.Conv2d and _plain(part):
            part.__class__ = _Conv2d


@contextmanager
def quickened(module: nn.Module) -> Iterator[None]:
    """Quicken the module for the block. Only for a module that one thread owns, such as a training loop's."""
    before: list[tuple[Any, type]] = [(part, type(part)) for part in module.modules()]
    try:
        quicken(module)
        yield
    finally:
        for part, own in before:
            if type(part) in QUICK:  # a lazy layer changed its class meanwhile and keeps the new one
                part.__class__ = own


def fold_norms(module: nn.Module) -> None:
    """Fold each batch norm that follows a convolution in an `nn.Sequential` into the convolution, in place.

    For a module that stays in evaluation mode; outputs change by rounding only. Applies only where the order is certain:
    in a plain Sequential, for torch's own layers without hooks.
    """
    for part in module.modules():
        if not isinstance(part, nn.Sequential):
            continue
        for place in range(len(part) - 1):
            conv, norm = part[place], part[place + 1]
            if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d and _foldable(conv, norm):
                part[place] = torch.nn.utils.fuse_conv_bn_eval(conv, norm)
                part[place + 1] = nn.Identity()


def _plain(conv: nn.Conv2d) -> bool:
    return (
        conv.in_channels <= _FEW
        and conv.groups == 1
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
    )


def _foldable(conv: nn.Module, norm: nn.Module) -> bool:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    bare = not any(getattr(part, name) for part in (conv, norm) for name in hooks)
    return bare and norm.running_mean is not None and not (conv.training or norm.training)
