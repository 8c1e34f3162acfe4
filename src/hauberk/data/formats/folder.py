"""A folder with one folder a class and pictures in them, as GTSRB is distributed (PPM) and as most data sets are kept.

GTSRB's frames are named TRACK_FRAME.ppm: with `group = "track"` the frames of one track stay on one side.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.formats import Pictures, ceiling

_ENDINGS = (".png", ".jpg", ".jpeg", ".ppm", ".bmp")
_TRACK = re.compile(r"(\d+)_\d+")
_MOST_PIXELS = 64 * 2**20  # of one picture; more is a decompression bomb or no training picture


def read(paths: tuple[Path, ...], group: str) -> Pictures:
    """Return all pictures, in the order of their paths; the folder's name is the class. Raises InvalidInput."""
    if group not in ("", "track"):
        raise InvalidInput(f"a folder of pictures knows the group 'track' alone (TRACK_FRAME.ppm), not {group!r}.")
    files = [file for path in paths for file in sorted(path.rglob("*")) if file.suffix.lower() in _ENDINGS]
    if not files:
        raise InvalidInput(
            f"{paths[0]} holds no pictures: expected one folder a class with {', '.join(_ENDINGS)} in it."
        )
    first = _pixels(files[0])
    if len(files) * first.nbytes > ceiling():
        raise InvalidInput(
            f"{paths[0]}: {len(files)} pictures take more than {ceiling():,} bytes: raise HAUBERK_MAX_BYTES."
        )
    x = np.empty((len(files), *first.shape), dtype=np.uint8)
    for place, file in enumerate(files):
        pixels = _pixels(file)
        if pixels.shape != first.shape:
            raise InvalidInput(
                f"{file} is {_size(pixels)}, and {files[0]} is {_size(first)}: resize the pictures to one size first."
            )
        x[place] = pixels
    labels = np.array([file.parent.name for file in files])
    groups = np.array([f"{file.parent.name}/{_track(file)}" for file in files]) if group else None
    return Pictures(x, labels, groups)


def _pixels(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image_module = need("PIL.Image")
    try:
        with image_module.open(file) as image:
            width, height = image.size
            if width * height > _MOST_PIXELS:
                raise InvalidInput(f"{file} claims {width} x {height} pixels, more than any training picture has.")
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as error:
        raise InvalidInput(f"{file} is no picture, or it is truncated: {error}.") from error
    return pixels


def _track(file: Path) -> str:
    found = _TRACK.match(file.stem)
    if found is None:
        raise InvalidInput(f"{file}: its name does not say its track, expected TRACK_FRAME{file.suffix}.")
    return found[1]


def _size(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    return " x ".join(map(str, pixels.shape))
