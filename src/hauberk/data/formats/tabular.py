"""Tables: Parquet and CSV files with a header, through polars."""

from __future__ import annotations

from pathlib import Path

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.formats import Table, check_claim


def read(path: Path) -> Table:
    """Return the table in a file. Raises InvalidInput for an unknown ending, a truncated or a damaged file."""
    polars = need("polars")
    name = path.name.lower()
    try:
        if name.endswith((".parquet", ".pq")):
            _check_parquet(path)
            frame = polars.read_parquet(path)
        elif name.endswith((".csv", ".tsv", ".csv.gz")):
            separator = "\t" if name.endswith(".tsv") else ","
            nothing = ["", "NA", "NaN", "nan", "null"]
            frame = polars.read_csv(path, separator=separator, infer_schema_length=None, null_values=nothing)
        else:
            raise InvalidInput(f"{path}: unknown table format. Known: .parquet, .csv, .tsv.")
    except (polars.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        first = str(error).split("\n", maxsplit=1)[0]
        raise InvalidInput(
            f"{path} cannot be read as a table: {first}. It is empty, truncated or damaged."
        ) from error
    if not frame.height or not frame.width:
        raise InvalidInput(f"{path} has no rows.")
    found: Table = frame
    return found


def _check_parquet(path: Path) -> None:
    """Hold the number of values that the footer claims against the ceiling, before polars allocates for them."""
    polars = need("polars")
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(-4, 2)
        if head != b"PAR1" or file.read(4) != b"PAR1":
            raise InvalidInput(f"{path} is no Parquet file, or it is truncated: it must begin and end with PAR1.")
    scanned = polars.scan_parquet(path)
    rows = int(scanned.select(polars.len()).collect().item())
    check_claim(path, rows * max(1, len(scanned.collect_schema())))
