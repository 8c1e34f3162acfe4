"""Split a table: rows that break a rule to one file, all others to another, in the table's format.

Each file is written under a temporary name and renamed when both are complete and their rows add up to the table's. A
clean file of an earlier run is removed first and the new one is renamed last, so that an existing clean file always
belongs to the quarantine file beside it. A row that breaks several rules is written once. Rules about the table as a whole
(a missing column, too few rows) concern no single row. If a rule could not be evaluated the split is refused, because no
row is then known to be clean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hauberk.core import outputs
from hauberk.core.disk import Disk, explain
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.verification.frames import HIDDEN, framed
from hauberk.data.verification.opening import ENDS, Table
from hauberk.data.verification.rules import GroupCheck, RowCheck
from hauberk.data.verification.schema import Schema
from hauberk.data.verification.verifying import Status, Verified, broken_groups

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Split:
    """Numbers of rows in each file; they add up to the rows of the table."""

    quarantined: int
    clean: int


def split(  # noqa: PLR0913 - two optional outputs and a fake disk for tests
    table: Table,
    schema: Schema,
    verified: Verified,
    *,
    quarantine: Path | None,
    clean: Path | None,
    disk: Disk | None = None,
) -> Split:
    """Write rows that break a rule to `quarantine` and the others to `clean`; None leaves a file out.

    The quarantine file has an additional column `hauberk_row` with the row's number. Raises InvalidInput if a rule was not
    evaluated, if a target lies among the sources, or if the files changed; then neither file is left behind.
    """
    disk = disk or Disk()
    failed = next((result for result in verified.results if result.status is Status.ERROR), None)
    if failed is not None:
        raise InvalidInput(
            f"rule {failed.rule!r} was not evaluated, so no row is known to be clean: {failed.what}. Correct it first."
        )
    targets = [target for target in (quarantine, clean) if target is not None]
    _refuse(table, targets)
    earlier = outputs.resolve(clean).file if clean is not None and quarantine is not None else None
    halves = _halves(table, schema, verified)
    with outputs.drafts(targets, disk=disk) as made:
        drafts = dict(zip(targets, made, strict=True))
        written = []
        for target, rows in zip((quarantine, clean), halves, strict=True):
            written.append(_written(table, rows, target, drafts))
        if sum(written) != verified.rows:
            raise InvalidInput(
                f"{written[0]:,} rows set aside and {written[1]:,} clean ones are not the {verified.rows:,} that were verified: "
                "the table changed meanwhile. Verify it again when its writer is done."
            )
        if earlier is not None:
            _remove(earlier, disk)
    return Split(*written)


def _refuse(table: Table, targets: Sequence[Path]) -> None:
    sources = {part.path.resolve() for part in table.parts}
    where = [target.resolve() for target in targets]
    if len(set(where)) < len(where):
        raise InvalidInput(f"{targets[0]} is named for both the quarantined and the clean rows: name two files.")
    for target in where:
        if target in sources or any(target.parent == source.parent and len(sources) > 1 for source in sources):
            raise InvalidInput(f"{target} is, or lies among, the verified files: name a place outside them.")
        if target.is_dir():
            raise InvalidInput(f"{target} is a folder: name the file to write.")


def _remove(earlier: Path, disk: Disk) -> None:
    try:
        disk.remove(earlier)
        disk.sync_folder(earlier.parent)
    except OSError as error:
        raise explain(error, earlier) from error


def _halves(table: Table, schema: Schema, verified: Verified) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Return queries of the rows that break a rule, with their numbers, and of the others, both with unparsed values."""
    polars = need("polars")
    frame = framed(table, schema)
    broken = {result.rule for result in verified.results if result.status is Status.VIOLATED}
    violated = [check for check in verified.checks if check.name in broken]
    index = table.free_name("hauberk_row")
    rows = frame.scan(index)
    flags = [polars.lit(value=False), *(check.bad for check in violated if isinstance(check, RowCheck))]
    for at, check in enumerate(check for check in violated if isinstance(check, GroupCheck)):
        mark = f"{HIDDEN}group{at}"
        query = broken_groups(frame, check).select(*check.by, polars.lit(value=True).alias(mark))
        keys = table.collect(query).lazy()
        rows = rows.join(keys, on=list(check.by), how="left", nulls_equal=True, maintain_order="left")
        flags.append(polars.col(mark).fill_null(value=False))
    flag = polars.any_horizontal(flags)
    textual = set(schema.columns) if table.textual else set()
    values = [polars.col(frame.raw + name if name in textual else name).alias(name) for name in table.schema]
    return rows.filter(flag).select(index, *values), rows.filter(~flag).select(values)


def _written(table: Table, rows: pl.LazyFrame, target: Path | None, drafts: Mapping[Path, Path]) -> int:
    """Write the rows, if there is a target, and return the number of rows in the file; else the number of rows."""
    polars = need("polars")
    if target is None:
        return int(table.collect(rows.select(polars.len())).item())
    draft = drafts[target]
    kind = _kind(table, target)
    table.guarded(lambda: _sink(rows, draft, kind), writes=target)
    if kind == "parquet":
        return int(
            polars.scan_parquet(draft, use_statistics=False, glob=False).select(polars.len()).collect().item()
        )
    if kind == "ipc":
        return int(polars.scan_ipc(draft, glob=False).select(polars.len()).collect().item())

    if kind == "jsonl":
        return sum(1 for line in draft.open("rb") if line.strip())
    # Quoted values may contain line ends, so a CSV reader counts the rows.
    separator = "\t" if kind == "tsv" else ","
    scan = polars.scan_csv(draft, separator=separator, infer_schema=False, glob=False)
    return int(scan.select(polars.len()).collect(engine="streaming").item())


def _kind(table: Table, target: Path) -> str:
    """Return the format to write: the table's own; for pictures, arrays and frames, by the target's suffix."""
    if table.format in ENDS.values():
        return table.format
    return ENDS.get(target.suffix.lower(), "csv")


def _sink(rows: pl.LazyFrame, path: Path, kind: str) -> None:
    if kind == "parquet":
        rows.sink_parquet(path, engine="streaming")
    elif kind == "ipc":
        rows.sink_ipc(path, engine="streaming")
    elif kind == "jsonl":
        rows.sink_ndjson(path, engine="streaming")
    else:
        rows.sink_csv(path, separator="\t" if kind == "tsv" else ",", engine="streaming")
