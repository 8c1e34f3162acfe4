"""Encoding: turns a coded table into a model's features, with the same numbers in numpy, torch and ONNX.

Numbers are standardised by the training rows' mean and standard deviation; each category becomes one column. Order: all
numbers in column order, then all categories. The encoder is part of the model: a released model takes the coded matrix, and
attacks differentiate through the encoder in the units in which a threat is declared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hauberk.core.columns import ColumnKind
from hauberk.models.port import Floats
from hauberk.models.spec import Spec


@dataclass(frozen=True, slots=True)
class Encoding:
    """The parameters of the encoder.

    numbers: (p,) int64, indices of number columns. mean, scale: (p,) float32, scale > 0. sources: (q,) int64, the source
    column of each one-hot feature; codes: (q,) float32, its category code.
    """

    numbers: NDArray[np.int64]
    mean: Floats
    scale: Floats
    sources: NDArray[np.int64]
    codes: Floats

    def __call__(self, x: Floats) -> Floats:
        """Return (n, p + q) float32 for a coded matrix (n, d). An unknown category code gives zeros."""
        numbers = (x[:, self.numbers] - self.mean) / self.scale
        flags = np.rint(x[:, self.sources]) == self.codes
        return np.concatenate([numbers, flags.astype(np.float32)], axis=1, dtype=np.float32)


def fit(spec: Spec, x: Floats) -> Encoding:
    """Return the encoding fitted to training rows x (n, d). A constant number gets scale 1."""
    numbers = [i for i, column in enumerate(spec.columns) if column.kind is not ColumnKind.CATEGORY]
    places = [
        (i, code)
        for i, column in enumerate(spec.columns)
        if column.kind is ColumnKind.CATEGORY
        for code in range(len(column.categories))
    ]
    picked = x[:, numbers].astype(np.float64)
    deviation = picked.std(axis=0) if numbers else np.zeros(0)
    # Rounding leaves a deviation of about 1e-16 * mean in a constant column; dividing by it would amplify noise.
    constant = deviation <= 1e-12 * np.maximum(1.0, np.abs(picked).max(axis=0, initial=0.0))
    return Encoding(
        np.array(numbers, dtype=np.int64),
        picked.mean(axis=0).astype(np.float32),
        np.where(constant, 1.0, deviation).astype(np.float32),
        np.array([i for i, _ in places], dtype=np.int64),
        np.array([code for _, code in places], dtype=np.float32),
    )


def unfitted(spec: Spec) -> Encoding:
    """Return an encoding with mean 0 and scale 1, to be overwritten by stored weights."""
    return fit(spec, np.zeros((1, len(spec.columns)), dtype=np.float32))
