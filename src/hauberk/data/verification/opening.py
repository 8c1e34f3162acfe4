"""Open tables of any size as one lazy table: Parquet, Arrow IPC, CSV, TSV and JSON Lines, single or in parts.

Folders of pictures, npz and idx files become tables too, one row a picture; see `pictures` and `arrays`.

Queries stream, so a table may be larger than memory. What many readers ignore silently is an error here: parts with
different columns or types, lines with fewer values than the header has names, and files that change while they are read.
CSV columns are opened as text; `frames` parses them to the schema's types, value by value.
"""

from __future__ import annotations

import csv
import errno
import gzip
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from hauberk.core.disk import explain
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.reading import limits
from hauberk.data.reading.formats._footer import check_footer
from hauberk.data.verification.places import Part, found, state

if TYPE_CHECKING:
    import polars as pl

MOST_COLUMNS = 20_000  # planning a lazy query grows faster than linearly with columns; beyond this it takes minutes
ENDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "ipc",
    ".ipc": "ipc",
    ".feather": "ipc",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENAMETOOLONG)
T = TypeVar("T")
_ANY = 1 << 62  # no ceiling: a lazy reader decodes piece by piece, so a table may be larger than memory


@dataclass(frozen=True, slots=True)
class Table:
    """A lazy table over one or more files.

    name: the place as the user named it. format: parquet, ipc, csv, tsv, jsonl, pictures, npz, idx or frame. parts: the
    files. schema: column to type. states: each file's size, modification time and inode at opening. scan: returns a query of
    all rows. textual: whether all values are text (CSV and TSV).
    """

    name: str
    format: str
    parts: tuple[Part, ...]
    schema: dict[str, pl.DataType]
    states: tuple[tuple[int, int, int], ...]
    scan: Callable[[], pl.LazyFrame]
    textual: bool

    @property
    def pictures(self) -> bool:
        """Whether each row is a picture; see `pictures` for the columns."""
        return self.format in ("pictures", "npz", "idx") and "broken" in self.schema

    @property
    def sliced(self) -> bool:
        """Whether rows in the middle can be read without the rows before them: Parquet outside hive folders."""
        return self.format == "parquet" and not self.parts[0].keys

    def rows(self, index: str) -> pl.LazyFrame:
        """Return a query of all rows with their numbers, from 0 over all parts in order, in the column `index`."""
        return self.scan().with_row_index(index)

    def free_name(self, name: str) -> str:
        """Return `name` with underscores appended until no column has this name."""
        while name in self.schema:
            name += "_"
        return name

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Run a query in streaming mode. Raises InvalidInput if files are damaged or changed while they were read."""
        return self.guarded(lambda: query.collect(engine="streaming"))

    def guarded(self, work: Callable[[], T], *, writes: Path | None = None) -> T:
        """Run `work`, which reads the table, and return its result.

        Raises InvalidInput with a diagnosis of the files if reading fails or the files changed. writes: a file that `work`
        writes; then an error of the disk (full, no permission) is raised as such and not as damage of the table.
        """
        polars = need("polars")
        try:
            result = work()
        except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
            self.unchanged()
            number = re.search(r"os error (\d+)", str(error))
            if writes is not None and number is not None and int(number[1]) in _WRITING:
                raise explain(OSError(int(number[1]), os.strerror(int(number[1]))), writes) from error
            raise InvalidInput(_diagnosis(self, error)) from error
        self.unchanged()
        return result

    def unchanged(self) -> None:
        """Raise InvalidInput if a file changed since the table was opened."""
        for part, before in zip(self.parts, self.states, strict=True):
            if state(part.path) != before:
                raise InvalidInput(
                    f"{part.name} changed while it was read, so there is no verdict: wait until its writer is done, or "
                    "verify a copy."
                )


@contextmanager
def opened(place: str) -> Iterator[Table]:
    """Open a file, a pattern, a folder of partitions or an fsspec URL as one table for the duration of the block.

    Raises InvalidInput for unknown or mixed formats, parts that differ in columns or types, and damaged files.
    """
    with found(place) as parts:
        yield _table(place, parts)


def from_frame(frame: pl.DataFrame | pl.LazyFrame, *, name: str = "the frame") -> Table:
    """Return a Polars frame as a table. A lazy frame is evaluated, on every row, each time the table is read."""
    polars = need("polars")
    lazy: pl.LazyFrame = frame.lazy()
    try:
        schema = dict(lazy.collect_schema())
    except polars.exceptions.PolarsError as error:
        raise InvalidInput(f"{name} cannot be evaluated: {error}. Correct its query.") from error
    _refuse_odd_names(name, list(schema))
    return Table(name, "frame", (), schema, (), lambda: lazy, textual=False)


def _table(place: str, parts: tuple[Part, ...]) -> Table:
    if not all(_end(part) for part in parts):
        # Imported here because importing numpy takes longer than verifying many tables, which do not need it.
        from hauberk.data.verification import arrays, pictures

        if pictures.are_pictures(parts):
            parts = pictures.only_pictures(parts)
            return _described(place, "pictures", parts, lambda: pictures.described(parts))
        kind = arrays.kind_of(parts)
        if kind:
            return _described(place, kind, parts, lambda: arrays.described(parts, kind))
    kinds = {part.name: _kind(part) for part in parts}
    if len(set(kinds.values())) > 1:
        first, other = _first_two(kinds)
        raise InvalidInput(
            f"{place} mixes formats: {first} is {kinds[first]} and {other} is {kinds[other]}. Name one kind with a pattern, "
            f"such as '{place.rstrip('/')}/**/*{Path(first).suffix}'."
        )
    kind = kinds[parts[0].name]
    states = tuple(state(part.path) for part in parts)
    schema = _same(parts, [_schema(part, kind) for part in parts])
    keys = {key for part in parts for key, _ in part.keys}
    for part in parts:
        if {key for key, _ in part.keys} != keys:
            raise InvalidInput(
                f"{part.name} lies outside the partition by {', '.join(sorted(keys))}: each part needs the same keys."
            )
    _refuse_odd_names(place, [*schema, *keys])

    def scan() -> pl.LazyFrame:
        return _scan(parts, kind, schema)

    try:
        full = dict(scan().collect_schema()) if keys or kind in ("csv", "tsv") else schema
    except need("polars").exceptions.PolarsError as error:
        raise InvalidInput(
            f"{place} cannot be read as {kind}: its header and its lines do not match ({_first_line(error)}). If lines end "
            "in CR alone, save the file with LF or CRLF."
        ) from error
    return Table(place, kind, parts, full, states, scan, kind in ("csv", "tsv"))


def _refuse_odd_names(place: str, names: Sequence[str]) -> None:
    """Raise InvalidInput for more columns than can be verified, and for names that a query would misinterpret."""
    _refuse_many(place, len(names))
    # Polars reads such names as patterns, so a rule for one column would apply to others. NUL marks our own columns.
    odd = next((name for name in names if name == "*" or (name[:1] == "^" and name[-1:] == "$")), None)
    if odd is not None:
        raise InvalidInput(f"{place} has a column called {odd!r}, which queries read as a pattern: rename it.")
    cut = next((name for name in names if "\0" in name), None)
    if cut is not None:
        raise InvalidInput(f"{place} has a column called {cut!r}: many readers end a name at NUL. Rename it.")


def _refuse_many(place: str, columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise InvalidInput(
            f"{place} has {columns:,} columns; up to {MOST_COLUMNS:,} can be verified. Store such measurements as one "
            "array column, or as rows of (id, name, value)."
        )


def _described(place: str, kind: str, parts: tuple[Part, ...], read: Callable[[], pl.DataFrame]) -> Table:
    """Return pictures or arrays as a table; the description of each row is small and held in memory."""
    states = tuple(state(part.path) for part in parts)
    frame = read()
    _refuse_odd_names(place, frame.columns)
    table = Table(place, kind, parts, dict(frame.schema), states, frame.lazy, textual=False)
    table.unchanged()
    return table


def _first_two(kinds: dict[str, str]) -> tuple[str, str]:
    first = next(iter(kinds))
    return first, next(name for name, kind in kinds.items() if kind != kinds[first])


def _kind(part: Part) -> str:
    start = limits.head(part.path, 8)
    if start[:4] in (b"PAR1", b"PARE"):
        return "parquet"
    if start[:6] == b"ARROW1":
        return "ipc"
    if _end(part):
        return _end(part)
    raise InvalidInput(
        f"{part.name} is not a known kind of table: expected Parquet, Arrow IPC, .csv, .tsv or .jsonl. Rename it if its "
        "name is misleading."
    )


def _end(part: Part) -> str:
    """Return the format that a file's suffix stands for, or ""."""
    name = part.path.name.lower().removesuffix(".gz")
    return next((kind for end, kind in ENDS.items() if name.endswith(end)), "")


