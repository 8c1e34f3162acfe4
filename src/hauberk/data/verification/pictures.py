"""Folders of pictures as tables, one row a picture, so that row rules apply to pictures.

Columns: path; label (the folder); width, height, mode, bytes; digest of the decoded pixels, equal for a recompressed
lossless copy; low, high and mean of the pixel values; broken, and problem (why). A picture that cannot be decoded, or that
claims too many pixels, is a row with broken = true, so that the other pictures are still verified. Its other values are
null, which breaks every rule that does not allow nulls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.reading.formats.folder import BESIDE, SUFFIXES, open_header
from hauberk.data.verification.places import Part

if TYPE_CHECKING:
    import polars as pl

_PLAIN = ("L", "RGB", "RGBA", "I", "I;16", "F")  # modes whose pixels are used without conversion to RGB
_THREADS = 4


def are_pictures(parts: Sequence[Part]) -> bool:
    """Return whether the files are pictures, apart from annotation files beside them."""
    return any(_is_picture(part) for part in parts) and all(
        _is_picture(part) or part.path.suffix.lower() in BESIDE for part in parts
    )


def only_pictures(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the pictures among the files, in their order."""
    return tuple(part for part in parts if _is_picture(part))


def described(parts: Sequence[Part]) -> pl.DataFrame:
    """Return one row a picture, in the order of the parts. Cost: decodes each once; memory does not grow with the pixels."""
    polars = need("polars")
    need("PIL.Image")
    with ThreadPoolExecutor(_THREADS) as pool:
        rows = list(pool.map(_row, parts))
    frame: pl.DataFrame = polars.DataFrame(rows, schema=picture_columns(), orient="row")
    return frame


def picture_columns() -> dict[str, Any]:
    """Return the columns of a table of pictures, and their Polars types."""
    polars = need("polars")
    text, whole, number = polars.String(), polars.Int64(), polars.Float64()
    return {
        "path": text, "label": text, "width": whole, "height": whole, "mode": text, "bytes": whole, "digest": text,
        "low": number, "high": number, "mean": number, "broken": polars.Boolean(), "problem": text,
    }  # fmt: skip


def _is_picture(part: Part) -> bool:
    return part.path.suffix.lower() in SUFFIXES


def _row(part: Part) -> tuple[Any, ...]:
    folder = PurePosixPath(part.name).parent.as_posix()
    label = None if folder == "." else folder
    size = part.path.stat().st_size
    try:
        with open_header(part.path, part.path.parent) as picture:
            mode = picture.mode
            plain = picture if mode in _PLAIN else picture.convert("RGB")
            pixels = np.asarray(plain)
    except (InvalidInput, OSError, ValueError, SyntaxError) as error:
        why = str(error) if isinstance(error, InvalidInput) else f"cannot be decoded: {error}"
        return (part.name, label, None, None, None, size, None, None, None, None, True, why)
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{mode} {pixels.shape} {pixels.dtype.str}\n".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    low, high, mean = float(pixels.min()), float(pixels.max()), float(pixels.mean())
    return (part.name, label, width, height, mode, size, digest.hexdigest(), low, high, mean, False, None)
