"""Reads the arrays of an .npz archive without allocating more memory than the file's bytes can justify.

The checks, in order, and the attack that each stops: 1. the archive's directory is readable and of bounded length (damage);
2. each member is stored or deflated, not encrypted, and named once (two readers seeing different contents); 3. its claimed
size is possible for its compressed bytes, and all sizes together stay under the ceiling (zip bombs); 4. the array's header
declares numbers or text, never objects (unpickling runs code); 5. the header's shape fills the member exactly (a header
that asks for terabytes).
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from hauberk.core.errors import InvalidInput
from hauberk.data.reading import limits

_LONGEST_HEADER = 10_000  # bytes
_MOST_MEMBERS = 1_000
_ENCRYPTED = 0x1


def read_npz(path: Path, *, ceiling: int = limits.CEILING) -> Mapping[str, npt.NDArray[Any]]:
    """Return the arrays by key. Raises InvalidInput naming the member and what to do."""
    try:
        with zipfile.ZipFile(path) as archive:  # 1
            members = archive.infolist()
            _check(path, members, ceiling)  # 2, 3
            return {info.filename.removesuffix(".npy"): _array(path, archive, info) for info in members}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise InvalidInput(
            f"{path.name} cannot be read as an .npz archive: {error}. It is truncated or damaged; fetch it again."
        ) from error


def _check(path: Path, members: list[zipfile.ZipInfo], ceiling: int) -> None:
    names = [info.filename for info in members]
    if not members or len(members) > _MOST_MEMBERS:
        raise InvalidInput(f"{path.name} holds {len(members)} members; expected 1 to {_MOST_MEMBERS} arrays.")
    for info in members:
        where = f"{path.name}, member {info.filename!r}"
        if names.count(info.filename) > 1:
            raise InvalidInput(
                f"{where} is in the archive twice, so two readers could see different contents. Do not use it."
            )
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & _ENCRYPTED:
            raise InvalidInput(
                f"{where} is encrypted or compressed unusually. Save it again with numpy.savez_compressed."
            )
        if not info.filename.endswith(".npy"):
            raise InvalidInput(f"{where} is not an array (.npy). Save arrays alone, with numpy.savez.")
        packed = 1 if info.compress_type == zipfile.ZIP_STORED else limits.DEFLATE_RATIO
        room = min(info.compress_size, path.stat().st_size) * packed
        limits.claim(info.file_size, where=where, ceiling=ceiling, possible=room)
    limits.claim(sum(info.file_size for info in members), where=path.name, ceiling=ceiling)


def _array(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    where = f"{path.name}, member {info.filename!r}"
    with archive.open(info) as stream:
        shape, fortran, dtype = _header(stream, where)
        if dtype.kind not in "biufUS":  # 4
            raise InvalidInput(
                f"{where} holds {dtype} values. Objects are stored as pickles, which can run code when read, and are "
                "never loaded: save numbers or fixed-width text (array.astype(str))."
            )
        size = math.prod(shape) * dtype.itemsize
        left = info.file_size - stream.tell()
        if size != left:  # 5
            raise InvalidInput(
                f"{where} claims shape {shape} of {dtype}, {limits.human(size)}, and holds {limits.human(left)}: it is "
                "truncated, or made to exhaust memory. Fetch it again from its source and compare digests."
            )
        values = limits.exactly(cast("BinaryIO", stream), size, where=where)
        if stream.read(1):  # zipfile compares the checksum when the end is read
            raise InvalidInput(f"{where} has bytes after its array: it is damaged. Fetch it again.")
    array = np.frombuffer(values, dtype) if dtype.itemsize else np.zeros(math.prod(shape), dtype)
    return array.reshape(shape, order="F" if fortran else "C").astype(dtype.newbyteorder("="), copy=False)


def _header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(stream, _LONGEST_HEADER)
        if version == (2, 0):
            return np.lib.format.read_array_header_2_0(stream, _LONGEST_HEADER)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise InvalidInput(f"{where} has no valid array header: {error}. It is damaged; fetch it again.") from error
    raise InvalidInput(f"{where} has array format {version}; expected 1.0 or 2.0. Save it again with numpy.savez.")
