"""Write a repair: the kept rows to one file, the quarantined rows with their reasons to another; sources stay unchanged.

Tables are written as Parquet, CSV or JSON Lines with the values and columns of the source files; pictures as an npz
archive. Both files are written under temporary names, read back and counted, and only then renamed, so that a failure
leaves either both or neither, and no row is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hauberk.core import outputs
from hauberk.core.disk import explain
from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.core.extras import need
from hauberk.data.poison.repair import Repair
from hauberk.data.poison.screening import Screening
from hauberk.data.reading import formats, limits
from hauberk.data.reading.formats import shipped
from hauberk.data.reading.loading import DataSpec
from hauberk.data.reading.raw import RawImages, RawTable, Wanted

if TYPE_CHECKING:
    import polars as pl

_TABLE = (".parquet", ".csv", ".jsonl")
_IMAGE = (".npz",)
PREFIX = "hauberk_"  # of the columns and keys that a repair adds


@dataclass(frozen=True, slots=True)
class Written:
    """Numbers of written rows; clean and quarantined add up to rows, and relabelled rows are among the clean."""

    rows: int
    clean: int
    quarantined: int
    relabelled: int


def write_repaired(
    spec: DataSpec, screening: Screening, repair: Repair, *, clean: Path, quarantine: Path
) -> Written:
    """Write kept rows to `clean` and quarantined rows to `quarantine`; the files of `spec` are only read.

    spec: the files whose rows were screened, all of them, in order. `clean` holds relabelled rows with their new label; it
    has the columns `hauberk_relabelled_from` and `hauberk_reason` (npz: keys) only if a row was relabelled.
    Raises InvalidInput if a path exists or is a source, if both paths are the same, if a suffix does not fit the data, or if
    the files hold another number of rows than was screened; Unavailable if writing fails. After an error neither file is
    there.
    """
    raw = _raw(spec)
    known = _TABLE if isinstance(raw, RawTable) else _IMAGE
    _check_paths(spec, clean, quarantine, known)
    count = raw.frame.height if isinstance(raw, RawTable) else len(raw.x)
    if count != len(repair.labels):
        raise InvalidInput(
            f"{raw.name} holds {count} rows and {len(repair.labels)} were screened: run the command again, without a limit."
        )
    aside = np.flatnonzero(repair.quarantined)
    if isinstance(raw, RawTable):
        writers = _table_writers(raw, spec, screening, repair, aside)
    else:
        writers = _image_writers(raw, spec, screening, repair, aside)
    _write_both([(clean, writers[0], len(repair.kept)), (quarantine, writers[1], len(aside))])
    return Written(count, len(repair.kept), len(aside), int(repair.relabelled.sum()))


def _raw(spec: DataSpec) -> RawTable | RawImages:
    if spec.files[0].startswith(shipped.PREFIX):
        return shipped.read(spec.files[0]).train
    wanted = Wanted(spec.kind, spec.target, spec.group, spec.size, limits.CEILING, spec.source)
    return formats.read([Path(name) for name in spec.files], wanted).train


def _check_paths(spec: DataSpec, clean: Path, quarantine: Path, known: tuple[str, ...]) -> None:
    if clean.resolve() == quarantine.resolve():
        raise InvalidInput(f"clean and quarantined rows would both be written to {clean}: name two files.")
    sources = {Path(name).resolve() for name in spec.files}
    for path in (clean, quarantine):
        if path.resolve() in sources:
            raise InvalidInput(
                f"{path} is one of the source files, which are never overwritten: choose another name."
            )
        if outputs.resolve(path).mode is not None:
            raise InvalidInput(f"{path} exists and would be overwritten: remove it, or choose another name.")
        if path.suffix.lower() not in known:
            raise InvalidInput(
                f"{path} ends with {path.suffix!r}: choose one of {', '.join(known)} for these data."
            )


def _notes(screening: Screening, repair: Repair, rows: npt.NDArray[np.int64]) -> dict[str, list[Any]]:
    suggested = screening.suggested[rows]
    return {
        f"{PREFIX}row": rows.tolist(),
        f"{PREFIX}score": [round(float(value), 4) for value in screening.scores[rows]],
        f"{PREFIX}detector": [str(name) for name in screening.detectors[rows]],
        f"{PREFIX}suggested": [screening.classes[label] if label >= 0 else "" for label in suggested],
        f"{PREFIX}reason": [repair.reasons.get(int(row), "") for row in rows],
    }


def _own_values(labels: npt.NDArray[Any], repair: Repair, screened: npt.NDArray[np.int64]) -> list[Any]:
    """Return the new label of each relabelled row as the source file writes that class. screened: (n,) codes of `labels`."""
    value_of = {
        int(code): labels[index] for code, index in zip(*np.unique(screened, return_index=True), strict=True)
    }
    return [value_of[int(repair.labels[row])] for row in np.flatnonzero(repair.relabelled)]


def _table_writers(
    raw: RawTable, spec: DataSpec, screening: Screening, repair: Repair, aside: npt.NDArray[np.int64]
) -> list[Callable[[Path], int]]:
    polars = need("polars")
    target = raw.target or spec.target
    clash = [name for name in raw.frame.columns if name.startswith(PREFIX)]
    if clash:
        raise InvalidInput(
            f"{raw.name} has a column {clash[0]!r}, whose prefix a repair uses for its own columns: drop or rename it."
        )
    frame = raw.frame
    fresh = np.flatnonzero(repair.relabelled)
    if len(fresh):
        column = frame[target]
        before = column.to_list()
        values = _own_values(np.array(before, dtype=object), repair, _codes(before))
        after = list(before)
        for row, value in zip(fresh, values, strict=True):
            after[row] = value
        why = _spread(len(before), fresh, [repair.reasons.get(int(row), "") for row in fresh])
        old = polars.Series(
            f"{PREFIX}relabelled_from", _spread(len(before), fresh, [before[row] for row in fresh]), column.dtype
        )
        frame = frame.with_columns(
            polars.Series(target, after, dtype=column.dtype),
            old,
            polars.Series(f"{PREFIX}reason", why, polars.String),
        )
    notes = polars.DataFrame(
        _notes(screening, repair, aside),
        schema={
            f"{PREFIX}row": polars.Int64,
            f"{PREFIX}score": polars.Float64,
            f"{PREFIX}detector": polars.String,
            f"{PREFIX}suggested": polars.String,
            f"{PREFIX}reason": polars.String,
        },
    )
    kept = frame[repair.kept.tolist()]
    bad = polars.concat([raw.frame[aside.tolist()], notes], how="horizontal")
    return [lambda path: _write_table(kept, path), lambda path: _write_table(bad, path)]


def _codes(values: list[Any]) -> npt.NDArray[np.int64]:
    return np.unique(np.array(values), return_inverse=True)[1].astype(np.int64).reshape(-1)


def _spread(count: int, rows: npt.NDArray[np.int64], values: list[Any]) -> list[Any]:
    """Return a list of `count` values: `values` at `rows`, None elsewhere."""
    spread: list[Any] = [None] * count
    for row, value in zip(rows, values, strict=True):
        spread[row] = value
    return spread


def _write_table(frame: pl.DataFrame, path: Path) -> int:
    polars = need("polars")
    if path.suffix.lower() == ".parquet":
        frame.write_parquet(path)
        return int(polars.scan_parquet(path).select(polars.len()).collect().item())
    if path.suffix.lower() == ".csv":
        frame.write_csv(path)
        return int(polars.read_csv(path, infer_schema=False).height)
    frame.write_ndjson(path)
    return path.read_bytes().count(b"\n")


def _image_writers(
    raw: RawImages, spec: DataSpec, screening: Screening, repair: Repair, aside: npt.NDArray[np.int64]
) -> list[Callable[[Path], int]]:
    label = spec.target or "y"
    labels = np.asarray(raw.labels)
    fresh = np.flatnonzero(repair.relabelled)
    after = labels.copy()
    extra: dict[str, npt.NDArray[Any]] = {}
    if len(fresh):
        after[fresh] = _own_values(labels, repair, _codes(labels.tolist()))
        extra[f"{PREFIX}relabelled"] = repair.relabelled[repair.kept]
        extra[f"{PREFIX}relabelled_from"] = labels[repair.kept]

    def arrays(rows: npt.NDArray[np.int64], y: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        chosen = {"x": raw.x[rows], label: y[rows]}
        if raw.groups is not None:
            # The groups as read: tracks that are numbered within each class have been made unique.
            chosen[spec.group or "group"] = raw.groups[rows]
        if raw.senders is not None:
            chosen[spec.source] = raw.senders[rows]
        return chosen

    kept = arrays(repair.kept, after) | extra
    notes = {name: np.array(values) for name, values in _notes(screening, repair, aside).items()}
    bad = arrays(aside, labels) | notes
    return [lambda path: _write_npz(kept, path), lambda path: _write_npz(bad, path)]


def _write_npz(arrays: dict[str, npt.NDArray[Any]], path: Path) -> int:
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    with np.load(path, allow_pickle=False) as archive:
        return len(archive["x"])


def _write_both(files: list[tuple[Path, Callable[[Path], int], int]]) -> None:
    with outputs.drafts([path for path, _, _ in files]) as drafts:
        for draft, (path, write, expected) in zip(drafts, files, strict=True):
            try:
                count = write(draft)
            except OSError as error:
                raise explain(error, path) from error
            if count != expected:
                raise Unavailable(
                    f"{path} should hold {expected} rows and {count} were read back: run the command again."
                )
