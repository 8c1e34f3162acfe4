"""Inspect undescribed data: their kind, the target, and their content.

Guesses are few and reported: the kind from the file format, and for a table the proposal of `data.reading.inspection`.
Everything else is measured on the loaded rows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.inspection import Guess, inspect
from hauberk.data.reading.loading import DataSpec, load
from hauberk.project.data import BUILT_IN
from hauberk.project.problems import suggestion
from hauberk.project.starting.text import Seen

_PICTURES = ("digits",)


def look(
    files: Sequence[str],
    test_files: Sequence[str],
    *,
    folder: Path,
    target: str | None = None,
    kind: str | None = None,
) -> Seen:
    """Return a description of the data, loaded once as `hauberk protect` loads them.

    Raises InvalidInput when the files cannot be read, and when the target is neither given nor evident.
    """
    paths, tests = [_absolute(name) for name in files], [_absolute(name) for name in test_files]
    for path in (*paths, *tests):
        if not path.startswith(BUILT_IN) and not Path(path).exists():
            raise InvalidInput(f"there is no file {path}. Name the data with --data.")
    chosen = kind or _kind(paths, target or "")
    guess = _proposed(paths, target) if _has_columns(paths[0], chosen) else None
    key = (
        "y" if chosen == "table" and paths[0].endswith(".npz") else ""
    )  # an archive's labels, unless another is named
    spec = DataSpec(
        kind="image" if chosen == "image" else "table",
        files=tuple(paths),
        test_files=tuple(tests),
        target=guess.target if guess else target or key,
        group=guess.group if guess else "",
        drop=guess.drop if guess else (),
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
        target=spec.target,
        group=spec.group,
        shape=tuple(split.train.x.shape[1:]) if split.train.kind == "image" else (),
        columns=split.train.columns,
        drop=spec.drop,
        notes=guess.notes if guess else (),
    )


def written(text: str, folder: Path) -> str:
    """Return the path of a data file for the project file: relative where possible, so that the project can be moved."""
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


def _kind(paths: Sequence[str], target: str) -> str:
    path = paths[0]
    if path.startswith(BUILT_IN):
        return "image" if path.removeprefix(BUILT_IN) in _PICTURES else "table"
    name = Path(path).name.removesuffix(".gz")
    if name.endswith((".parquet", ".csv", ".tsv")):
        return "table"
    return inspect(paths, target=target).kind if name.endswith(".npz") else "image"  # an archive holds either


def _has_columns(path: str, kind: str) -> bool:
    """Return whether the file names its columns, so that the target is one of them; an archive's target is a key."""
    return kind == "table" and not path.startswith(BUILT_IN) and not path.endswith(".npz")


def _proposed(paths: Sequence[str], target: str | None) -> Guess:
    """Return how to read a table, with the given target or an evident one."""
    guess = inspect(paths, kind="table", target=target or "")
    names = [column.name for column in guess.columns]
    if not guess.target:
        raise InvalidInput(f"which column is predicted? Name it with --target. {paths[0]} has: {', '.join(names)}.")
    if guess.target not in names:
        advice = suggestion(guess.target, names, word="The data have")
        raise InvalidInput(f"--target: {paths[0]} has no column {guess.target!r}; {advice}")
    return guess
