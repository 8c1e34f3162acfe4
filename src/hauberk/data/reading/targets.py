"""Targets: converts the values of a label column or array to class indices and names, the same on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.dataset import Labels

_MOST = 1000  # classes


def to_classes(
    labels: npt.NDArray[Any], *, where: str, names: Sequence[str] = ()
) -> tuple[Labels, tuple[str, ...]]:
    """Return ((n,) int64 indices, class names). Classes are sorted: numbers by value, text by code point.

    labels: (n,) integers, booleans, text, or floats that are whole numbers. names: class names in the order of the classes;
    () uses the values. Raises InvalidInput for a target with one value, for one that looks like a number to predict or an
    identifier and not like classes, and for a wrong number of `names`.
    """
    labels = _whole(labels, where)
    values, codes = np.unique(labels, return_inverse=True)
    if len(values) < 2:
        only = repr(values.tolist()[0]) if len(values) else "nothing"
        raise InvalidInput(
            f"{where} holds one class only: {only} in all {len(labels)} rows. A model needs at least two classes: check "
            "that this is the right target and that no rows are missing."
        )
    if len(values) > _MOST or (len(values) > 20 and len(values) > len(labels) / 2):
        raise InvalidInput(
            f"{where} holds {len(values)} different values in {len(labels)} rows; expected a few classes. It looks like "
            "a number or an identifier: choose another target, or bin its values into classes."
        )
    if names and len(names) != len(values):
        raise InvalidInput(
            f"{where} holds {len(values)} classes and {len(names)} label names are given: name each."
        )
    known = tuple(names) or tuple(_name(value) for value in values.tolist())
    return codes.astype(np.int64).reshape(-1), known


def _name(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _whole(labels: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    if labels.dtype.kind not in "fc":
        return labels
    bad = np.flatnonzero(~np.isfinite(labels))
    if len(bad):
        raise InvalidInput(
            f"{where}, row {bad[0]} holds {labels[bad[0]]} ({len(bad)} such rows): remove these rows."
        )
    if labels.dtype.kind == "c" or (labels != np.round(labels)).any():
        raise InvalidInput(
            f"{where} holds fractions such as {labels[labels != np.round(labels)][0]}: it is a number to predict, and "
            "Hauberk needs classes. Choose another target, or bin it into classes first."
        )
    return labels.astype(np.int64)
