"""Loading: turns a `DataSpec`, a project's declaration of its data, into a `Split` of two data sets.

Steps: 1. compute the files' digests; 2. read them, with claimed sizes checked (`formats`); 3. convert values to numbers with
the same meaning on both sides (`pixels`, `tables`, `targets`); 4. split by class and group, or use the given test side;
5. sample rows if a limit is set; 6. check that no file changed meanwhile. Each step refuses what the next one could not
handle.
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
    """A project's declaration of its data.

    files: paths of one side (several tables are read as one; an idx pair is two files), or one set that ships with
    scikit-learn ("sklearn:digits"). test_files: the test side; without it, and if the files hold no test side,
    `test_share` of the rows, in (0, 1), is split off. target, group: a column of a table or a key of an npz archive; "" for
    the format's default. drop: columns to leave out. labels: class names in the order of the sorted label values. limit:
    maximum number of rows in all, sampled with the class shares kept. size: side in pixels to which pictures in folders are
    resized. source: a column or an npz key with the sender of each row; it is never a feature.
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
    """All training rows. locate: maps a number in `side.rows` to words ("claims.csv, row 17", or a picture's file)."""

    side: Dataset
    locate: Locate
    files: tuple[Subject, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Both sides together: n rows, the first `train` of which are from the training files. own_test: the rest is a test side."""

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

    seed: of the split and of sampling. ceiling: largest size in bytes of one side's decoded data. Raises InvalidInput with
    file, row and column, and what to do.
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
    """Return all training rows without splitting off a test side, for checks that train no model.

    A test side inside the files is ignored. seed: of sampling, if a limit is set. Raises InvalidInput as `load` does, except
    for classes with too few rows to split.
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

    A folder's digest is that of the canonical list of its files' relative names and digests. Names are unique: files with
    the same name get an index and their folder's name as a prefix. Raises InvalidInput for an absent file.
    """
    names = [*spec.files, *spec.test_files]
    short = Counter(Path(name).name for name in names)
    subjects: list[Subject] = []
    for index, name in enumerate(names):
        if name.startswith(shipped.PREFIX):
            subjects.append(shipped.subject(name))
            continue
        path = Path(name)
        label = path.name if short[path.name] == 1 else f"{index}-{path.parent.name}-{path.name}"
        subjects.append(Subject(label, _digest(path)))
    return tuple(subjects)


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
        raise InvalidInput("no data files are named: set `files` to at least one path.")
    named = [name for name in (*spec.files, *spec.test_files) if name.startswith(shipped.PREFIX)]
    if named and (len(spec.files) > 1 or spec.test_files):
        raise InvalidInput(f"{named[0]} is a complete set: name it alone, without other files.")
    if named and shipped.kind_of(named[0]) != spec.kind:
        raise InvalidInput(
            f'{named[0]} holds {shipped.kind_of(named[0])} data and kind = "{spec.kind}" is declared: change the kind.'
        )


def _read(spec: DataSpec, ceiling: int) -> _Rows:
    if spec.files[0].startswith(shipped.PREFIX):
        read = shipped.read(spec.files[0])
    else:
        wanted = Wanted(spec.kind, spec.target, spec.group, spec.size, ceiling, spec.source)
        read = formats.read([Path(name) for name in spec.files], wanted)
        if spec.test_files:
            read = _with_test(read, formats.read([Path(name) for name in spec.test_files], wanted), spec)
    train, test = read.train, read.test
    for raw in (train, test):
        kind = None if raw is None else "image" if isinstance(raw, RawImages) else "table"
        if raw is not None and kind != spec.kind:
            raise InvalidInput(
                f'{raw.name} holds {kind} data and kind = "{spec.kind}" is declared: declare kind = "{kind}".'
            )
    if isinstance(train, RawTable):
        assert not isinstance(test, RawImages)
        return _table(train, test, spec, ceiling)
    assert not isinstance(test, RawTable)
    return _images(train, test, spec, ceiling)


def _with_test(files: Read, test_files: Read, spec: DataSpec) -> Read:
    if files.test is not None or test_files.test is not None:
        raise InvalidInput(
            f"{spec.files[0]} or {spec.test_files[0]} already holds a test side: leave out the test files."
        )
    return Read(files.train, test_files.train)


def _table(train: RawTable, test: RawTable | None, spec: DataSpec, ceiling: int) -> _Rows:
    # A reader that sets its own column names (npz, shipped sets) takes precedence over the declaration.
    target, group = train.target or spec.target, train.group or spec.group
    encoded = tables.encode(
        train, test, target=target, group=group, drop=spec.drop, source=train.sender or spec.source, ceiling=ceiling
    )
    return _Rows(
        encoded.x,
        encoded.labels,
        encoded.groups,
        encoded.columns,
        train.frame.height,
        test is not None,
        train.locate,
        encoded.sources,
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
        raise InvalidInput(f"{train.name} has no sources named {spec.source!r}: leave out `source`.")
    sources = None
    if train.senders is not None:
        senders = [side.senders if side.senders is not None else np.full(len(side.labels), "") for side in sides]
        sources = np.concatenate([one.astype(str) for one in senders])
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
            "A model cannot learn them: add such rows to the training files, or remove them from the test files."
        )


def _part(side: Labels, part: float) -> int:
    return max(1, round(len(side) * part))


def _target_name(spec: DataSpec) -> str:
    name = f"target {spec.target!r}" if spec.target else "the target"
    return f"{name} of {', '.join(Path(file).name for file in spec.files)}"
