"""What differs between two tables of any size: rows added, removed and changed, and in which columns.

By key, both tables are joined once, streaming, and every pair of values is compared: null equals null, NaN equals NaN,
and each of them differs from everything else. By content, where there is no key, rows are counted by a 128-bit hash
that is seeded anew in each run, so that nobody can prepare rows that collide; a changed row is then one removed and
one added. The order of rows does not matter in either way.

CSV holds text: beside a typed table its values are read as that table's types, and beside another CSV they are
compared as text. Columns of two types are compared as the type that holds both: integers beside floats as float64, so
that integers beyond 2^53 are compared as the nearest float64; where no type holds both, as text, and the tables differ.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Quiet, Task
from hauberk.data.comparable import Columns, Pair, paired
from hauberk.data.verification.opening import opened

if TYPE_CHECKING:
    import polars as pl

    from hauberk.data.verification.opening import Table

How = Literal["added", "removed", "changed"]
_A, _B = "\0in a", "\0in b"
_HASH = ("\0high", "\0low")
_DESCRIBED = ("pictures", "npz", "idx")
_LATER = "\0b"  # after the name of a column of the second table


class NoRowsError(InvalidInput):
    """Pictures and arrays: what a table of them tells is a description, and equal descriptions are not equal rows."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs.

    changed: 0 when compared by content. by_column: by key, how many rows differ in each column; by content, -1 for each
    column whose values differ as a whole. samples: a few rows of each kind, as JSON values; a changed row holds
    [before, after] where they differ.
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
        """Whether both hold the same rows under the same columns."""
        return not (self.added or self.removed or self.changed) and self.columns.equal

    def to_json(self) -> dict[str, Any]:
        """Return the document of `hauberk data diff --json`."""
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

    key: columns that tell rows apart; () compares by content. samples: rows shown of each kind. Memory: by key, that of
    the second table; by content, some 40 bytes a different row. Raises InvalidInput for what is no table, for a key that
    a table does not have or that names several rows, and for files that change while they are read.
    """
    task = task or Quiet()
    with opened(a) as first, opened(b) as second:
        for table in (first, second):
            if table.format in _DESCRIBED:
                raise NoRowsError(
                    f"{table.name} holds {table.format}, which are no rows of values: compare files instead, with --files."
                )
        pair = paired(first, second)
        for name in key:
            if name not in pair.common:
                raise InvalidInput(
                    f"there is no column {name!r} in both tables; both have: {', '.join(pair.common[:50])}."
                )
        return _by_key(pair, tuple(key), samples, task) if key else _by_content(pair, samples, task)


def _by_key(pair: Pair, key: tuple[str, ...], samples: int, task: Task) -> Difference:
    polars = need("polars")
    values = [name for name in pair.common if name not in key]
    later = pair.scan_b.select(*key, *(polars.col(name).alias(name + _LATER) for name in values))
    joined = pair.scan_a.with_columns(polars.lit(value=True).alias(_A)).join(
        later.with_columns(polars.lit(value=True).alias(_B)),
        on=list(key),
        how="full",
        coalesce=True,
        nulls_equal=True,
    )
    in_a, in_b = polars.col(_A).is_not_null(), polars.col(_B).is_not_null()
    both = in_a & in_b
    differs = {name: both & polars.col(name).ne_missing(polars.col(name + _LATER)) for name in values}
    any_differs = polars.any_horizontal(*differs.values()) if differs else polars.lit(value=False)
    task.update(0.05, text="joining")
    counted = pair.collect(
        joined.select(
            both.sum().alias("both"),
            (~in_a).sum().alias("added"),
            (~in_b).sum().alias("removed"),
            any_differs.sum().alias("changed"),
            *(differ.sum().alias(f"column {at}") for at, differ in enumerate(differs.values())),
        )
    ).row(0, named=True)
    rows_a, rows_b = _rows(pair.a), _rows(pair.b)
    if counted["both"] + counted["removed"] != rows_a or counted["both"] + counted["added"] != rows_b:
        raise InvalidInput(_not_unique(pair, key))
    task.update(0.7, text="samples")
    shown: dict[str, list[dict[str, Any]]] = {}
    conditions: dict[How, pl.Expr] = {"added": ~in_a, "removed": ~in_b, "changed": any_differs}
    for how, condition in conditions.items():
        if counted[how] and samples:
            some = pair.collect(joined.filter(condition).head(samples))
            shown[how] = [_shown(row, key, values, how) for row in some.iter_rows(named=True)]
    by_column = {name: int(counted[f"column {at}"]) for at, name in enumerate(differs) if counted[f"column {at}"]}
    task.update(1.0)
    return Difference(
        key,
        rows_a,
        rows_b,
        counted["added"],
        counted["removed"],
        counted["changed"],
        pair.columns,
        by_column,
        shown,
    )


def _not_unique(pair: Pair, key: tuple[str, ...]) -> str:
    polars = need("polars")
    for table, scan in ((pair.a, pair.scan_a), (pair.b, pair.scan_b)):
        twice = pair.collect(scan.group_by(list(key)).agg(polars.len().alias(_A)).filter(polars.col(_A) > 1))
        if twice.height:
            value = ", ".join(repr(_plain(one)) for one in twice.select(key).row(0))
            return (
                f"{', '.join(key)} is no key of {table.name}: {twice.height:,} values stand in several rows, such as {value}. "
                "Name more columns with --key, or leave it out to compare by content."
            )
    return "the tables changed while they were compared. Wait until their writer is done, then repeat."


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
                found = pair.collect(query.drop(*_HASH))
                shown[how] = [
                    {name: _plain(value) for name, value in row.items()} for row in found.iter_rows(named=True)
                ]
    task.update(1.0)
    return Difference((), rows_a, rows_b, added, removed, 0, pair.columns, by_column, shown)


def _rows(table: Table) -> int:
    return int(table.collect(table.scan().select(need("polars").len())).item())


def _differing_columns(pair: Pair, seed: int) -> list[str]:
    """Return the columns whose values, taken together, are not the same: sums of hashes do not depend on order."""
    polars = need("polars")
    sums = [polars.col(name).hash(seed=seed).sum().alias(name) for name in pair.common]
    one, other = (pair.collect(scan.select(sums)).row(0) for scan in (pair.scan_a, pair.scan_b))
    return [name for name, x, y in zip(pair.common, one, other, strict=True) if x != y]


def _shown(row: Mapping[str, Any], key: Sequence[str], values: Sequence[str], how: How) -> dict[str, Any]:
    found = {name: _plain(row[name]) for name in key}
    for name in values:
        before, after = _plain(row[name]), _plain(row[name + _LATER])
        if how != "changed":
            found[name] = after if how == "added" else before
        elif before != after or type(before) is not type(after):
            found[name] = [before, after]
    return found


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a table holds
    """Return a value as JSON can hold it: NaN, infinities, dates and nested values as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    return str(value)
