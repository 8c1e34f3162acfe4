"""NPZ archives with the keys `x_train y_train x_test y_test` or `x y`, and optional keys for groups and senders.

Arrays x of 3 or 4 axes are pictures, of 2 axes a table. The keys of labels and groups can be set (`target`, `group`); the
defaults are `y`, and `group` or `track` if present. Tracks are numbered within each class, as in GTSRB, so a track is
identified by class and number; any other group is identified by its value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.reading.formats import FORMATS
from hauberk.data.reading.formats._npy import read_npz
from hauberk.data.reading.raw import RawImages, RawTable, Read, Source, Wanted, row_of

_ZIP = b"PK\x03\x04"
_GROUPS = ("group", "track")
TRACK = "track"

Arrays = Mapping[str, npt.NDArray[Any]]


@FORMATS.register(
    "npz", practice="1a", threats=(), summary="numpy archives: x_train, y_train, x_test, y_test or x, y"
)
def read(source: Source, wanted: Wanted) -> Read | None:
    """Read one archive, with its test side if it has one."""
    if not source.ends(".npz", ".npy") and source.first[:4] != _ZIP:
        return None
    if len(source.paths) != 1:
        raise InvalidInput(f"expected one npz archive a side, found {len(source.paths)}: {source.name}.")
    path = source.paths[0]
    if source.first[:4] != _ZIP:
        raise InvalidInput(
            f"{path.name} starts with {source.first[:4]!r}, and an .npz archive with {_ZIP!r}. It is another format, or "
            "damaged; save arrays with numpy.savez_compressed(path, x=..., y=...)."
        )
    arrays = read_npz(path, ceiling=wanted.ceiling)
    if "x_train" not in arrays:
        return Read(_side(arrays, "", wanted, path.name))
    test = _side(arrays, "_test", wanted, path.name) if "x_test" in arrays else None
    return Read(_side(arrays, "_train", wanted, path.name), test)


def within_class(labels: npt.NDArray[Any], tracks: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return (n,) group names "class/track", for tracks that are numbered within a class."""
    return np.array([f"{label}/{track}" for label, track in zip(labels.tolist(), tracks.tolist(), strict=True)])


def _side(arrays: Arrays, part: str, wanted: Wanted, name: str) -> RawImages | RawTable:
    x = _take(arrays, "x", part, name)
    labels = _take(arrays, wanted.target or "y", part, name)
    group = wanted.group or next((key for key in _GROUPS if key + part in arrays), "")
    groups = _take(arrays, group, part, name) if group else None
    senders = _senders(arrays, wanted.sender, part, name)
    for key, array in ((wanted.target or "y", labels), (group, groups), (wanted.sender, senders)):
        if array is not None and array.shape != (len(x),):
            raise InvalidInput(
                f"{name}, key {key + part!r} has shape {array.shape}; expected ({len(x)},), one value for each row of x."
            )
    where = f"{name}, {part.removeprefix('_')}" if part else name
    if x.ndim == 2:
        return _table(x, labels, groups, senders, where)
    if groups is not None and group == TRACK:
        groups = within_class(labels, groups)
    return RawImages(x, labels, groups, row_of(where), name, senders)


def _senders(arrays: Arrays, key: str, part: str, name: str) -> npt.NDArray[Any] | None:
    # The sender of test rows is not needed, so a test side may lack the key.
    if not key or (part == "_test" and key + part not in arrays):
        return None
    return _take(arrays, key, part, name)


def _take(arrays: Arrays, key: str, part: str, name: str) -> npt.NDArray[Any]:
    array = arrays.get(key + part)
    if array is None:
        raise InvalidInput(
            f"{name} has no array {key + part!r}; it has: {', '.join(arrays)}. Rename one, or set the key's name."
        )
    if array.ndim == 0:
        raise InvalidInput(f"{name}, key {key + part!r} is a single value; expected one for each row.")
    return array


def _table(
    x: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    groups: npt.NDArray[Any] | None,
    senders: npt.NDArray[Any] | None,
    where: str,
) -> RawTable:
    frame = need("polars").DataFrame(
        {f"x{column}": np.ascontiguousarray(x[:, column]) for column in range(x.shape[1])}
    )
    polars = need("polars")
    frame = frame.with_columns(polars.Series("y", labels.tolist()))
    if groups is not None:
        frame = frame.with_columns(polars.Series("group", groups.tolist()))
    if senders is not None:
        frame = frame.with_columns(polars.Series("source", senders.tolist()))
    group, sender = "" if groups is None else "group", "" if senders is None else "source"
    return RawTable(frame, row_of(where), where, target="y", group=group, sender=sender)
