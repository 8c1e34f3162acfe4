"""Parquet tables: one file, or several files with the same columns that are read as one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.reading.formats import FORMATS
from hauberk.data.reading.formats._footer import MAGIC, check_footer
from hauberk.data.reading.formats._frames import stacked
from hauberk.data.reading.raw import Read, Source, Wanted

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")


@FORMATS.register("parquet", practice="1a", threats=(), summary="Apache Parquet tables", kinds=("table",))
def read(source: Source, wanted: Wanted) -> Read | None:
    """Read the files of one side as one table."""
    if not source.ends(".parquet", ".pq") and source.first[:4] != MAGIC:
        return None
    return Read(stacked([(path, _frame(path, wanted.ceiling)) for path in source.paths]))


def names(path: Path) -> list[str]:
    """Return the column names, from the footer alone. Raises InvalidInput as `read` does."""
    check_footer(path)
    return list(_guarded(path, lambda: need("polars").read_parquet_schema(path)))


def _frame(path: Path, ceiling: int) -> pl.DataFrame:
    check_footer(path, ceiling=ceiling)
    frame: pl.DataFrame = _guarded(path, lambda: need("polars").read_parquet(path, use_statistics=False))
    return frame


def _guarded(path: Path, reading: Callable[[], T]) -> T:
    polars = need("polars")
    try:
        return reading()
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        raise InvalidInput(
            f"{path.name} cannot be read as Parquet: {error}. It is truncated or damaged; fetch it again."
        ) from error
