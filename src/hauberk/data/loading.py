"""Loading: from a project's description of its data to the two sides of a split, or to a word on what is wrong."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Subject
from hauberk.core.extras import need
from hauberk.data import formats, tables
from hauberk.data.dataset import Dataset, Kind, Split
from hauberk.data.formats import Pictures, Table
from hauberk.data.splitting import sample_rows, split_rows

BUILT_IN = "sklearn:"
_BUILT_IN_IMAGES = {"digits": "load_digits"}
_BUILT_IN_TABLES = {"breast_cancer": "load_breast_cancer", "wine": "load_wine", "iris": "load_iris"}


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Which data, and how they are read.

    kind: "image" or "table". files: paths, or one of "sklearn:digits", "sklearn:breast_cancer", "sklearn:wine" and
    "sklearn:iris". test_files: the test side, when it has files of its own; else `test_share` of the rows. target:
    the column to predict. group: column (or npz key) whose rows stay on one side. drop: columns left out. labels:
    names of the classes 0, 1, ... of pictures. limit: at most this many rows on each side.
    """

    kind: Kind
    files: tuple[str, ...]
    test_files: tuple[str, ...] = ()
    target: str = ""
    group: str = ""
    test_share: float = 0.2
    drop: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    limit: int | None = None


def fingerprint(spec: DataSpec) -> tuple[Subject, ...]:
    """Return each file by name and SHA-256; a set that ships with scikit-learn by its name and that version."""
    found: dict[str, str] = {}
    for text in (*spec.files, *spec.test_files):
        if text.startswith(BUILT_IN):
            found[text] = canonical.digest([text, need("sklearn").__version__])
            continue
        path = Path(text)
        formats.check_there(path)
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        parts = [[p.relative_to(path).as_posix() if path.is_dir() else "", _digest(p)] for p in files]
        name = path.name
        while name in found:
            name += "'"
        found[name] = canonical.digest(parts) if path.is_dir() else parts[0][1]
    return tuple(Subject(name, digest) for name, digest in found.items())


def load(spec: DataSpec, *, seed: int) -> Split:
    """Read, code and split the data. Raises InvalidInput naming file, row or column and what to do about it.

    The same files, spec and seed give the same split.
    """
    rng = np.random.default_rng(seed)
    if spec.files[0].startswith(BUILT_IN):
        split = _built_in(spec, rng)
    elif spec.kind == "image":
        split = _images(spec, rng)
    else:
        split = _table(
            spec, _read_table(spec.files), _read_table(spec.test_files) if spec.test_files else None, rng
        )
    if spec.limit is not None:
        train, test = (side.take(sample_rows(side.y, spec.limit, rng)) for side in (split.train, split.test))
        return Split(train, test)
    return split


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _built_in(spec: DataSpec, rng: np.random.Generator) -> Split:
    name = spec.files[0].removeprefix(BUILT_IN)
    datasets = need("sklearn.datasets")
    if name in _BUILT_IN_IMAGES and spec.kind == "image":
        loaded = getattr(datasets, _BUILT_IN_IMAGES[name])()
        x = (loaded.images / 16.0).astype(np.float32)
        return _split_pictures(Pictures(x, loaded.target.astype(np.int64)), None, spec, rng)
    if name in _BUILT_IN_TABLES and spec.kind == "table":
        loaded = getattr(datasets, _BUILT_IN_TABLES[name])()
        frame = need("polars").DataFrame(np.asarray(loaded.data), schema=[str(f) for f in loaded.feature_names])
        names = [str(loaded.target_names[label]) for label in loaded.target]
        frame = frame.with_columns(need("polars").Series("target", names))
        return _table(spec, frame, None, rng, target=spec.target or "target")
    known = _BUILT_IN_IMAGES if spec.kind == "image" else _BUILT_IN_TABLES
    raise InvalidInput(
        f"{spec.files[0]!r} is no built-in {spec.kind} data; known: {', '.join(BUILT_IN + n for n in known)}."
    )


# -- pictures


def _images(spec: DataSpec, rng: np.random.Generator) -> Split:
    train = formats.pictures(tuple(map(Path, spec.files)), spec.group)
    test = formats.pictures(tuple(map(Path, spec.test_files)), spec.group) if spec.test_files else train.test
    return _split_pictures(train, test, spec, rng)


