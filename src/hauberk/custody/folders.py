"""The files of a folder that are sealed or rewrapped, in a stable order; links are not followed, hidden files are skipped."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from hauberk.core.errors import InvalidInput
from hauberk.custody._envelope import MAGIC

# A release names its files by digest under a signature, as does the artifact store (hidden, in `.hauberk`). Rewrapping a
# sealed file changes its digest, so these files are left unchanged.
_RELEASE = ("manifest.json", "checkpoint")


def files_of(folder: Path) -> Iterator[Path]:
    """Yield every regular file below a folder, sorted, without links and names that begin with a dot.

    Raises InvalidInput if a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise InvalidInput(f"cannot read the folder {error.filename}: {error.strerror}.") from error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path


def others_of(folder: Path, files: Collection[Path]) -> list[Path]:
    """Return the sorted paths below a folder that are not among `files`: hidden files and links too."""
    known = set(files)
    found = []
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        found += [Path(place) / name for name in (*names, *links)]
    return sorted(path for path in found if path not in known)


def is_release(folder: Path) -> bool:
    """Whether a folder is a signed release: it has the files that every release has."""
    return all((folder / name).is_file() for name in _RELEASE)


def in_release(path: Path, root: Path) -> bool:
    """Whether a file below `root` is part of a signed release."""
    return any(is_release(parent) for parent in path.parents if parent == root or root in parent.parents)


def is_sealed(path: Path) -> bool:
    """Whether a file begins as sealed files of any version do. Raises InvalidInput if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC))[:15] == MAGIC[:15]
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror or error}.") from error


def sealed_files(paths: tuple[Path, ...]) -> tuple[list[Path], list[Path]]:
    """Return the sealed files among files and folders, and the ones that must not change because a release signs them.

    Raises InvalidInput for a path that does not exist, and for a named file that is not sealed.
    """
    found: dict[Path, None] = {}
    kept: list[Path] = []
    for path in paths:
        if path.is_dir():
            for file in files_of(path):
                if is_sealed(file):
                    (kept.append(file) if in_release(file, path) else found.setdefault(file))
        elif not path.is_file():
            raise InvalidInput(f"there is no file or folder {path}. Check the path.")
        elif not is_sealed(path):
            raise InvalidInput(f"{path} is not a sealed file. Name sealed files, or folders that hold some.")
        else:
            found.setdefault(path)
    return list(found), kept