def _schema(part: Part, kind: str) -> dict[str, pl.DataType]:
    polars = need("polars")
    try:
        if kind == "parquet":
            _refuse_many(part.name, check_footer(part.path, ceiling=_ANY).columns)
            return dict(polars.read_parquet_schema(part.path))
        if kind == "ipc":
            return dict(polars.read_ipc_schema(part.path))
        if kind == "jsonl":
            return dict(polars.scan_ndjson(part.path, infer_schema_length=None).collect_schema())
        return dict.fromkeys(header(part, "\t" if kind == "tsv" else ","), polars.String())
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        if kind == "jsonl" and _no_object(part):
            raise InvalidInput(_no_object(part)) from error
        raise InvalidInput(
            f"{part.name} cannot be read as {kind}: {_first_line(error)}. It is truncated or damaged; fetch it again."
        ) from error


def header(part: Part, separator: str) -> list[str]:
    """Return a delimited file's column names. Raises InvalidInput for blank or repeated names."""
    with _text(part.path) as lines:
        try:
            names = next(csv.reader(lines, delimiter=separator), [])
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"{part.name}, {_bad_bytes(part.path)} is not UTF-8 text. Save the file as UTF-8."
            ) from error
        except (csv.Error, OSError, EOFError, zlib.error) as error:
            raise InvalidInput(
                f"{part.name}, line 1 is not a line of column names: {error}. Correct the file."
            ) from error
    blank = [at for at, name in enumerate(names) if not name.strip()]
    if not names or blank:
        raise InvalidInput(
            f"{part.name}, line 1 has no name for column {blank[0] + 1 if blank else 1}: name each column."
        )
    double = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if double:
        raise InvalidInput(f"{part.name}, line 1 names the column {double!r} twice. Rename one of the two.")
    return names


