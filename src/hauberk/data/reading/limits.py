"""Limits: the size that a file claims is checked against its bytes and a ceiling before memory is allocated.

A header of a few bytes can ask for terabytes. Each reader first calls `claim` with the size that a header asks for and the
largest size that the file's bytes could decode to.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from hauberk.core.errors import InvalidInput

CEILING = 8 << 30  # bytes of decoded data of one side, by default
DEFLATE_RATIO = 1032  # RFC 1951: 258 bytes from a quarter of a byte is the most that deflate can expand

_CHUNK = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"


def claim(claimed: int, *, where: str, ceiling: int, possible: int | None = None) -> None:
    """Check a claimed size in bytes. Raises InvalidInput if it exceeds `possible`, or the ceiling."""
    if possible is not None and claimed > possible:
        raise InvalidInput(
            f"{where} claims {human(claimed)}, and the file can hold at most {human(possible)}: it is truncated, or "
            "made to exhaust memory. Do not use it; fetch it again from its source and compare digests."
        )
    if claimed > ceiling:
        raise InvalidInput(
            f"{where} asks for {human(claimed)} of memory; the ceiling is {human(ceiling)}. If this size is expected, "
            "split the data into parts or sample them first."
        )


def human(size: int) -> str:
    """Return a size in bytes with a unit: "512 B", "3.4 MiB"."""
    value, unit = float(size), "B"
    for name in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, name
    return f"{int(value)} B" if unit == "B" else f"{value:.1f} {unit}"


def head(path: Path, size: int = 16) -> bytes:
    """Return the first `size` bytes of a file. Raises InvalidInput if it is absent, unreadable or empty."""
    try:
        with path.open("rb") as file:
            start = file.read(size)
    except OSError as error:
        raise InvalidInput(
            f"cannot read {path}: {error.strerror or error}. Check the path and its rights."
        ) from error
    if not start:
        raise InvalidInput(f"{path} is empty: 0 bytes. Fetch it again from its source.")
    return start


def opened(path: Path) -> BinaryIO:
    """Return the file's bytes as a stream, decompressed if the file is gzip."""
    if head(path, 2) == GZIP_MAGIC:
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")


def exactly(stream: BinaryIO, size: int, *, where: str) -> bytearray:
    """Return `size` bytes, read in pieces, so that a false claim costs no more memory than the bytes that exist.

    Raises InvalidInput if the stream ends early or cannot be decompressed.
    """
    content = bytearray()
    try:
        while len(content) < size:
            part = stream.read(min(_CHUNK, size - len(content)))
            if not part:
                break
            content += part
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(
            f"{where} cannot be decompressed: {error}. It is truncated or damaged; fetch it again."
        ) from error
    if len(content) < size:
        raise InvalidInput(
            f"{where} ends after {human(len(content))} of the {human(size)} that its header claims: it is truncated. "
            "Fetch it again from its source."
        )
    return content
