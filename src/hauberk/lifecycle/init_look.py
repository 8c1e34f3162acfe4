"""A look at data that nobody has described yet: what kind they are, what is predicted, and what is in them.

Guesses are few and said aloud: a kind by the files' form, a target by its name or its place, a group by its name.
Everything else is measured on the loaded rows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.data.inspection import inspect
from hauberk.data.loading import DataSpec, load
from hauberk.lifecycle.init_text import Seen
from hauberk.lifecycle.project.data import BUILT_IN
from hauberk.lifecycle.project.reading import suggestion

if TYPE_CHECKING:
    import polars as pl

_TARGETS = ("target", "label", "class", "y", "outcome", "income", "risk", "diagnosis", "fraud", "churn", "default")
_GROUPS = ("group", "track", "patient", "patient_id", "client", "client_id", "customer_id", "subject_id", "user_id")
_PICTURES = ("digits",)
_MANY = 50  # a column with more values than this is no class by its look


def look(
    files: Sequence[str],
    test_files: Sequence[str],
    *,
    folder: Path,
    target: str | None = None,
    kind: str | None = None,
) -> Seen:
    """Return what is in the data, read once as `hauberk protect` would read them.

    Raises InvalidInput when the files cannot be read, and when the target is neither given nor plain to see.
    """
    paths, tests = [_absolute(name) for name in files], [_absolute(name) for name in test_files]
    for path in (*paths, *tests):
        if not path.startswith(BUILT_IN) and not Path(path).exists():
            raise InvalidInput(f"there is no file {path}. Name the data with --data.")
    chosen = kind or _kind(paths[0])
    notes: list[str] = []
    group = ""
    drop: tuple[str, ...] = ()
    if chosen == "table" and not paths[0].startswith(BUILT_IN):
        target, group = _roles(paths[0], target, notes)
        drop = inspect(paths, kind="table", target=target, group=group).drop
        if drop:
            notes.append(
                f"left out, because rows have no value there: {', '.join(drop)}. Fill them in to use them."
            )
    spec = DataSpec(
        kind="image" if chosen == "image" else "table",
        files=tuple(paths),
        test_files=tuple(tests),
        target=target or "",
        group=group,
        drop=drop,
    )
    split = load(spec, seed=0)
    labels = np.concatenate([split.train.y, split.test.y])
    counts = np.bincount(labels, minlength=len(split.train.classes))
    return Seen(
        kind=split.train.kind,
        files=tuple(written(path, folder) for path in paths),
        test_files=tuple(written(path, folder) for path in tests),
        rows=len(labels),
        classes=split.train.classes,
        majority=float(counts.max() / counts.sum()),
        target=target or "",
        group=group,
        shape=tuple(split.train.x.shape[1:]) if split.train.kind == "image" else (),
        columns=split.train.columns,
        drop=drop,
        notes=tuple(notes),
    )


def written(text: str, folder: Path) -> str:
    """Return a data file as the project file names it: so that the project can be moved, where that is possible."""
    if text.startswith(BUILT_IN):
        return text
    path, home = Path(text), folder.absolute()
    if path.is_relative_to(home):
        return path.relative_to(home).as_posix()
    shared = os.environ.get("HAUBERK_DATA")
    if shared and path.is_relative_to(Path(shared).absolute()):
        return "$HAUBERK_DATA/" + path.relative_to(Path(shared).absolute()).as_posix()
    return path.as_posix()


def _absolute(text: str) -> str:
    return text if text.startswith(BUILT_IN) else str(Path(text).expanduser().absolute())


def _kind(path: str) -> str:
    if path.startswith(BUILT_IN):
        return "image" if path.removeprefix(BUILT_IN) in _PICTURES else "table"
    name = Path(path).name.removesuffix(".gz")
    return "table" if name.endswith((".parquet", ".csv", ".tsv")) else "image"


def _roles(path: str, target: str | None, notes: list[str]) -> tuple[str, str]:
    """Return target and group of a table by the names of its columns, and how many values they have."""
    names = column_names(path)
    if target is not None and target not in names:
        advice = suggestion(target, names, word="The data have")
        raise InvalidInput(f"--target: {path} has no column {target!r}; {advice}")
    by_name = [name for wanted in _TARGETS for name in names if name.lower() == wanted]
    if target is None and by_name:
        target = by_name[0]
        notes.append(f"target {target!r} was chosen by its name: change it if another column is predicted.")
    elif target is None and names and _values(path, names[-1]) <= _MANY:
        target = names[-1]
        notes.append(f"target {target!r} was chosen because it is the last column and has few values.")
    if target is None:
        raise InvalidInput(f"which column is predicted? Name it with --target. {path} has: {', '.join(names)}.")
    groups = [name for wanted in _GROUPS for name in names if name.lower() == wanted and name != target]
    if groups:
        notes.append(f"group {groups[0]!r} was chosen by its name: rows that share its value stay on one side.")
    return target, groups[0] if groups else ""


def column_names(path: str) -> list[str]:
    """Return the names of a table's columns, reading no more than its head. Raises InvalidInput."""
    try:
        return list(_scan(path).collect_schema().names())
    except need("polars").exceptions.PolarsError as error:
        first = str(error).split("\n", maxsplit=1)[0]
        raise InvalidInput(
            f"cannot read {path} as a table: {first}. It may be empty, cut off or damaged."
        ) from error


def _values(path: str, name: str) -> int:
    return int(_scan(path).select(need("polars").col(name).n_unique()).collect().item())


def _scan(path: str) -> pl.LazyFrame:
    polars = need("polars")
    scanned: pl.LazyFrame = polars.scan_parquet(path) if path.endswith(".parquet") else polars.scan_csv(path)
    return scanned
