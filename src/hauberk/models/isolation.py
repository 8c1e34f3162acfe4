"""Isolated copies of torch modules, so that using a model never changes the caller's module. Imports torch.

The mode of a module (training or evaluation), its `requires_grad` flags and its buffers are attributes of the object. Setting
them for the duration of a call would be visible to every other thread that holds the module. An isolated copy has flags of
its own, so that any number of threads can ask one module at once, in evaluation mode, while its owner keeps it in training
mode.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from types import CellType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from hauberk.core.errors import InvalidInput

_PLAIN = (int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.layout, torch.Size)
_CONTAINERS = (dict, list, set, tuple, OrderedDict)
_TABLES = ("_parameters", "_buffers", "_modules")


def isolated(module: nn.Module, *, share: bool = False) -> nn.Module:
    """Return a copy of the module in evaluation mode whose weights require no gradient (except in scripted modules).

    share: the copy uses the caller's weights instead of copies of them (buffers are always copied), which is cheap enough
    for each call and sees later training. Other attributes are copied; an attribute that cannot be copied, such as a
    lock, is shared. References to the module or to its parts, in attributes, bound methods and closures, lead to the
    copy. Of a compiled module the original is copied. Raises InvalidInput for a module with uninitialised lazy weights.

    Not isolated: modules that `forward` reaches through global names, and attributes that cannot be copied.
    """
    return _Copier(share=share).copy(module)


class _Copier:
    """One copy. memo: as in `deepcopy`, from the id of an original to its copy."""

    def __init__(self, *, share: bool) -> None:
        self._share = share
        self._memo: dict[int, Any] = {}

    def copy(self, module: nn.Module) -> nn.Module:
        parts: list[tuple[nn.Module, nn.Module]] = []
        made = self._blank(module, parts)
        # All modules and tensors are known to the memo before any other attribute is copied: attributes refer to them.
        for part, _ in parts:
            self._tensors(part)
        for part, copied in parts:
            self._fill(part, copied)
        return made

    def _blank(self, module: nn.Module, parts: list[tuple[nn.Module, nn.Module]]) -> nn.Module:
        """Enter an empty copy of the module and of each part into the memo."""
        known: nn.Module | None = self._memo.get(id(module))
        if known is not None:
            return known
        original = getattr(module, "_orig_mod", None)
        if isinstance(original, nn.Module):  # a compiled module; its graph was made for the caller's mode
            made = self._blank(original, parts)
        elif isinstance(module, torch.jit.ScriptModule):  # its state lives in C++, which copies itself
            made = deepcopy(module).eval()
        else:
            made = object.__new__(type(module))
            parts.append((module, made))
            self._memo[id(module)] = made
            for part in module.__dict__["_modules"].values():
                if part is not None:
                    self._blank(part, parts)
        self._memo[id(module)] = made
        return made

    def _tensors(self, part: nn.Module) -> None:
        for weight in part.__dict__["_parameters"].values():
            if is_lazy(weight):
                raise InvalidInput(
                    "the module has lazy weights that are not initialised: call it once on a sample."
                )
            if weight is not None and id(weight) not in self._memo:
                values = weight.detach() if self._share else weight.detach().clone()
                self._memo[id(weight)] = nn.Parameter(values, requires_grad=False)
        for buffer in part.__dict__["_buffers"].values():
            if buffer is not None and id(buffer) not in self._memo:
                self._memo[id(buffer)] = buffer.detach().clone()

    def _fill(self, part: nn.Module, made: nn.Module) -> None:
        values: dict[str, Any] = {}
        for name, value in part.__dict__.items():
            if name in _TABLES:
                values[name] = {key: None if one is None else self._memo[id(one)] for key, one in value.items()}
            else:
                values[name] = self._value(value)
        made.__dict__.update(values)
        made.__dict__["training"] = False

    def _value(self, value: Any) -> Any:  # noqa: ANN401 - an attribute of any type
        kind = type(value)
        if kind in (bool, *_PLAIN):
            return value
        if kind in _CONTAINERS and not value:
            return kind()
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, Tensor):
            return self._memo.setdefault(id(value), value.detach().clone())
        try:
            return deepcopy(value, self._memo)
        except Exception:  # noqa: BLE001 - whatever copying an attribute of a stranger's class may raise
            return value

    def _function(self, function: FunctionType) -> Callable[..., Any]:
        """Return the function with closure cells that hold the module, or a part of it, replaced by the copy."""
        cells = function.__closure__ or ()
        contents = [_content(cell) for cell in cells]
        if not any(id(content) in self._memo for content in contents):
            return function
        replaced = tuple(
            CellType(self._memo[id(content)]) if id(content) in self._memo else cell
            for cell, content in zip(cells, contents, strict=True)
        )
        made = FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, replaced
        )
        made.__kwdefaults__ = function.__kwdefaults__
        return made


def _content(cell: CellType) -> Any:  # noqa: ANN401 - of any type
    try:
        return cell.cell_contents
    except ValueError:  # an empty cell
        return None
