"""Parses a Parquet footer for the claimed numbers of rows and bytes, before any library allocates memory for them.

A Parquet file ends with its metadata in Thrift's compact protocol, the metadata's length as a little-endian uint32, and
`PAR1` (Apache Parquet format, "File format"; Thrift, "Compact protocol encoding"). The parser is generic, works with field
numbers only, and is bounded by the footer's own bytes. It does not check that pages hold what their headers claim; that is
left to the library that reads them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hauberk.core.errors import InvalidInput
from hauberk.data.reading import limits

MAGIC = b"PAR1"
_SEALED = b"PARE"
_DEEPEST = 32  # nesting of Thrift structures, at most
_VALUE = 8  # bytes assumed for one decoded value


@dataclass(frozen=True, slots=True)
class Claims:
    """The footer's claims: rows, columns, and the size in bytes of all column chunks after decompression."""

    rows: int
    columns: int
    unpacked: int


class _DamagedError(ValueError):
    """The footer's bytes are not valid metadata."""


def check_footer(path: Path, *, ceiling: int = limits.CEILING) -> Claims:
    """Return the claims of a Parquet file. Raises InvalidInput for a wrong magic, truncation, damage, and excessive claims."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(4)
        if first != MAGIC:
            raise InvalidInput(
                f"{path.name} starts with {first!r}, and a Parquet file with {MAGIC!r}. "
                + (
                    "It is encrypted: decrypt it first."
                    if first == _SEALED
                    else "It is another format, or damaged."
                )
            )
        file.seek(max(0, size - 8))
        length, last = struct.unpack("<I4s", file.read(8).rjust(8, b"\0"))
        if size < 12 or last != MAGIC:
            raise InvalidInput(
                f"{path.name} does not end with {MAGIC!r} after {limits.human(size)}: it is truncated. Fetch it again."
            )
        where = f"{path.name} (footer)"
        limits.claim(length, where=where, ceiling=ceiling, possible=size - 12)
        file.seek(size - 8 - length)
        claims = _claims(file.read(length), size, where)
    limits.claim(claims.unpacked, where=where, ceiling=ceiling)
    limits.claim(claims.rows * max(1, claims.columns) * _VALUE, where=where, ceiling=ceiling)
    return claims


def row_groups(footer: bytes, size: int, *, where: str) -> list[tuple[int, int, int]]:
    """Return (start, end, rows) of each row group: byte offsets of its first page's start and its last page's end.

    footer: the metadata's bytes. size: of the file in bytes. Raises InvalidInput for metadata that is damaged or places a
    group outside the file.
    """
    spans_and_rows = []
    try:
        for group in _Compact(footer).structure(0).get(4, []):
            spans = []
            for chunk in group[1]:
                meta = chunk[3]
                # A dictionary page precedes the data pages; some writers give offset 0 if there is none.
                start = min(at for at in (meta.get(11, 0), meta[9]) if at > 0)
                spans.append((start, start + meta[7]))
            start, end = min(span[0] for span in spans), max(span[1] for span in spans)
            if not 0 < start <= end <= size:
                raise _DamagedError("a row group lies outside the file")
            spans_and_rows.append((start, end, int(group[3])))
    except (_DamagedError, KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise InvalidInput(
            f"{where} (footer) is damaged: {error}. Fetch the file again from its source."
        ) from error
    return spans_and_rows


def _claims(footer: bytes, size: int, where: str) -> Claims:
    try:
        metadata = _Compact(footer).structure(0)
        groups = metadata.get(4, [])
        chunks = [chunk.get(3, {}) for group in groups for chunk in group[1]]
        claims = Claims(
            rows=metadata[3],
            columns=max((len(group[1]) for group in groups), default=0),
            unpacked=sum(chunk.get(6, 0) for chunk in chunks),
        )
        if claims.rows != sum(group[3] for group in groups) or any(group[3] < 0 for group in groups):
            raise _DamagedError("the row groups do not add up to the rows of the file")
        if any(not 0 <= chunk.get(7, 0) <= size or chunk.get(6, 0) < 0 for chunk in chunks):
            raise _DamagedError("a column chunk is larger than the file")
    except (_DamagedError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InvalidInput(f"{where} is damaged: {error}. Fetch the file again from its source.") from error
    return claims


class _Compact:
    """A cursor over Thrift's compact protocol: structures become {field number: value}, text stays bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def structure(self, depth: int) -> dict[int, Any]:
        if depth > _DEEPEST:
            raise _DamagedError("nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            kind, step = head & 0x0F, head >> 4
            number = number + step if step else self._zigzag()
            # In a structure a boolean's value is encoded in its type; in a list it takes a byte.
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:  # noqa: ANN401 - whatever the file holds
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 7:
            return self._bytes(8)
        if kind == 8:
            return self._bytes(self._varint())
        if kind in (9, 10):
            return self._list(depth)
        if kind == 12:
            return self.structure(depth + 1)
        raise _DamagedError(f"unknown type {kind}")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        kind, count = head & 0x0F, head >> 4
        count = self._varint() if count == 15 else count
        if count > len(self._data) - self._at or depth > _DEEPEST:  # every element takes a byte or more
            raise _DamagedError(f"a list claims {count} elements")
        return [self.structure(depth + 1) if kind == 12 else self._value(kind, depth + 1) for _ in range(count)]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise _DamagedError("a number is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _bytes(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise _DamagedError("it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]
