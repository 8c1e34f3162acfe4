"""One row of a file as named values or pixels, read in the same way as training data."""

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


def one_row(  # noqa: PLR0913 - a description of the set, all named
    files: Sequence[str], number: int, *, kind: str, shape: Sequence[int], target: str, columns: Sequence[str]
) -> tuple[Mapping[str, Any] | str, str]:
    """Return (row, label): row `number` (from 0) as a mapping of `columns`, or pixels as base64 of little-endian float32.

    kind, shape, target, columns: of the data set that the row is compared with; other columns of the file are left out.
    label: "" if the file has none. Raises InvalidInput for files of another kind and for a row number out of range.
    """
    if files[0].startswith(shipped.PREFIX):
        raw = shipped.read(files[0]).train
    else:
        size = int(shape[-1]) if kind == "image" else None
        wanted = Wanted(kind, target, "", size, limits.CEILING)
        raw = formats.read([Path(name) for name in files], wanted).train
    rows = len(raw.labels) if isinstance(raw, RawImages) else raw.frame.height
    if not 0 <= number < rows:
        raise InvalidInput(f"{raw.name} has rows 0 to {rows - 1:,}, found row number {number}: name one of these.")
    if isinstance(raw, RawImages):
        if kind != "image":
            raise InvalidInput(f"{raw.name} holds pictures and the data set is a table: name a table.")
        single = RawImages(raw.x[number : number + 1], raw.labels, None, lambda _: raw.locate(number), raw.name)
        data = np.ascontiguousarray(pixels.to_floats(single)[0] + np.float32(0), dtype="<f4").tobytes()
        return base64.b64encode(data).decode("ascii"), _label(raw.labels[number])
    if kind == "image":
        raise InvalidInput(f"{raw.name} holds a table and the data set holds pictures: name pictures.")
    values = raw.frame.row(number, named=True)
    target = target or raw.target
    label = _label(values[target]) if values.get(target) is not None else ""
    return {name: values[name] for name in values if name in set(columns)}, label


def _label(value: Any) -> str:  # noqa: ANN401 - a label of any type
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
