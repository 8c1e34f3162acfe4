"""IDX, the format of MNIST and Fashion-MNIST: one file of pictures and one of labels, plain or gzip.

Layout (LeCun, Cortes, Burges, "The MNIST database"): two zero bytes, a type code, the number of axes, one big-endian uint32
for each axis, then the values. The size that the axes claim is checked before values are read.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hauberk.core.errors import InvalidInput
from hauberk.data.reading import limits
from hauberk.data.reading.formats import FORMATS
from hauberk.data.reading.raw import RawImages, Read, Source, Wanted, row_of

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_NAMED = re.compile(r"idx\d?[-.]|[-.]idx$|ubyte")


@FORMATS.register(
    "idx", practice="1a", threats=(), summary="MNIST's pairs of files, plain or gzip", kinds=("image",)
)
def read(source: Source, wanted: Wanted) -> Read | None:
    """Read one file of pictures (3 or 4 axes) and one of labels (1 axis), given in any order."""
    if not _claims(source):
        return None
    arrays = {path: read_array(path, ceiling=wanted.ceiling) for path in source.paths}
    pictures = [path for path, array in arrays.items() if array.ndim in (3, 4)]
    labels = [path for path, array in arrays.items() if array.ndim == 1]
    if len(arrays) != 2 or len(pictures) != 1 or len(labels) != 1:
        given = ", ".join(f"{path.name} with {array.ndim} axes" for path, array in arrays.items())
        raise InvalidInput(
            f"expected one idx file of pictures and one of labels, found: {given}. Name both files, such as "
            "train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz; the test pair goes into the test files."
        )
    x, y = arrays[pictures[0]], arrays[labels[0]]
    if len(x) != len(y):
        raise InvalidInput(
            f"{pictures[0].name} holds {len(x)} pictures and {labels[0].name} holds {len(y)} labels: they do not belong "
            "together. Name pictures and labels of the same side."
        )
    return Read(RawImages(x, y, None, row_of(pictures[0].name), source.name))


def read_array(path: Path, *, ceiling: int = limits.CEILING) -> npt.NDArray[Any]:
    """Return the array of one idx file, in the machine's byte order.

    Raises InvalidInput for a wrong magic, a claimed size beyond the file or the ceiling, truncation, and trailing bytes.
    """
    try:
        with limits.opened(path) as stream:
            magic = bytes(limits.exactly(stream, 4, where=path.name))
            if magic[:2] != b"\0\0" or magic[2] not in _TYPES or not 1 <= magic[3] <= 4:
                raise InvalidInput(
                    f"{path.name} starts with {magic.hex(' ')}, and an idx file with 00 00, a type code and the number of "
                    "axes (00 00 08 03 for pictures, 00 00 08 01 for labels). It is another format, or damaged."
                )
            shape = struct.unpack(f">{magic[3]}I", limits.exactly(stream, 4 * magic[3], where=path.name))
            dtype = np.dtype(_TYPES[magic[2]])
            size = math.prod(shape) * dtype.itemsize
            limits.claim(size, where=f"{path.name} (axes {shape})", ceiling=ceiling, possible=_possible(path))
            values = limits.exactly(stream, size, where=path.name)
            if stream.read(1):
                raise InvalidInput(
                    f"{path.name} has bytes after the {size} that its header claims: header and content disagree. "
                    "Fetch it again from its source."
                )
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(
            f"{path.name} cannot be read: {error}. It is truncated or damaged; fetch it again."
        ) from error
    return np.frombuffer(values, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _possible(path: Path) -> int:
    size = path.stat().st_size
    return size * limits.DEFLATE_RATIO if limits.head(path, 2) == limits.GZIP_MAGIC else size


def _claims(source: Source) -> bool:
    if not source.first:
        return False
    if _NAMED.search(source.paths[0].name.lower()):
        return True
    return "." not in source.paths[0].name and source.first[:2] == b"\0\0" and source.first[2] in _TYPES
