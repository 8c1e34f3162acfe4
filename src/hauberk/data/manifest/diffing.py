"""Compares two tables of any size: rows added, removed and changed, and the columns in which they differ.

With a key, the tables are joined on the key and a 128-bit hash of each row, and changed rows are then compared value by
value. Without a key, rows are compared by content: rows are counted by their hash, and a changed row counts as one removed
and one added. The hash has a new random seed in each run, so that nobody can prepare colliding rows. Null equals null, NaN
equals NaN, and each differs from everything else; the order of rows does not matter.

CSV values are text: against a typed table they are parsed to that table's types, against another CSV they are compared as
text. Columns of different types are compared as the type that holds both, for example integers and floats as float64, in
which integers beyond 2^53 are rounded. If no type holds both, they are compared as text, and the tables differ.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Quiet, Task
from hauberk.data.manifest.comparable import Columns, Pair, paired
from hauberk.data.verification.opening import opened

if TYPE_CHECKING:
    import polars as pl

    from hauberk.data.verification.opening import Table

_A, _B = "\0in a", "\0in b"
_EQUAL, _CHANGED, _ADDED, _REMOVED = range(4)
_HASH = ("\0high", "\0low")
_DESCRIBED = ("pictures", "npz", "idx")
_LATER = "\0b"  # suffix of columns of the second table


class NoRowsError(InvalidInput):
    """Pictures and arrays cannot be compared row by row: their tables only describe them, and equal ones may differ."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two tables.

    key: () if compared by content. rows_a, rows_b: number of rows. added, removed, changed: number of rows; changed is 0 by
    content. columns: differing columns. by_column: column to the number of rows that differ in it; by content, -1 for each
    column whose values differ as a whole. samples: a few rows for "added", "removed" and "changed", as JSON values; a changed
    row has [before, after] for each differing column.
    """

    key: tuple[str, ...]
    rows_a: int
    rows_b: int
    added: int
    removed: int
    changed: int
    columns: Columns
    by_column: Mapping[str, int]
    samples: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether both tables hold the same rows and columns."""
        return not (self.added or self.removed or self.changed) and self.columns.equal

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document that `hauberk data diff --json` prints."""
        return {
            "equal": self.equal,
            "by": "key" if self.key else "content",
            "key": list(self.key),
            "rows": [self.rows_a, self.rows_b],
            "added": self.added,
            "removed": self.removed,
            "changed": self.changed,
            "columns": {
                "only_a": list(self.columns.only_a),
                "only_b": list(self.columns.only_b),
                "types": {name: list(kinds) for name, kinds in self.columns.types.items()},
                "changed": dict(self.by_column),
            },
            "samples": dict(self.samples),
        }


def diff(a: str, b: str, *, key: Sequence[str] = (), samples: int = 5, task: Task | None = None) -> Difference:
    """Compare two tables: files, patterns, folders of partitions or URLs (see `verification.opening`).

    key: columns that identify a row; () compares by content. samples: rows shown of each kind. Memory: with a key, both
    tables' keys with 16 bytes a row, and the changed rows; by content, about 40 bytes for each different row. Raises
    NoRowsError for pictures and arrays; InvalidInput for files that are not tables, for a key that is missing or not unique
    in a table, and for files that change while they are read.
    """
    task = task or Quiet()
    with opened(a) as first, opened(b) as second:
        for table in (first, second):
            if table.format in _DESCRIBED:
                raise NoRowsError(
                    f"{table.name} holds {table.format}, which have no rows of values: compare the files with --files."
                )
        pair = paired(first, second)
        for name in key:
            if name not in pair.common:
                raise InvalidInput(
                    f"column {name!r} is not in both tables; choose from: {', '.join(pair.common[:50])}."
                )
        return _by_key(pair, tuple(key), samples, task) if key else _by_content(pair, samples, task)


def _by_key(pair: Pair, key: tuple[str, ...], samples: int, task: Task) -> Difference:
    polars = need("polars")
    values = [name for name in pair.common if name not in key]
    # 1. A join of keys and row hashes, without other values, determines which rows differ.
    task.update(0.05, text="joining")
    became = pair.collect(_narrow(pair, key, values))
    counted = dict(became.group_by(_A).len().iter_rows())
    equal, changed, added, removed = (counted.get(code, 0) for code in (_EQUAL, _CHANGED, _ADDED, _REMOVED))
    rows_a, rows_b = _rows(pair.a), _rows(pair.b)
    both = equal + changed
    if both + removed != rows_a or both + added != rows_b:
        raise InvalidInput(_not_unique(pair, key))
    # 2. Only changed rows, and samples of added and removed ones, are read and compared value by value.
    task.update(0.5, text="columns and samples")
    shown: dict[str, list[dict[str, Any]]] = {}
    for how, code, scan in (("added", _ADDED, pair.scan_b), ("removed", _REMOVED, pair.scan_a)):
        if counted.get(code) and samples:
            some = became.lazy().filter(polars.col(_A) == code).select(key).head(samples)
            rows = pair.collect(_semi(scan, some, key).head(samples))
            shown[how] = [{name: _plain(row[name]) for name in pair.common} for row in rows.iter_rows(named=True)]
    by_column: dict[str, int] = {}
    if changed:
        keys = became.lazy().filter(polars.col(_A) == _CHANGED).select(key)
        later = _semi(pair.scan_b, keys, key).rename({name: name + _LATER for name in values})
        both_states = _semi(pair.scan_a, keys, key).join(later, on=list(key), nulls_equal=True)
        differs = [polars.col(name).ne_missing(polars.col(name + _LATER)).sum().alias(name) for name in values]
        by_column = {
            name: int(count)
            for name, count in pair.collect(both_states.select(differs)).row(0, named=True).items()
            if count
        }
        if samples:
            first = pair.collect(both_states.head(samples))
            shown["changed"] = [_shown(row, key, values) for row in first.iter_rows(named=True)]
    task.update(1.0)
    return Difference(key, rows_a, rows_b, added, removed, changed, pair.columns, by_column, shown)


def _narrow(pair: Pair, key: tuple[str, ...], values: Sequence[str]) -> pl.LazyFrame:
    """Return a query of every key in either table, with its row's code (equal, changed, added, removed) in column `_A`."""
    polars = need("polars")
    seeds = secrets.randbits(63), secrets.randbits(63)
    whole = polars.struct(*(polars.col(name) for name in values)) if values else polars.lit(0)
    sides = [
        scan.select(*key, *(whole.hash(seed=seed).alias(f"{end}{at}") for at, seed in enumerate(seeds)))
        for scan, end in ((pair.scan_a, _A), (pair.scan_b, _B))
    ]
    joined: pl.LazyFrame = sides[0].join(sides[1], on=list(key), how="full", coalesce=True, nulls_equal=True)
    same = polars.all_horizontal(polars.col(f"{_A}{at}") == polars.col(f"{_B}{at}") for at in range(len(seeds)))
    became = (
        polars.when(polars.col(f"{_A}0").is_null())
        .then(_code(_ADDED))
        .when(polars.col(f"{_B}0").is_null())
        .then(_code(_REMOVED))
        .when(same)
        .then(_code(_EQUAL))
        .otherwise(_code(_CHANGED))
    )
    return joined.select(*key, became.alias(_A))


