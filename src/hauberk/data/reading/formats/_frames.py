"""Joins several files with the same columns into one frame, and maps row numbers back to files."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.reading.raw import Locate, RawTable

if TYPE_CHECKING:
    import polars


def stacked(parts: list[tuple[Path, polars.DataFrame]]) -> RawTable:
    """Return the rows of all files in their order. Raises InvalidInput if a file has no rows or different columns."""
    first = parts[0][1]
    for path, frame in parts:
        if not frame.height or not frame.width:
            raise InvalidInput(
                f"{path.name} has {frame.height} rows and {frame.width} columns: expected at least one of each."
            )
        same_columns(first, frame, parts[0][0].name, path.name)
    frame = need("polars").concat([part[1].select(first.columns) for part in parts], how="vertical_relaxed")
    name = ", ".join(path.name for path, _ in parts)
    return RawTable(frame, _locator([(path.name, frame.height) for path, frame in parts]), name)


def same_columns(first: polars.DataFrame, other: polars.DataFrame, name: str, other_name: str) -> None:
    """Raise InvalidInput naming a column that only one table has, or that is text in one and a number in the other."""
    for column in [*first.columns, *other.columns]:
        for frame, file in ((first, name), (other, other_name)):
            if column not in frame.columns:
                there, missing = (other_name, file) if file == name else (name, file)
                raise InvalidInput(
                    f"column {column!r} is in {there} and not in {missing}: both need the same columns; add or drop it."
                )
        kinds = [frame.schema[column] for frame in (first, other)]
        if all(str(kind) != "Null" for kind in kinds) and kinds[0].is_numeric() != kinds[1].is_numeric():
            raise InvalidInput(
                f"column {column!r} is {kinds[0]} in {name} and {kinds[1]} in {other_name}. Look for a word among the "
                "numbers, or drop the column."
            )


def _locator(parts: list[tuple[str, int]]) -> Locate:
    ends = list(accumulate(rows for _, rows in parts))

    def locate(row: int) -> str:
        part = bisect_right(ends, row)
        return f"{parts[part][0]}, row {row - (ends[part - 1] if part else 0)}"

    return locate
