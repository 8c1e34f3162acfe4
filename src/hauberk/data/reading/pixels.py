"""Pixels: converts pictures in any common layout to float32 in [0, 1], channels first."""

from __future__ import annotations

import math

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.data.reading import limits
from hauberk.data.reading.dataset import Floats
from hauberk.data.reading.raw import RawImages

_CHANNELS = (1, 3)
_TOP = 255


def to_floats(raw: RawImages, *, ceiling: int = limits.CEILING) -> Floats:
    """Return (n, channels, height, width) float32 in [0, 1].

    Integers in [0, 255] are divided by 255; floats must be in [0, 1]. Raises InvalidInput, naming the first wrong row, for
    NaN, infinity and values out of range; also for no rows, and for layouts with channels neither first nor last.
    """
    x = raw.x
    if not len(x):
        raise InvalidInput(f"{raw.name} holds no pictures: name files with at least one.")
    limits.claim(math.prod(x.shape) * 4, where=raw.name, ceiling=ceiling)
    if x.dtype.kind not in "uif":
        raise InvalidInput(f"{raw.name} holds {x.dtype} pixels; expected integers 0 to 255 or floats 0 to 1.")
    rows = x.reshape(len(x), -1)
    if not rows.shape[1]:
        raise InvalidInput(f"{raw.name} holds pictures without pixels: shape {x.shape}.")
    low, high = rows.min(axis=1), rows.max(axis=1)
    top = 1 if x.dtype.kind == "f" else _TOP
    wrong = ~(np.isfinite(low) & np.isfinite(high)) | (low < 0) | (high > top)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        advice = "Divide by 255 first" if x.dtype.kind == "f" else "Convert to 8 bits a channel first"
        kind = "floats" if x.dtype.kind == "f" else "integers"
        raise InvalidInput(
            f"{raw.locate(row)} has pixels from {low[row]} to {high[row]}; expected {kind} 0 to {top} "
            f"({int(wrong.sum())} such rows). {advice}, or remove the rows."
        )
    floats = x.astype(np.float32)
    if x.dtype.kind != "f":
        floats /= _TOP
    return np.ascontiguousarray(_channels_first(floats, raw.name))


def _channels_first(x: Floats, name: str) -> Floats:
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[3] in _CHANNELS:
        return x.transpose(0, 3, 1, 2)
    if x.ndim == 4 and x.shape[1] in _CHANNELS:
        return x
    raise InvalidInput(
        f"{name} holds pictures of shape {x.shape}; expected (n, height, width), (n, height, width, 1 or 3) or "
        "(n, 1 or 3, height, width)."
    )
