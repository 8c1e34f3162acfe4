"""Checkpoint: the state of a training on disk, so that one that was killed goes on, to the same bits.

One safetensors file, written in one step: tensors under numbered names, and the rest as JSON in its header, with a
number in the place of each tensor. Nothing in it is code. A file of another training, or of another version of
this form, is not used: training then starts anew. Imports torch when it is imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hauberk.core.disk import Disk
from hauberk.models.port import Floats, Labels
from hauberk.training.options import Recipe
from hauberk.training.state import State
from hauberk.training.watching import Watch

_FORM = "hauberk-training-checkpoint-1"
_PAUSE = 10.0  # seconds between two writes: of a shorter training nothing needs saving


class Checkpoint:
    """Where a training keeps its state between epochs.

    path: the file. key: the digest of everything that the training depends on; a file with another key is left
    alone until it is overwritten. pause: least seconds between two writes.
    """

    def __init__(self, path: Path, *, key: str, disk: Disk | None = None, pause: float = _PAUSE) -> None:
        self._path = path
        self._key = key
        self._disk = disk or Disk()
        self._pause = pause
        self._written = monotonic()

    def keep(self, state: State, watches: Sequence[Watch]) -> None:
        """Write the state, unless that was done a moment ago. Raises InvalidInput or Unavailable as `Disk.write`."""
        if monotonic() - self._written < self._pause:
            return
        from safetensors.torch import save

        tensors: dict[str, Tensor] = {}
        told = {"state": _put(state.pack(), tensors), "watches": [_put(w.remember(), tensors) for w in watches]}
        header = json.dumps({"form": _FORM, "key": self._key, **told})  # one entry: the order of more is not fixed
        self._disk.write(self._path, save(tensors, metadata={"hauberk": header}), mode=0o600)
        self._written = monotonic()

    def restore(self, state: State, watches: Sequence[Watch]) -> bool:
        """Put the state of the file back and return True; False when there is none of this training."""
        found = self._read()
        if found is None:
            return False
        told, tensors = found
        state.unpack(_take(told["state"], tensors))
        for watch, remembered in zip(watches, told["watches"], strict=True):
            watch.recall(_take(remembered, tensors))
        return True

    def _read(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path, framework="pt") as file:
                told = json.loads((file.metadata() or {})["hauberk"])
                if told["form"] != _FORM or told["key"] != self._key:
                    return None
                return told, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None


def key_of(  # noqa: PLR0913, PLR0917 - all that a training depends on
    module: nn.Module,
    x: Floats,
    y: Labels,
    recipe: Recipe,
    hardening: Any,  # noqa: ANN401 - fitting.Hardening, which imports this
    seed: int,
    device: str,
) -> str:
    """Return the SHA-256 of a training: its rows, first weights, settings, and the torch that computes it.

    The code of the model is not in it; whoever may change that between a kill and the next run names another file.
    """
    digest = hashlib.sha256(repr((torch.__version__, recipe, hardening, seed, device, x.shape)).encode())
    digest.update(np.ascontiguousarray(x).data)
    digest.update(np.ascontiguousarray(y).data)
    for name, value in module.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _put(value: Any, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401 - JSON, with tensors in it
    """Return the JSON form of a nested value; its tensors go to `tensors`."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"pairs": [[key, _put(each, tensors)] for key, each in value.items()]}  # keys may be whole numbers
    if isinstance(value, list | tuple):
        return [_put(each, tensors) for each in value]
    return value


def _take(value: Any, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401 - as `_put`
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _take(each, tensors) for key, each in value["pairs"]}
    if isinstance(value, list):
        return [_take(each, tensors) for each in value]
    return value
