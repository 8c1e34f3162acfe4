"""Loading: from a `DataSpec`, what a project declares about its data, to a `Split` of two data sets.

The way, each step refusing what the next could not trust: 1. name the files by digest; 2. read them, claims checked
against bytes (`formats`); 3. give values one meaning over both sides (`pixels`, `tables`, `targets`); 4. split by
class and group, or take the test side that is given; 5. sample down where a limit is set; 6. make sure that no file
changed while it was read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hauberk.core import canonical
from hauberk.core.columns import Column
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Subject
from hauberk.data.reading import formats, limits, pixels, splitting, tables, targets
from hauberk.data.reading.dataset import Dataset, Floats, Labels, Split
from hauberk.data.reading.formats import shipped
from hauberk.data.reading.raw import Locate, RawImages, RawTable, Read, Wanted

__all__ = ["DataSpec", "Split", "Whole", "fingerprint", "load", "load_whole"]


@dataclass(frozen=True, slots=True)
class DataSpec:
    """What a project declares about its data.

    files: paths of one side (several tables are read as one; an idx pair is two), or one set that ships with
    scikit-learn ("sklearn:digits"). test_files: the other side; without them, and when the files hold no test side,
    `test_share` of the rows is split off. target, group: a column of a table or a key of an npz archive; "" for the
    format's own. drop: columns left out. labels: names of the classes in the order of their sorted values. limit:
    at most so many rows in all, class shares kept. size: side in pixels to which pictures in folders are resized.
    source: a column or an npz key that says who sent each row; it is kept beside the rows and never learned from.
    """

    kind: Literal["image", "table"]
    files: tuple[str, ...]
    test_files: tuple[str, ...] = ()
    target: str = ""
    group: str = ""
    test_share: float = 0.2
    drop: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    limit: int | None = None
    size: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """Every training row. locate: a place in `side.rows` to words that name it ("claims.csv row 17", a picture's file)."""

    side: Dataset
    locate: Locate
    files: tuple[Subject, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Both sides in one: x, labels, groups and sources of n rows, of which the first `train` are the training files'."""

    x: Floats
    labels: npt.NDArray[Any]
    groups: npt.NDArray[Any] | None
    columns: tuple[Column, ...]
    train: int
    own_test: bool
    locate: Locate
    sources: npt.NDArray[Any] | None = None


def load(spec: DataSpec, *, seed: int, ceiling: int = limits.CEILING) -> Split:
    """Return the training and the test side; the same spec, files and seed give the same digests.

    ceiling: the most bytes of decoded data of one side. Raises InvalidInput with file, row and column, and what to do.
    """
    _check(spec)
    subjects, states = fingerprint(spec), _states(spec)  # 1
    rows = _read(spec, ceiling)  # 2, 3
    y, classes = targets.to_classes(rows.labels, where=_target_name(spec), names=spec.labels)
    groups = (
        None if rows.groups is None else np.unique(rows.groups, return_inverse=True)[1].astype(np.int64).reshape(-1)
    )
    rng = np.random.default_rng(seed)
    if rows.own_test:  # 4
        train, test = np.arange(rows.train), np.arange(rows.train, len(y))
        _check_unseen(y, train, test, classes)
    else:
        train, test = splitting.split_rows(y, groups, share=spec.test_share, classes=classes, rng=rng)
    if spec.limit is not None:  # 5
        part = min(1.0, spec.limit / len(y))
        train, test = (side[splitting.sample_rows(y[side], _part(side, part), rng=rng)] for side in (train, test))
    columns = tables.with_ranges(rows.columns, rows.x[train]) if rows.columns else ()
    if _states(spec) != states:  # 6
        raise InvalidInput("a data file changed while it was being read. Run the same command again.")
    number = np.arange(len(y))
    if rows.own_test:
        number[rows.train :] -= rows.train

    def side(chosen: Labels) -> Dataset:
        return Dataset(
            spec.kind,
            rows.x[chosen],
            y[chosen],
            classes,
            columns,
            number[chosen],
            None if groups is None else groups[chosen],
            None if rows.sources is None else rows.sources[chosen],
        )

    return Split(side(train), side(test), subjects)


def load_whole(spec: DataSpec, *, seed: int = 0, ceiling: int = limits.CEILING) -> Whole:
    """Return every training row, none split off: for who looks at rows and trains nothing.

    A test side that the files hold is left aside. seed: of the sample, where a limit is set. Raises as `load` does, but
    for classes with too few rows to be on two sides.
    """
    _check(spec)
    subjects, states = fingerprint(spec), _states(spec)
    rows = _read(spec, ceiling)
    chosen = np.arange(rows.train)
    y, classes = targets.to_classes(rows.labels[chosen], where=_target_name(spec), names=spec.labels)
    if spec.limit is not None:
        chosen = splitting.sample_rows(y, spec.limit, rng=np.random.default_rng(seed))
    if _states(spec) != states:
        raise InvalidInput("a data file changed while it was being read. Run the same command again.")
    columns = tables.with_ranges(rows.columns, rows.x[chosen]) if rows.columns else ()
    groups = None
    if rows.groups is not None:
        groups = np.unique(rows.groups, return_inverse=True)[1].astype(np.int64).reshape(-1)[chosen]
    sources = None if rows.sources is None else rows.sources[chosen]
    side = Dataset(spec.kind, rows.x[chosen], y[chosen], classes, columns, chosen, groups, sources)
    return Whole(side, rows.locate, subjects)


def fingerprint(spec: DataSpec) -> tuple[Subject, ...]:
    """Return name and SHA-256 of each of `files` and `test_files`, in their order.

    A folder has the digest of the canonical list of its files' relative names and digests. Names are unique: where
    two files are called alike, their folders' names are put before. Raises InvalidInput for a file that is absent.
    """
    names = [*spec.files, *spec.test_files]
    short = Counter(Path(name).name for name in names)
    found: list[Subject] = []
    for index, name in enumerate(names):
        if name.startswith(shipped.PREFIX):
            found.append(shipped.subject(name))
            continue
        path = Path(name)
        label = path.name if short[path.name] == 1 else f"{index}-{path.parent.name}-{path.name}"
        found.append(Subject(label, _digest(path)))
    return tuple(found)


def _digest(path: Path) -> str:
    if path.is_dir():
        listed = {str(file.relative_to(path)): _digest(file) for file in sorted(path.rglob("*")) if file.is_file()}
        return canonical.digest(listed)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(
            f"cannot read {path}: {error.strerror or error}. Check the path and its rights."
        ) from error


def _states(spec: DataSpec) -> list[tuple[int, int, int]]:
    paths = [Path(name) for name in (*spec.files, *spec.test_files) if not name.startswith(shipped.PREFIX)]
    stats = [path.stat() for path in paths]
    return [(stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]


def _check(spec: DataSpec) -> None:
    if not spec.files:
        raise InvalidInput("no data files are named.")
    named = [name for name in (*spec.files, *spec.test_files) if name.startswith(shipped.PREFIX)]
    if named and (len(spec.files) > 1 or spec.test_files):
        raise InvalidInput(f"{named[0]} is a whole set: name it alone, without other files.")
    if named and shipped.kind_of(named[0]) != spec.kind:
        raise InvalidInput(
            f'{named[0]} holds {shipped.kind_of(named[0])} data, and kind = "{spec.kind}" was declared.'
        )


def _read(spec: DataSpec, ceiling: int) -> _Rows:
    if spec.files[0].startswith(shipped.PREFIX):
        found = shipped.read(spec.files[0])
    else:
        wanted = Wanted(spec.kind, spec.target, spec.group, spec.size, ceiling, spec.source)
        found = formats.read([Path(name) for name in spec.files], wanted)
        if spec.test_files:
            found = _with_test(found, formats.read([Path(name) for name in spec.test_files], wanted), spec)
    train, test = found.train, found.test
    for raw in (train, test):
        kind = None if raw is None else "image" if isinstance(raw, RawImages) else "table"
        if raw is not None and kind != spec.kind:
            raise InvalidInput(
                f'{raw.name} holds {kind} data, and kind = "{spec.kind}" was declared. Declare kind = "{kind}".'
            )
    if isinstance(train, RawTable):
        assert not isinstance(test, RawImages)
        return _table(train, test, spec, ceiling)
    assert not isinstance(test, RawTable)
    return _images(train, test, spec, ceiling)


def _with_test(files: Read, test_files: Read, spec: DataSpec) -> Read:
    if files.test is not None or test_files.test is not None:
        raise InvalidInput(
            f"{spec.files[0]} or {spec.test_files[0]} holds a test side already: leave out the test files."
        )
    return Read(files.train, test_files.train)


def _table(train: RawTable, test: RawTable | None, spec: DataSpec, ceiling: int) -> _Rows:
    # The names are the file's where the declaration is silent, and those of an npz key are fixed columns here.
    target, group = train.target or spec.target, train.group or spec.group
    found = tables.encode(
        train, test, target=target, group=group, drop=spec.drop, source=train.sender or spec.source, ceiling=ceiling
    )
    return _Rows(
        found.x,
        found.labels,
        found.groups,
        found.columns,
        train.frame.height,
        test is not None,
        train.locate,
        found.sources,
    )


def _images(train: RawImages, test: RawImages | None, spec: DataSpec, ceiling: int) -> _Rows:
    if spec.drop:
        raise InvalidInput("pictures have no columns to drop: leave out `drop`.")
    sides = [train] if test is None else [train, test]
    floats = [pixels.to_floats(side, ceiling=ceiling) for side in sides]
    if floats[-1].shape[1:] != floats[0].shape[1:]:
        raise InvalidInput(
            f"{sides[-1].name} holds pictures of (channels, height, width) {floats[-1].shape[1:]} and {sides[0].name} of "
            f"{floats[0].shape[1:]}: both sides need one size."
        )
    if any(side.groups is None for side in sides):
        groups = None
    else:
        groups = np.concatenate([side.groups for side in sides if side.groups is not None])
    if spec.group and groups is None:
        raise InvalidInput(f"{train.name} has no groups named {spec.group!r}: leave out `group`.")
    labels = np.concatenate([side.labels for side in sides])
    if spec.source and train.senders is None:
        raise InvalidInput(
            f"{train.name} does not say who sent each picture ({spec.source!r}): leave out `source`."
        )
    sources = None
    if train.senders is not None:
        told = [side.senders if side.senders is not None else np.full(len(side.labels), "") for side in sides]
        sources = np.concatenate([one.astype(str) for one in told])
    return _Rows(
        np.concatenate(floats), labels, groups, (), len(floats[0]), test is not None, train.locate, sources
    )


def _check_unseen(y: Labels, train: Labels, test: Labels, classes: Sequence[str]) -> None:
    unseen = np.setdiff1d(y[test], y[train])
    if len(unseen):
        rows = test[np.isin(y[test], unseen)] - len(train)
        names = ", ".join(repr(classes[label]) for label in unseen[:5])
        raise InvalidInput(
            f"{len(rows)} test rows (first: row {rows[0]}) are of {len(unseen)} classes that no training row has: {names}. "
            "A model cannot know them: add such rows to the training files, or remove them from the test files."
        )


def _part(side: Labels, part: float) -> int:
    return max(1, round(len(side) * part))


def _target_name(spec: DataSpec) -> str:
    name = f"target {spec.target!r}" if spec.target else "the target"
    return f"{name} of {', '.join(Path(file).name for file in spec.files)}"
