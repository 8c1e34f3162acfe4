"""Targets: the values of a label column or array to class indices and names, the same for both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.dataset import Labels

_MOST = 1000


def to_classes(
    labels: npt.NDArray[Any], *, where: str, names: Sequence[str] = ()
) -> tuple[Labels, tuple[str, ...]]:
    """Return ((n,) int64 indices, class names). Classes are sorted: numbers by value, text by code point.

    labels: integers, booleans, text, or floats that are whole numbers. names: in the order of the classes, in place
    of their values. Raises InvalidInput for a constant target, for what looks like a number to be predicted and not
    like a class, and for a number of `names` that does not fit.
    """
    labels = _whole(labels, where)
    values, codes = np.unique(labels, return_inverse=True)
    if len(values) < 2:
        found = repr(values.tolist()[0]) if len(values) else "nothing"
        raise InvalidInput(
            f"{where} holds one class only: {found} in all {len(labels)} rows. A model needs two classes or more: is this "
            "the right target, and are these all rows?"
        )
    if len(values) > _MOST or (len(values) > 20 and len(values) > len(labels) / 2):
        raise InvalidInput(
            f"{where} holds {len(values)} different values in {len(labels)} rows; expected a few classes. It looks like "
            "a number or an identifier: choose another target, or group its values into classes."
        )
    if names and len(names) != len(values):
        raise InvalidInput(f"{len(names)} label names are given, and {where} holds {len(values)} classes.")
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
            f"{where}, row {bad[0]} holds {labels[bad[0]]} ({len(bad)} such rows). Remove these rows."
        )
    if labels.dtype.kind == "c" or (labels != np.round(labels)).any():
        raise InvalidInput(
            f"{where} holds fractions such as {labels[labels != np.round(labels)][0]}: it is a number to be predicted, and "
            "Hauberk needs classes. Choose another target, or cut it into classes first."
        )
    return labels.astype(np.int64)
