"""Checkpoint: the state of a training on disk, so that a killed training continues to the same bits.

One safetensors file, written atomically: tensors under numbered names, and everything else as JSON in its header,
where each tensor is replaced by its number. The file contains no code. A file of another training or of another
format version is ignored, and training starts anew. Imports torch when it is imported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from hauberk.core.disk import Disk
from hauberk.models.port import Floats, Labels
from hauberk.training.state import State

_FORM = "hauberk-training-checkpoint-2"
_PAUSE = 10.0  # seconds between two writes: a training shorter than this is not worth saving


class Remembering(Protocol):
    """A part of a training with a memory of its own: a watch, or a descent."""

    def remember(self) -> dict[str, Any]:
        """Return everything it depends on: JSON values and tensors, nested."""

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Restore what `remember` returned."""


class Checkpoint:
    """Stores the state of a training between epochs.

    path: the file. key: the digest of everything the training depends on; a file with another key is ignored, and
    overwritten by the next write. pause: minimum seconds between two writes.
    """

    def __init__(self, path: Path, *, key: str, disk: Disk | None = None, pause: float = _PAUSE) -> None:
        self._path = path
        self._key = key
        self._disk = disk or Disk()
        self._pause = pause
        self._written = monotonic()

    def keep(self, state: State, parts: Sequence[Remembering]) -> None:
        """Write the state, unless the last write is too recent. Raises InvalidInput or Unavailable as `Disk.write`."""
        if monotonic() - self._written < self._pause:
            return
        from safetensors.torch import save

        tensors: dict[str, Tensor] = {}
        values = {"state": _put(state.pack(), tensors), "parts": [_put(part.remember(), tensors) for part in parts]}
        # One metadata entry, because safetensors does not fix the order of several.
        header = json.dumps({"form": _FORM, "key": self._key, **values})
        self._disk.write(self._path, save(tensors, metadata={"hauberk": header}), mode=0o600)
        self._written = monotonic()

    def restore(self, state: State, parts: Sequence[Remembering]) -> bool:
        """Restore the state from the file and return True; return False when there is no file of this training."""
        stored = self._read()
        if stored is None:
            return False
        header, tensors = stored
        state.unpack(_take(header["state"], tensors))
        for part, remembered in zip(parts, header["parts"], strict=True):
            part.recall(_take(remembered, tensors))
        return True

    def _read(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path, framework="pt") as file:
                header = json.loads((file.metadata() or {})["hauberk"])
                if header["form"] != _FORM or header["key"] != self._key:
                    return None
                return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None


def key_of(module: nn.Module, x: Floats, y: Labels, *settings: object) -> str:
    """Return the SHA-256 of a training: its rows, first weights, settings (by repr) and torch's version.

    The code of the model is not part of it: after a change of that code between a kill and the next run, use another
    file.
    """
    digest = hashlib.sha256(repr((torch.__version__, settings, x.shape)).encode())
    digest.update(np.ascontiguousarray(x).data)
    digest.update(np.ascontiguousarray(y).data)
    for name, value in module.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _put(value: Any, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401 - JSON, with tensors in it
    """Return a nested value as JSON values; its tensors are added to `tensors`."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        # As pairs: keys may be integers, and those of a JSON object are text.
        return {"pairs": [[key, _put(each, tensors)] for key, each in value.items()]}
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