def _split_pictures(train: Pictures, test: Pictures | None, spec: DataSpec, rng: np.random.Generator) -> Split:
    sides = [train] if test is None else [train, test]
    labels = np.concatenate([side.labels for side in sides])
    classes, y = _classes(labels, spec.labels)
    x = np.concatenate([_pixels(side.x) for side in sides])
    groups = None
    if train.groups is not None:
        # The two sides of a data set may number their groups each from 0: a test group is another group.
        named = [
            np.array([f"{place}/{group}" for group in side.groups if side.groups is not None])
            for place, side in enumerate(sides)
            if side.groups is not None
        ]
        groups = np.unique(np.concatenate(named), return_inverse=True)[1].astype(np.int64)
    whole = Dataset("image", x, y, classes, (), np.arange(len(y)), groups)
    if test is None:
        return _cut(whole, split_rows(y, groups, spec.test_share, rng))
    ends = np.arange(len(train.labels)), np.arange(len(train.labels), len(y))
    return _cut(whole, ends)


def _pixels(x: NDArray[np.generic]) -> NDArray[np.float32]:
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] not in (1, 3)):
        raise InvalidInput(
            f"pictures have shape (n, height, width) or (n, height, width, 1 or 3), found {x.shape}."
        )
    if x.dtype == np.uint8:
        pixels = x.astype(np.float32) / np.float32(255)
    else:
        pixels = x.astype(np.float32)
        bad = np.flatnonzero(~((pixels >= 0) & (pixels <= 1)).reshape(len(pixels), -1).all(axis=1))
        if len(bad):
            raise InvalidInput(
                f"picture {bad[0]} holds NaN or values outside [0, 1]: store uint8, or scale to [0, 1]."
            )
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels)


# -- tables


def _read_table(files: tuple[str, ...]) -> Table:
    return formats.table(tuple(map(Path, files)))


def _table(
    spec: DataSpec, train: Table, test: Table | None, rng: np.random.Generator, *, target: str = ""
) -> Split:
    target = target or spec.target
    for name in spec.drop:
        tables.check_name(train, name, "drop")
    if spec.group:
        tables.check_name(train, spec.group, "group")
    if test is not None and sorted(test.columns) != sorted(train.columns):
        raise InvalidInput("the test files have other columns than the training files.")
    frame = (
        train
        if test is None
        else need("polars").concat([train, test.select(train.columns)], how="vertical_relaxed")
    )
    classes, y = _classes(tables.labels_of(frame, target), ())
    groups = None
    if spec.group:
        texts = np.array([str(value) for value in frame.get_column(spec.group).to_list()])
        groups = np.unique(texts, return_inverse=True)[1].astype(np.int64)
    if test is None:
        sides = split_rows(y, groups, spec.test_share, rng)
    else:
        sides = np.arange(train.height), np.arange(train.height, frame.height)
    names = [name for name in frame.columns if name not in (target, spec.group, *spec.drop)]
    if not names:
        raise InvalidInput("no column is left to predict from: drop fewer.")
    x, columns = tables.coded(frame, names, sides[0])
    return _cut(Dataset("table", x, y, classes, columns, np.arange(len(y)), groups), sides)


# -- both


def _classes(labels: NDArray[np.generic], names: tuple[str, ...]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the classes' names and each row's class. Numbers sort as numbers."""
    texts = np.array([str(label) for label in labels.tolist()])
    found = sorted(set(texts.tolist()), key=lambda text: (0, int(text), "") if text.isdigit() else (1, 0, text))
    if len(found) < 2:
        raise InvalidInput(f"every row has the class {found[0]!r}: a classifier needs two classes or more.")
    if names:
        if not all(text.isdigit() and int(text) < len(names) for text in found):
            raise InvalidInput(
                f"`labels` names {len(names)} classes, and the data have {', '.join(found[:10])} ...: name each, in order."
            )
        return names, np.array([int(text) for text in texts], dtype=np.int64)
    place = {text: index for index, text in enumerate(found)}
    return tuple(found), np.array([place[text] for text in texts], dtype=np.int64)


def _cut(whole: Dataset, sides: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Split:
    train, test = (whole.take(rows) for rows in sides)
    for label, name in enumerate(whole.classes):
        for side, data in (("training", train), ("test", test)):
            if not (data.y == label).any():
                raise InvalidInput(f"class {name!r} has no row on the {side} side: collect more, or leave it out.")
    return Split(train, test)
