"""Parquet: one table, or several files of the same columns that are read as one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.formats import FORMATS
from hauberk.data.formats._footer import MAGIC, check_footer
from hauberk.data.formats._frames import stacked
from hauberk.data.raw import Read, Source, Wanted

if TYPE_CHECKING:
    import polars as pl


@FORMATS.register("parquet", practice="1a", threats=(), summary="Apache Parquet tables", kinds=("table",))
def read(source: Source, wanted: Wanted) -> Read | None:
    """Read the files of one side as one table."""
    if not source.ends(".parquet", ".pq") and source.first[:4] != MAGIC:
        return None
    return Read(stacked([(path, _frame(path, wanted.ceiling)) for path in source.paths]))


def _frame(path: Path, ceiling: int) -> pl.DataFrame:
    polars = need("polars")
    check_footer(path, ceiling=ceiling)
    try:
        frame = polars.read_parquet(path, use_statistics=False)
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        raise InvalidInput(
            f"{path.name} cannot be read as Parquet: {error}. It is truncated or damaged; fetch it again."
        ) from error
    found: pl.DataFrame = frame
    return found
