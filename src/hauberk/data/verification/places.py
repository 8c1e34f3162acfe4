"""The files that a place names: one file, a pattern, a folder of partitions, or a URL of any fsspec target.

Remote files are copied to a temporary folder once and read from there, so that all targets behave alike, nothing is
fetched twice, and all passes see the same bytes.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

from hauberk.core.errors import HauberkError, InvalidInput, Unavailable

_CHUNK = 8 << 20
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Part:
    """One file: its name for people, its path on this disk, and its hive keys (`year=2024` in a folder's name)."""

    name: str
    path: Path
    keys: tuple[tuple[str, str | None], ...] = ()


@contextmanager
def found(place: str) -> Iterator[tuple[Part, ...]]:
    """Yield the files of a place in the order of their names; copies of remote files exist while the block runs.

    Raises InvalidInput if there is no file, Unavailable if a remote target does not answer.
    """
    if not place.strip():
        raise InvalidInput(
            "the name is empty: expected a file, a pattern such as 'part-*.parquet', a folder, or a URL."
        )
    if "://" in place and not place.startswith("file://"):
        with TemporaryDirectory(prefix="hauberk-") as folder:
            yield _fetched(place, Path(folder))
        return
    yield _local(place.removeprefix("file://"))


def state(path: Path) -> tuple[int, int, int]:
    """Return (size in bytes, modification time in ns, inode), which are compared before and after reading."""
    try:
        seen = path.stat()
    except OSError as error:
        raise InvalidInput(
            f"cannot read {path}: {error.strerror or error}. Check the path and its rights."
        ) from error
    return seen.st_size, seen.st_mtime_ns, seen.st_ino


def _local(place: str) -> tuple[Part, ...]:
    path = Path(place)
    if path.is_file():
        return (Part(path.name, path, _keys(path.parent.parts)),)
    if path.is_dir():
        names = [Path(root) / name for root, _, files in os.walk(path) for name in files]
        parts = _parts(path, [name for name in names if not _hidden(name.relative_to(path))])
    else:
        matched = [Path(name) for name in glob.glob(place, recursive=True)]  # noqa: PTH207 - absolute patterns too
        root = Path(*path.parts[: next((at for at, part in enumerate(path.parts) if glob.has_magic(part)), -1)])
        parts = _parts(root, [name for name in matched if name.is_file()])
    if not parts and path.exists() and not path.is_dir():
        raise InvalidInput(f"{place} is a pipe or a device, which cannot be read twice: save it to a file first.")
    if not parts:
        raise InvalidInput(
            f"{place} holds no files: expected a file, a pattern such as 'part-*.parquet', or a folder."
        )
    return parts


def _parts(root: Path, paths: list[Path]) -> tuple[Part, ...]:
    return tuple(
        Part(path.relative_to(root).as_posix(), path, _keys(path.relative_to(root).parent.parts))
        for path in sorted(paths)
    )


def _hidden(path: Path) -> bool:
    # Writers of partitions put marker files with a leading underscore beside the data (_SUCCESS, _metadata).
    return any(part.startswith((".", "_")) and "=" not in part for part in path.parts)


def _keys(folders: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    """Return the hive keys in folder names: percent-decoded, and None for the value reserved for null."""
    pairs = [folder.partition("=") for folder in folders]
    return tuple(
        (unquote(key), None if value == _NULL_PARTITION else unquote(value))
        for key, sign, value in pairs
        if key and sign
    )


def _fetched(place: str, folder: Path) -> tuple[Part, ...]:
    """Copy the files that a URL names into `folder`. Raises InvalidInput if the target reports a change meanwhile."""
    import fsspec

    try:
        system: Any = fsspec.core.url_to_fs(place)[0]
        root = system._strip_protocol(place).rstrip("/")  # noqa: SLF001 - fsspec's own way to name a path
        names = sorted(system.glob(root) if glob.has_magic(root) else system.find(root))
        for name in names:
            before = _claims(system.info(name))
            target = folder / (
                os.path.relpath(name, root) if name != root and not glob.has_magic(root) else Path(name).name
            )
            if not target.resolve().is_relative_to(folder.resolve()):
                raise InvalidInput(f"{place} lists {name!r}, which lies outside it. Do not use this source.")
            target.parent.mkdir(parents=True, exist_ok=True)
            with system.open(name, "rb") as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy, _CHUNK)
            if _claims(system.info(name)) != before or target.stat().st_size != before[0]:
                raise InvalidInput(f"{name} changed while it was read. Read it again when its writer is done.")
    except HauberkError:
        raise
    except ImportError as error:
        raise Unavailable(f"{place} needs a library that is not installed: {error}.") from error
    except (FileNotFoundError, ValueError) as error:
        raise InvalidInput(f"there is nothing to read at {place}: {error}. Check the URL.") from error
    except Exception as error:  # each fsspec target raises its own exceptions
        raise Unavailable(f"{place} does not answer: {type(error).__name__}: {error}.") from error
    if not names:
        raise InvalidInput(f"there is nothing to read at {place}. Check the URL.")
    return _local(str(folder))


def _claims(info: dict[str, Any]) -> tuple[int, tuple[str, ...]]:
    marks = ("ETag", "etag", "md5", "mtime", "LastModified", "created")
    return int(info.get("size") or 0), tuple(str(info[mark]) for mark in marks if mark in info)