def _text(path: Path) -> TextIO:
    if limits.head(path, 2) == limits.GZIP_MAGIC:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _same(parts: Sequence[Part], schemas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the columns of all parts, in the order of the first. Raises InvalidInput naming the part that differs."""
    first = schemas[0]
    for part, schema in zip(parts[1:], schemas[1:], strict=True):
        for name in first.keys() ^ schema.keys():
            here, there = (parts[0].name, part.name) if name in first else (part.name, parts[0].name)
            raise InvalidInput(f"{here} has a column {name!r} that {there} lacks: all parts need the same columns.")
        for name, dtype in schema.items():
            if dtype != first[name]:
                raise InvalidInput(
                    f"column {name!r} is {dtype} in {part.name} and {first[name]} in {parts[0].name}: all parts need the "
                    "same types. Write the part again with the type of the others."
                )
    for part in parts:
        clash = next((key for key, _ in part.keys if key in first), None)
        if clash:
            raise InvalidInput(
                f"{part.name} has a column {clash!r} in the file and in its folder's name. Drop one of them."
            )
    return first


def _scan(parts: tuple[Part, ...], kind: str, schema: dict[str, pl.DataType]) -> pl.LazyFrame:
    polars = need("polars")
    paths = [part.path for part in parts]
    hive = bool(parts[0].keys)
    if kind == "parquet":
        # The statistics in the file (minimum, maximum, nulls) are not used: they may be wrong, also on purpose.
        scan: pl.LazyFrame = (
            polars.scan_parquet(
                paths,
                use_statistics=False,
                hive_partitioning=False,
                glob=False,
                cache=False,
                missing_columns="raise",
            )
            if not hive
            else polars.concat([_keyed(_parquet(part), part) for part in parts])
        )
        return scan.select(*schema, *dict(parts[0].keys))
    scans = []
    for part in parts:
        if kind == "ipc":
            one = polars.scan_ipc(part.path, hive_partitioning=False, glob=False)
        elif kind == "jsonl":
            one = polars.scan_ndjson(part.path, schema=schema)
        else:
            separator = "\t" if kind == "tsv" else ","
            one = polars.scan_csv(
                part.path, separator=separator, infer_schema=False, glob=False, new_columns=list(schema)
            )
        scans.append(_keyed(one.select(list(schema)), part))
    return scans[0] if len(scans) == 1 else polars.concat(scans)


def _parquet(part: Part) -> pl.LazyFrame:
    scan: pl.LazyFrame = need("polars").scan_parquet(
        part.path, use_statistics=False, hive_partitioning=False, glob=False
    )
    return scan


def _keyed(scan: pl.LazyFrame, part: Part) -> pl.LazyFrame:
    polars = need("polars")
    return (
        scan.with_columns(polars.lit(value, dtype=polars.String).alias(key) for key, value in part.keys)
        if part.keys
        else scan
    )


def _no_object(part: Part) -> str:
    """Return what is wrong with the first line of JSON Lines that does not hold a JSON object; "" if all do."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not JSON: write null, or the number as text")

    number = 0
    try:
        with limits.opened(part.path) as lines:
            for number, line in enumerate(lines, 1):
                row = json.loads(line.rstrip(), parse_constant=refuse) if line.strip() else {}
                if not isinstance(row, dict):
                    kind = {list: "an array", type(None): "null"}.get(type(row), "a single value")
                    return (
                        f"{part.name}, line {number} holds {kind}; expected an object, a row on each line. Write each row as "
                        '{"column": value, ...} on a line of its own.'
                    )
    except json.JSONDecodeError as error:
        return (
            f"{part.name}, line {number} is not JSON: {error.msg} at character {error.pos + 1}. Correct the line."
        )
    except (ValueError, RecursionError) as error:
        return f"{part.name}, line {number} is not JSON: {error}. Correct the line."
    except (OSError, EOFError, zlib.error) as error:
        return f"{part.name} cannot be read: {error}. It is truncated or damaged; fetch it again."
    return ""


