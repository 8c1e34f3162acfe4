"""Data sets that ship with scikit-learn: `sklearn:digits`, `sklearn:breast_cancer`, `sklearn:wine`, `sklearn:iris`.

They need no file and no network, so examples and tests run anywhere. They are not a file format and are not registered.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, MissingExtra
from hauberk.core.evidence import Subject
from hauberk.core.extras import need
from hauberk.data.reading.raw import RawImages, RawTable, Read, row_of

PREFIX = "sklearn:"
_FILES = {
    "digits": "digits.csv.gz",
    "breast_cancer": "breast_cancer.csv",
    "wine": "wine_data.csv",
    "iris": "iris.csv",
}
_PICTURES = ("digits",)
_DIGITS_TOP = 16.0


def kind_of(name: str) -> str:
    """Return "image" or "table". Raises InvalidInput listing the known sets."""
    return "image" if _known(name) in _PICTURES else "table"


def subject(name: str) -> Subject:
    """Return the set's name and the SHA-256 of scikit-learn's file, without importing scikit-learn."""
    file = _FILES[_known(name)]
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise MissingExtra("sklearn", "data")
    return Subject(name, canonical.sha256((Path(spec.origin).parent / "datasets" / "data" / file).read_bytes()))


def read(name: str) -> Read:
    """Return the set as pictures (digits: values in [0, 16] scaled to [0, 1]) or as a table with the column `target`."""
    short = _known(name)
    bunch: Any = getattr(need("sklearn.datasets"), f"load_{short}")()
    where = row_of(name)
    if short in _PICTURES:
        pictures = (bunch.images / _DIGITS_TOP).astype(np.float32)
        return Read(RawImages(pictures, bunch.target, None, where, name))
    names = [str(column) for column in bunch.feature_names]
    values = {column: bunch.data[:, index] for index, column in enumerate(names)}
    target = [str(bunch.target_names[value]) for value in bunch.target]
    return Read(RawTable(need("polars").DataFrame({**values, "target": target}), where, name, target="target"))


def _known(name: str) -> str:
    short = name.removeprefix(PREFIX)
    if not name.startswith(PREFIX) or short not in _FILES:
        raise InvalidInput(
            f"no set is named {name!r}; known: {', '.join(PREFIX + known for known in sorted(_FILES))}."
        )
    return short
