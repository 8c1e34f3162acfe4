"""Pictures in folders, one folder a class, as PNG, JPEG or PPM, in which form GTSRB and many other sets are distributed.

The folder's name is the class. If files are named `<track>_<frame>` with five digits each (GTSRB: 00003_00017.ppm), the
track, numbered within the class, is the group. Sizes and modes are read from every header before any pixel is decoded, so
that neither one picture that claims 50,000 x 50,000 pixels nor ten thousand large ones can exhaust memory.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.reading import limits
from hauberk.data.reading.formats import FORMATS
from hauberk.data.reading.formats.npz import within_class
from hauberk.data.reading.raw import RawImages, Read, Source, Wanted

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".ppm": "PPM", ".pgm": "PPM"}
BESIDE = (".csv", ".txt", ".md", ".json")  # annotation files that may lie beside pictures; they are ignored
_TRACK = re.compile(r"^(\d{5})_\d{5}$")
_MOST_PIXELS = 1 << 24  # of one picture
_FLOAT = 4  # bytes


@FORMATS.register("folder", practice="1a", threats=(), summary="one folder of pictures a class", kinds=("image",))
def read(source: Source, wanted: Wanted) -> Read | None:
    """Read every picture of every class, in the order of names."""
    if not source.paths[0].is_dir():
        return None
    if len(source.paths) != 1:
        raise InvalidInput(
            f"expected one folder of pictures a side, found {len(source.paths)} paths: {source.name}."
        )
    root = source.paths[0]
    pictures = _pictures(root)
    shape = _common_shape([_header_shape(path, root) for path, _ in pictures], pictures, root, wanted.size)
    limits.claim(
        len(pictures) * int(np.prod(shape)) * _FLOAT,
        where=f"{root.name} ({len(pictures)} pictures)",
        ceiling=wanted.ceiling,
    )
    x = np.empty((len(pictures), *shape), np.uint8)
    for row, (path, _) in enumerate(pictures):
        x[row] = _decoded(path, root, shape)
    labels = np.array([label for _, label in pictures])
    names = [str(path.relative_to(root)) for path, _ in pictures]
    return Read(RawImages(x, labels, _tracks(pictures, labels), lambda row: names[row], root.name))


def _pictures(root: Path) -> list[tuple[Path, str]]:
    """Return (path, class) of every picture, in the order of names. Raises InvalidInput for other files in a class's folder."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    pictures: list[tuple[Path, str]] = []
    for folder in folders:
        before = len(pictures)
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.suffix.lower() in BESIDE:
                continue
            if path.is_symlink() or path.suffix.lower() not in SUFFIXES:
                raise InvalidInput(
                    f"{path.relative_to(root)} is not a PNG, JPEG or PPM file. Move it out of the data."
                )
            pictures.append((path, folder.name))
        if len(pictures) == before:
            raise InvalidInput(
                f"folder {folder.name!r} of {root} holds no pictures. Remove it, or add its pictures."
            )
    if not pictures:
        raise InvalidInput(f"{root} holds no folders with pictures; expected one folder for each class.")
    return pictures


def _header_shape(path: Path, root: Path) -> tuple[int, int, int]:
    """Return (height, width, channels) from the header."""
    with open_header(path, root) as picture:
        if picture.mode.startswith(("I", "F")):
            raise InvalidInput(
                f"{path.relative_to(root)} has mode {picture.mode}; expected 8 bits a channel. Convert it."
            )
        return picture.height, picture.width, 1 if picture.mode in ("L", "1") else 3


def open_header(path: Path, root: Path) -> Image.Image:
    """Return a picture with its header checked and no pixel decoded. Raises InvalidInput for a bad or excessive header."""
    name = str(path.relative_to(root))
    limits.head(path)
    wanted = SUFFIXES[path.suffix.lower()]
    pil = need("PIL.Image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pil.DecompressionBombWarning)
            picture: Image.Image = pil.open(path, formats=(wanted,))
    except (pil.DecompressionBombWarning, pil.DecompressionBombError) as error:
        raise InvalidInput(f"{name} claims an implausible size: {error}. Do not use it.") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidInput(
            f"{name} cannot be read as {wanted}: it starts with {limits.head(path, 8)!r}. It is another format, or damaged."
        ) from error
    if picture.width * picture.height > _MOST_PIXELS:
        picture.close()
        raise InvalidInput(
            f"{name} claims {picture.width} x {picture.height} pixels; the most for one picture is {_MOST_PIXELS:,}. "
            "Do not use it if you do not expect this size; otherwise resize it first."
        )
    return picture


def _common_shape(
    shapes: list[tuple[int, int, int]], pictures: list[tuple[Path, str]], root: Path, size: int | None
) -> tuple[int, int, int]:
    """Return the (height, width, channels) to decode to. Raises InvalidInput if sizes differ and `size` is None."""
    channels = max(shape[2] for shape in shapes)
    if size is not None:
        return size, size, channels
    for shape, (path, _) in zip(shapes, pictures, strict=True):
        if shape[:2] != shapes[0][:2]:
            raise InvalidInput(
                f"{path.relative_to(root)} is {shape[1]} x {shape[0]} pixels and {pictures[0][0].relative_to(root)} is "
                f"{shapes[0][1]} x {shapes[0][0]}: all pictures need one size. Set size = {_suggested(shapes)} to have them "
                "resized, or resize them yourself."
            )
    return shapes[0][0], shapes[0][1], channels


def _suggested(shapes: list[tuple[int, int, int]]) -> int:
    middle = float(np.median([min(shape[:2]) for shape in shapes]))
    return int(2 ** round(np.log2(max(middle, 8))))


def _decoded(path: Path, root: Path, shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    try:
        with open_header(path, root) as picture:
            plain = picture.convert("L" if shape[2] == 1 else "RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidInput(
            f"{path.relative_to(root)} cannot be decoded: {error}. It is truncated; fetch it again."
        ) from error
    if plain.size != (shape[1], shape[0]):
        plain = plain.resize((shape[1], shape[0]), need("PIL.Image").Resampling.BILINEAR)
    return np.asarray(plain, np.uint8).reshape(shape)


def _tracks(pictures: list[tuple[Path, str]], labels: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    matches = [_TRACK.match(path.stem) for path, _ in pictures]
    if not all(matches):
        return None
    return within_class(labels, np.array([match[1] for match in matches if match]))