def _diagnosis(table: Table, error: BaseException) -> str:
    if table.format == "jsonl":
        wrong = next(filter(None, map(_no_object, table.parts)), "")
        if wrong:
            return wrong
    if table.textual:
        for part in table.parts:
            ragged = uneven(
                part,
                "\t" if table.format == "tsv" else ",",
                len(header(part, "\t" if table.format == "tsv" else ",")),
            )
            if ragged:
                return ragged
    return f"{table.name} cannot be read as {table.format}: {_first_line(error)}. It is damaged or misnamed; fetch it again."


def uneven(part: Part, separator: str, width: int) -> str:
    """Return what is wrong with the first line whose number of values is not `width`; "" if there is none."""
    with _text(part.path) as lines:
        reader = csv.reader(lines, delimiter=separator)
        try:
            for fields in reader:
                if len(fields) != width and not (width == 1 and not fields):
                    return (
                        f"{part.name}, line {reader.line_num} has {len(fields)} values, and the header names {width} columns. "
                        "Quote values that hold the separator, or correct the line."
                    )
        except UnicodeDecodeError:
            return f"{part.name}, {_bad_bytes(part.path)} is not UTF-8 text. Save the file as UTF-8."
        except csv.Error as error:
            return f"{part.name}, line {reader.line_num}: {error}. Correct the line."
        except (OSError, EOFError, zlib.error) as error:
            return f"{part.name} cannot be decompressed: {error}. It is truncated or damaged; fetch it again."
    return ""


def _bad_bytes(path: Path) -> str:
    with limits.opened(path) as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return f"line {number}"
    return "a line"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