def _code(code: int) -> pl.Expr:
    polars = need("polars")
    literal: pl.Expr = polars.lit(code, dtype=polars.UInt8)
    return literal


def _semi(scan: pl.LazyFrame, keys: pl.LazyFrame, key: tuple[str, ...]) -> pl.LazyFrame:
    return scan.join(keys, on=list(key), how="semi", nulls_equal=True)


def _not_unique(pair: Pair, key: tuple[str, ...]) -> str:
    polars = need("polars")
    for table, scan in ((pair.a, pair.scan_a), (pair.b, pair.scan_b)):
        twice = pair.collect(scan.group_by(list(key)).agg(polars.len().alias(_A)).filter(polars.col(_A) > 1))
        if twice.height:
            value = ", ".join(repr(_plain(one)) for one in twice.select(key).row(0))
            return (
                f"{', '.join(key)} is not unique in {table.name}: {twice.height:,} values occur in several rows, such as "
                f"{value}. Name more columns with --key, or leave it out to compare by content."
            )
    return "the tables changed while they were compared: wait until their writer is done, then repeat."


def _by_content(pair: Pair, samples: int, task: Task) -> Difference:
    polars = need("polars")
    seeds = secrets.randbits(63), secrets.randbits(63)
    whole = polars.struct(*(polars.col(name) for name in pair.common))
    hashes = [whole.hash(seed=seed).alias(name) for name, seed in zip(_HASH, seeds, strict=True)]
    sides = [
        scan.select(*hashes, polars.lit(sign, dtype=polars.Int64).alias(_A))
        for scan, sign in ((pair.scan_a, -1), (pair.scan_b, 1))
    ]
    task.update(0.05, text="counting rows by content")
    grouped = polars.concat(sides).group_by(*_HASH).agg(polars.col(_A).sum())
    differing = pair.collect(grouped.filter(polars.col(_A) != 0))
    rows_a, rows_b = _rows(pair.a), _rows(pair.b)
    balance = differing[_A]
    added = int(balance.filter(balance > 0).sum())
    removed = -int(balance.filter(balance < 0).sum())
    shown: dict[str, list[dict[str, Any]]] = {}
    by_column: dict[str, int] = {}
    if differing.height:
        task.update(0.6, text="samples")
        by_column = dict.fromkeys(_differing_columns(pair, seeds[0]), -1)
        for how, scan, sign in (("removed", pair.scan_a, -1), ("added", pair.scan_b, 1)):
            some = differing.filter(polars.col(_A) * sign > 0).head(samples).select(*_HASH)
            if some.height:
                query = scan.with_columns(*hashes).join(some.lazy(), on=list(_HASH), how="semi").head(samples)
                rows = pair.collect(query.drop(*_HASH))
                shown[how] = [
                    {name: _plain(value) for name, value in row.items()} for row in rows.iter_rows(named=True)
                ]
    task.update(1.0)
    return Difference((), rows_a, rows_b, added, removed, 0, pair.columns, by_column, shown)


def _rows(table: Table) -> int:
    return int(table.collect(table.scan().select(need("polars").len())).item())


def _differing_columns(pair: Pair, seed: int) -> list[str]:
    """Return the columns whose sums of value hashes differ; these sums do not depend on the order of rows."""
    polars = need("polars")
    sums = [polars.col(name).hash(seed=seed).sum().alias(name) for name in pair.common]
    one, other = (pair.collect(scan.select(sums)).row(0) for scan in (pair.scan_a, pair.scan_b))
    return [name for name, x, y in zip(pair.common, one, other, strict=True) if x != y]


def _shown(row: Mapping[str, Any], key: Sequence[str], values: Sequence[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {name: _plain(row[name]) for name in key}
    for name in values:
        before, after = _plain(row[name]), _plain(row[name + _LATER])
        if before != after or type(before) is not type(after):
            shown[name] = [before, after]
    return shown


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a table holds
    """Return a value that JSON can represent: NaN, infinities, dates and nested values as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    return str(value)
