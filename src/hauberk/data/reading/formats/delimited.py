"""CSV and TSV with a header line. Types are inferred from all rows; a word in a column of numbers is an error.

Blanks around values are removed; an empty value and `?` (used by the UCI repository) are missing values. A file without a
header line, such as `adult.data`, needs one added, because guessed names would hide a shifted column.
"""

from __future__ import annotations

import csv
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.reading import limits
from hauberk.data.reading.formats import FORMATS
from hauberk.data.reading.formats._frames import stacked
from hauberk.data.reading.raw import Read, Source, Wanted

if TYPE_CHECKING:
    import polars as pl

_SEPARATORS = (",", ";", "\t")
_MISSING = ("", "?")
_MOSTLY = 0.9  # if at least this share of a column's values are numbers, other values in it are errors
_LONGEST_HEADER = 1 << 20  # bytes


@FORMATS.register("csv", practice="1a", threats=(), summary="delimited text with a header line", kinds=("table",))
def read(source: Source, wanted: Wanted) -> Read | None:
    """Read the files of one side as one table."""
    if not source.ends(".csv", ".tsv", ".data", ".txt"):
        return None
    return Read(stacked([(path, _frame(path, wanted.ceiling)) for path in source.paths]))


def names(path: Path) -> list[str]:
    """Return the column names, from the header line alone. Raises InvalidInput as `read` does."""
    try:
        with limits.opened(path) as stream:
            return _header(path, stream.read(_LONGEST_HEADER))[0]
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from error


def _frame(path: Path, ceiling: int) -> pl.DataFrame:
    polars = need("polars")
    content = _content(path, ceiling)
    names, separator = _header(path, content)
    try:
        frame = polars.read_csv(content, separator=separator, infer_schema=False)
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
        raise InvalidInput(_diagnosis(path, content, separator, len(names), str(error))) from error
    frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
    text = polars.all().str.strip_chars()
    frame = frame.select(polars.when(text.is_in(_MISSING)).then(None).otherwise(text).name.keep())
    typed: pl.DataFrame = frame.with_columns([_typed(frame[name], path) for name in frame.columns])
    return typed


def _content(path: Path, ceiling: int) -> bytes:
    size = path.stat().st_size
    packed = limits.head(path, 2) == limits.GZIP_MAGIC
    limits.claim(size, where=path.name, ceiling=ceiling)
    content = bytearray()
    with limits.opened(path) as stream:
        try:
            while part := stream.read(1 << 20):
                content += part
                limits.claim(len(content), where=path.name, ceiling=ceiling)
        except (OSError, EOFError, zlib.error) as error:
            raise _damaged(path, error) from error
    if not packed and b"\0" in content[:4096]:
        raise InvalidInput(f"{path.name} holds zero bytes, so it is not text. It is another format, or damaged.")
    return bytes(content)


def _damaged(path: Path, error: Exception) -> InvalidInput:
    return InvalidInput(f"{path.name} cannot be decompressed: {error}. Fetch it again.")


def _header(path: Path, content: bytes) -> tuple[list[str], str]:
    line = content[:_LONGEST_HEADER].split(b"\n", 1)[0]
    try:
        text = line.decode("utf-8-sig").rstrip("\r")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path.name}, line 1 is not UTF-8 text: {error.reason}. Save the file as UTF-8."
        ) from error
    separator = max(_SEPARATORS, key=text.count)
    names = [name.strip() for name in next(csv.reader([text], delimiter=separator), [])]
    if not any(names):
        raise InvalidInput(f"{path.name}, line 1 is blank; expected the names of the columns.")
    values = [name for name in names if not name or _is_number(name)]
    if values:
        raise InvalidInput(
            f"{path.name}, line 1 has {values[0]!r} where a column's name is expected: there seems to be no header line. "
            "Add a line with the column names (the UCI repository lists them in a .names file)."
        )
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise InvalidInput(f"{path.name}, line 1 names the column {double[0]!r} twice. Rename one of the two.")
    return names, separator


def _typed(series: pl.Series, path: Path) -> pl.Series:
    polars = need("polars")
    known = series.drop_nulls()
    if not known.len():
        return series
    lowered = known.str.to_lowercase()
    if lowered.is_in(["true", "false"]).all():
        return series.str.to_lowercase() == "true"
    whole = series.str.contains(r"^[+-]?\d{1,18}$")
    if whole.drop_nulls().all():
        return series.cast(polars.Int64)
    numbers = series.cast(polars.Float64, strict=False)
    wrong = numbers.is_null() & series.is_not_null()
    if not wrong.any():
        return numbers
    if 1 - wrong.sum() / known.len() >= _MOSTLY:
        row = wrong.arg_true()[0]
        raise InvalidInput(
            f"{path.name}, row {row}, column {series.name!r} holds {series[row][:40]!r} among numbers ({wrong.sum()} such "
            "rows). Correct them, leave them empty, or drop the column."
        )
    return series


def _diagnosis(path: Path, content: bytes, separator: str, width: int, cause: str) -> str:
    """Return what is wrong with text that Polars could not parse, with the line."""
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return f"{path.name}, line {line} is not UTF-8 text. Save the file as UTF-8."
    reader = csv.reader(lines, delimiter=separator)
    for fields in reader:
        if len(fields) > width:
            return (
                f"{path.name}, line {reader.line_num} has {len(fields)} values, and the header names {width} columns. "
                "Quote values that hold the separator, or correct the line."
            )
    return f"{path.name} cannot be read as text with columns: {cause.splitlines()[0]}."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
