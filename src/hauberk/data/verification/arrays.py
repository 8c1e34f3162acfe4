"""Array archives (npz) and idx files as tables: one row for each index along the first axis.

An array of three or four axes holds pictures and gives the columns of `pictures`; one of two axes gives a column for each
position; one of one axis gives a column with its name (`y` beside pictures becomes `label`). If an archive has `x_train`
and `x_test`, the column `side` says which one a row is from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.reading import limits
from hauberk.data.reading.formats._npy import read_npz
from hauberk.data.reading.formats.idx import read_array
from hauberk.data.verification.pictures import picture_columns
from hauberk.data.verification.places import Part

if TYPE_CHECKING:
    import polars as pl

Array = npt.NDArray[Any]
_ZIP = b"PK\x03\x04"
_SIDES = ("_train", "_test", "_val")
_ROWS = 1024  # pictures whose statistics are computed at once, to bound memory
_WIDEST = 20_000  # columns of a two-dimensional array, at most


def kind_of(parts: Sequence[Part]) -> str:
    """Return "npz" or "idx" if all files have this format, else ""."""
    starts = [limits.head(part.path, 4) for part in parts]
    if all(start == _ZIP and part.path.suffix == ".npz" for start, part in zip(starts, parts, strict=True)):
        return "npz"
    # idx files, plain or gzip, are recognised by name, because their magic starts with zeros, as many other files do.
    return "idx" if all("ubyte" in part.name or ".idx" in part.name for part in parts) else ""


def described(parts: Sequence[Part], kind: str, *, ceiling: int = limits.CEILING) -> pl.DataFrame:
    """Return one row for each index along the first axis. Raises InvalidInput for arrays that do not form one table.

    Memory: the arrays, at most `ceiling` bytes; larger claims in headers are refused before anything is read.
    """
    polars = need("polars")
    if len(parts) != (1 if kind == "npz" else min(len(parts), 2)):
        raise InvalidInput(
            f"{len(parts)} {kind} files do not form one table: name one archive, or a pair of idx files."
        )
    arrays = dict(read_npz(parts[0].path, ceiling=ceiling)) if kind == "npz" else _idx(parts, ceiling)
    sides: dict[str, dict[str, Array]] = {}
    for key, array in arrays.items():
        side = next((end for end in _SIDES if key.endswith(end)), "")
        sides.setdefault(side.removeprefix("_"), {})[key.removesuffix(side)] = array
    frames = []
    for side, some in sides.items():
        frame = _side(parts[0].name, side, some)
        frames.append(frame.with_columns(polars.lit(side).alias("side")) if len(sides) > 1 else frame)
    if any(frame.schema != frames[0].schema for frame in frames):
        raise InvalidInput(
            f"{parts[0].name}: the sides {', '.join(sides)} differ in arrays or types: save them with the same ones."
        )
    whole: pl.DataFrame = polars.concat(frames)
    return whole


def _idx(parts: Sequence[Part], ceiling: int) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for part in parts:
        array = read_array(part.path, ceiling=ceiling)
        key = "y" if array.ndim == 1 else "x"
        if key in arrays:
            names = " and ".join(one.name for one in parts)
            raise InvalidInput(
                f"{names} both hold {'labels' if key == 'y' else 'pictures'}: name one file of pictures and its labels."
            )
        arrays[key] = array
    return arrays


def _side(name: str, side: str, arrays: Mapping[str, Array]) -> pl.DataFrame:
    polars = need("polars")
    single = next((key for key, array in arrays.items() if array.ndim == 0), None)
    if single is not None:
        raise InvalidInput(f"{name}, key {single!r} is a single value; expected one for each row: remove it.")
    lengths = {key: len(array) for key, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{key} {count:,}" for key, count in lengths.items())
        raise InvalidInput(f"{name}: arrays of different lengths do not form one table: {listed}.")
    pictures = [key for key, array in arrays.items() if array.ndim > 2]
    if len(pictures) > 1:
        raise InvalidInput(f"{name} holds pictures under {' and '.join(pictures)}: verify one of them at a time.")
    columns: dict[str, Any] = {}
    if pictures:
        columns |= _pictures(arrays[pictures[0]], f"{pictures[0]}_{side}" if side else pictures[0], name)
    for key, array in arrays.items():
        if array.ndim == 1:
            label = bool(pictures) and key == "y"
            columns["label" if label else key] = _series(array, text=label)
        elif array.ndim == 2:
            if array.shape[1] > _WIDEST:
                raise InvalidInput(
                    f"{name}, key {key!r} has {array.shape[1]:,} columns; up to {_WIDEST:,} can be verified."
                )
            columns |= {f"{key}{at}": np.ascontiguousarray(array[:, at]) for at in range(array.shape[1])}
    frame: pl.DataFrame = polars.DataFrame(columns)
    return frame


def _series(array: Array, *, text: bool = False) -> Any:  # noqa: ANN401 - a Polars series or a contiguous array
    polars = need("polars")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind == "U" or text:
        return polars.Series(array.astype(str).tolist(), dtype=polars.String)
    return np.ascontiguousarray(array)


def _pictures(x: Array, key: str, name: str) -> dict[str, Any]:
    """Return the columns of `pictures` for (n, h, w), (n, h, w, channels) or (n, channels, h, w)."""
    polars = need("polars")
    if x.ndim > 4:
        raise InvalidInput(f"{name}, key {key!r} has {x.ndim} axes; expected 3 or 4 for pictures, 2 for tables.")
    if not x.size or x.dtype.kind in "US":
        raise InvalidInput(f"{name}, key {key!r} has shape {x.shape} of {x.dtype}: expected pixels of pictures.")
    count, channels_first = len(x), x.ndim == 4 and x.shape[-1] not in (1, 3, 4) and x.shape[1] in (1, 3, 4)
    height, width = x.shape[2:] if channels_first else x.shape[1:3]
    channels = 1 if x.ndim == 3 else x.shape[1 if channels_first else -1]
    values: dict[str, Any] = {
        "path": [f"{key}[{row}]" for row in range(count)],
        "label": [None] * count,
        "width": [width] * count,
        "height": [height] * count,
        "mode": [f"{channels} x {x.dtype}"] * count,
        "bytes": [x[0].nbytes] * count,
        "digest": [hashlib.sha256(np.ascontiguousarray(one).data).hexdigest() for one in x],
    }
    figures = [_figures(x[start : start + _ROWS]) for start in range(0, count, _ROWS)]
    low, high, mean, finite = (np.concatenate(some) for some in zip(*figures, strict=True))
    values |= {"low": low, "high": high, "mean": mean, "broken": ~finite}
    values["problem"] = [None if good else "holds NaN or infinity" for good in finite]
    return {one: polars.Series(values[one], dtype=kind) for one, kind in picture_columns().items()}


def _figures(x: Array) -> tuple[Array, Array, Array, Array]:
    """Return (n,) arrays: each picture's smallest, largest and mean value, and whether all its values are finite."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return flat.min(axis=1), flat.max(axis=1), flat.mean(axis=1), np.asarray(np.isfinite(flat).all(axis=1))
