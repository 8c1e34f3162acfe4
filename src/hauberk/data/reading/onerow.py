"""One row of a file as named values or pixels, read the way that training data are read."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.data.reading import formats, limits, pixels
from hauberk.data.reading.formats import shipped
from hauberk.data.reading.raw import RawImages, Wanted


def one_row(  # noqa: PLR0913 - what the set is like
    files: Sequence[str], number: int, *, kind: str, shape: Sequence[int], target: str, columns: Sequence[str]
) -> tuple[Mapping[str, Any] | str, str]:
    """Return row `number` (from 0) of files: values of `columns` or pixels as base64 of float32, and its label or "".

    kind, shape, target, columns: as the set that is asked about has them. Columns that it does not have are left out.
    Raises InvalidInput for files of another kind and for a row that is not there.
    """
    if files[0].startswith(shipped.PREFIX):
        found = shipped.read(files[0]).train
    else:
        size = int(shape[-1]) if kind == "image" else None
        wanted = Wanted(kind, target, "", size, limits.CEILING)
        found = formats.read([Path(name) for name in files], wanted).train
    rows = len(found.labels) if isinstance(found, RawImages) else found.frame.height
    if not 0 <= number < rows:
        raise InvalidInput(f"{found.name} has the rows 0 to {rows - 1:,}, and row {number} was asked for.")
    if isinstance(found, RawImages):
        if kind != "image":
            raise InvalidInput(f"{found.name} holds pictures, and the set is a table.")
        single = RawImages(
            found.x[number : number + 1], found.labels, None, lambda _: found.locate(number), found.name
        )
        data = np.ascontiguousarray(pixels.to_floats(single)[0] + np.float32(0), dtype="<f4").tobytes()
        return base64.b64encode(data).decode("ascii"), _label(found.labels[number])
    if kind == "image":
        raise InvalidInput(f"{found.name} holds a table, and the set is pictures.")
    values = found.frame.row(number, named=True)
    target = target or found.target
    label = _label(values[target]) if values.get(target) is not None else ""
    return {name: values[name] for name in values if name in set(columns)}, label


def _label(value: Any) -> str:  # noqa: ANN401 - a label of any type
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
