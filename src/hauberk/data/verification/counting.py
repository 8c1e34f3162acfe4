"""Count the rows that break each rule, and list the numbers of the first of them, in one streaming pass.

The pass computes one flag for each rule and row. Flags are small, so listing the flagged rows costs little more than
counting, and fetching samples afterwards needs no second search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hauberk.core.extras import need
from hauberk.data.verification.frames import HIDDEN, Frame, refuse_short_lines
from hauberk.data.verification.kinds import family, to_dicts
from hauberk.data.verification.rules import Check, RowCheck

if TYPE_CHECKING:
    import polars as pl

_LISTED = 1000  # rows that break any rule are listed up to this number; later samples need another pass (`samples`)
_ROW = HIDDEN + "row"


@dataclass(frozen=True, slots=True)
class Counts:
    """The result of the pass.

    rows: number of rows of the table. broken: row check's name to the number of rows that break it, or the error that
    evaluating it raised. first: row check's name to the numbers of the first rows that break it, possibly incomplete.
    newest: largest value of the freshness rule's column; None without such a rule.
    """

    rows: int
    broken: dict[str, Any]
    first: dict[str, list[int]]
    newest: Any = None


def count(frame: Frame, planned: Sequence[Check]) -> Counts:
    """Count the rows that break each row check. Raises InvalidInput if the table cannot be read.

    If the pass fails, each rule is evaluated alone, so that one bad expression is reported by name and the others still
    count.
    """
    polars = need("polars")
    flags = {check.name: check.bad for check in planned if isinstance(check, RowCheck)}
    newest = _newest(frame)
    beside = [] if newest is None else [newest.alias("newest")]
    if frame.table.textual:
        # Read every column: otherwise Polars silently ignores surplus values in a line.
        known = set(frame.scan().collect_schema())
        absent = [
            polars.col(frame.raw + name if frame.raw + name in known else name).is_null()
            for name in frame.table.schema
        ]
        beside += [absent[-1].alias("last"), polars.any_horizontal(absent).alias("absent")]
    rows = polars.len().alias("rows")
    sums = [polars.col(one).sum() for one in ("last", "absent") if frame.table.textual]
    if newest is not None:
        sums.append(polars.col("newest").max())
    line: dict[str, Any]
    first, broken = dict[str, list[int]](), dict[str, Any]()
    try:
        line, listed = _pass(frame, flags, beside, [rows, *sums])
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError):
        # If the files cannot be read even without rules, this raises what is wrong with them.
        if frame.table.parts:
            frame.table.collect(frame.table.scan().select(polars.all().null_count()))
        bare = frame.scan().select(beside) if beside else frame.scan()
        line = to_dicts(frame.table.collect(bare.select(rows, *sums)))[0]
        broken = {name: _alone(frame, bad) for name, bad in flags.items()}
        if not any(isinstance(one, Exception) for one in broken.values()):
            # Every rule works alone, so reading failed: a single rule reads fewer columns and may miss the damage.
            frame.table.guarded(lambda: _pass(frame, flags, beside, [rows, *sums]))
    else:
        broken = {name: line[f"{at}"] for at, name in enumerate(flags)}
        for at, name in enumerate(flags):
            if broken[name]:
                first[name] = listed.filter(polars.col(f"{at}"))[_ROW].to_list()
    frame.table.unchanged()
    if line.get("last"):
        refuse_short_lines(frame.table)
    return Counts(int(line["rows"]), broken, first, line.get("newest"))


def _pass(
    frame: Frame, flags: dict[str, pl.Expr], beside: list[pl.Expr], sums: list[pl.Expr]
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Return the sums, including each flag's count by its position, and the first rows with any flag."""
    polars = need("polars")
    named = [f"{at}" for at in range(len(flags))]
    flagged = frame.scan(_ROW).select(
        _ROW, *beside, *(bad.alias(name) for name, bad in zip(named, flags.values(), strict=True))
    )
    any_flag = polars.any_horizontal(named) if named else polars.lit(value=False)
    queries = [
        flagged.select(*sums, *(polars.col(name).sum() for name in named)),
        flagged.filter(any_flag).select(_ROW, *named).head(_LISTED),
    ]
    line, listed = polars.collect_all(queries, engine="streaming")
    return to_dicts(line)[0], listed


def _newest(frame: Frame) -> pl.Expr | None:
    fresh = frame.schema.freshness
    if fresh is None or family(frame.found.get(fresh.column, need("polars").Null())) not in ("date", "datetime"):
        return None
    column: pl.Expr = need("polars").col(fresh.column)
    return column


def _alone(frame: Frame, bad: pl.Expr) -> Any:  # noqa: ANN401 - a count, or an error
    polars = need("polars")
    try:
        return frame.scan().select(bad.sum()).collect(engine="streaming").item()
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException) as error:
        return error
