"""Seal and open what a user names: a file, a folder of files, or columns of a Parquet file.

First a plan (which file goes where), which asks for no key and no passphrase, so that a mistake costs nothing; then the
work on it, file by file. `sealing` and `parquet` do the work on one file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hauberk.core.errors import HauberkError, InvalidInput, NotProven
from hauberk.core.extras import need
from hauberk.core.progress import Part, Quiet, Task
from hauberk.custody import parquet
from hauberk.custody.folders import files_of, is_sealed, others_of, sealed_files
from hauberk.custody.keys.port import AES_256, KeyService
from hauberk.custody.sealing import read_header, seal_file, unseal_file

ENDING = ".sealed"

Refusal = Callable[[HauberkError, str, str | None], HauberkError]
"""From an error, the key's name and the file's SHA-256 (None for columns) to the error to raise."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One file and where it goes."""

    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Sealed:
    """One file that was sealed. sha256: of the sealed file, hex. plain_size: bytes before."""

    path: Path
    sha256: str
    plain_size: int


@dataclass(frozen=True, slots=True)
class Opened:
    """One file that was opened. key: the key's name; several, with commas, for columns. plain_size: bytes."""

    path: Path
    key: str
    plain_size: int


def plan_sealing(source: Path, output: Path | None = None) -> list[Pair]:
    """Return what to seal to where: a file, or every file of a folder that is neither hidden, a link nor sealed.

    output: the sealed file or folder; by default SOURCE.sealed. Raises InvalidInput when there is nothing to seal.
    """
    if source.is_file():
        return [Pair(source, output or source.with_name(source.name + ENDING))]
    if not source.is_dir():
        raise InvalidInput(f"there is no file {source}. Check the path.")
    folder = output or source.with_name(source.resolve().name + ENDING)
    files = [file for file in files_of(source) if not is_sealed(file) and folder not in file.parents]
    if not files:
        raise InvalidInput(f"the folder {source} holds no file to seal (hidden files and links are left out).")
    return [Pair(file, folder / file.relative_to(source).with_name(file.name + ENDING)) for file in files]


def plan_column_sealing(source: Path, output: Path | None = None) -> Pair:
    """Return where a Parquet file with sealed columns goes: by default NAME.sealed.parquet.

    Raises InvalidInput when there is no such file, MissingExtra without pyarrow.
    """
    need("pyarrow.parquet")
    if not source.is_file():
        raise InvalidInput(f"there is no file {source}. Check the path.")
    return Pair(source, output or source.with_name(f"{source.stem}{ENDING}{source.suffix}"))


def plan_opening(source: Path, output: Path | None = None) -> list[Pair]:
    """Return what to open to where: a sealed file, a Parquet file with sealed columns, or the sealed files of a folder.

    Raises InvalidInput for a folder without sealed files, for a name from which the name of the
    plaintext does not follow, and for a file that is not sealed.
    """
    if source.is_dir():
        found, kept = sealed_files((source,))
        folder = output or (source.with_suffix("") if source.suffix == ENDING else source)
        if not found and not kept:
            raise InvalidInput(f"the folder {source} holds no sealed file. Check the path.")
        return [
            Pair(file, folder / file.relative_to(source).with_name(file.name.removesuffix(ENDING)))
            for file in (*found, *kept)
        ]
    target = output or _plain_name(source)
    if not parquet.key_names(source):
        read_header(source)
    return [Pair(source, target)]


def make_key(keys: KeyService, name: str) -> bool:
    """Make a key-encryption key unless the service has one of this name; return whether it was made."""
    if name in keys.names():
        return False
    keys.create(name, AES_256)
    return True


def seal_all(
    pairs: Sequence[Pair], keys: KeyService, key: str, *, associated: bytes = b"", task: Task | None = None
) -> list[Sealed]:
    """Seal each file under a fresh data key that `key` wraps. Raises as `sealing.seal_file`; files before stay sealed."""
    task, sealed = task or Quiet(), []
    for at, pair in enumerate(pairs):
        size = pair.source.stat().st_size
        digest = seal_file(
            pair.source, pair.target, keys, key, associated=associated, task=Part(task, at, len(pairs))
        )
        sealed.append(Sealed(pair.target, digest, size))
    return sealed


def left_open(source: Path, pairs: Sequence[Pair]) -> list[Path]:
    """Return the files of a folder that the plan leaves out, to report before the folder is deleted."""
    return others_of(source, {path for pair in pairs for path in (pair.source, pair.target)})


def read_columns(text: str, key: str) -> Mapping[str, str]:
    """Return column to key from "NAME,..." or "NAME=KEY,..."; `key` where none is named."""
    under = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, own = part.partition("=")
        under[name] = own or key
    return under


def open_all(  # noqa: PLR0913 - what, with which keys, and how
    pairs: Sequence[Pair],
    keys: KeyService,
    *,
    key: str | None = None,
    associated: bytes = b"",
    refused: Refusal | None = None,
    task: Task | None = None,
) -> list[Opened]:
    """Open each file, writing its plaintext only after the whole of it has verified.

    key: what each file must be sealed under; None accepts the key that the file names. refused: makes the error to raise
    for a file that does not open, such as one that cites the erasure of its key. Raises as `sealing.unseal_file` and
    `parquet.open_columns`; files opened before stay.
    """
    task, opened, how = task or Quiet(), [], _How(keys, key, associated)
    for at, pair in enumerate(pairs):
        names, part = parquet.key_names(pair.source), Part(task, at, len(pairs))
        try:
            opened.append(_open_columns(pair, names, how, part) if names else _open_file(pair, how, part))
        except (InvalidInput, NotProven) as error:
            if refused is None:
                raise
            raise _refusal(error, pair.source, names, keys, refused) from error
    return opened


def _plain_name(source: Path) -> Path:
    if source.suffix == ENDING:
        return source.with_suffix("")
    if source.name.endswith(f"{ENDING}.parquet"):
        return source.with_name(source.name.removesuffix(f"{ENDING}.parquet") + ".parquet")
    raise InvalidInput(f"{source} does not end in {ENDING}, so the plaintext needs a name: give --output.")


@dataclass(frozen=True, slots=True)
class _How:
    """What files are opened with."""

    keys: KeyService
    key: str | None
    associated: bytes


def _open_columns(pair: Pair, names: tuple[str, ...], how: _How, task: Task) -> Opened:
    if how.associated or (how.key is not None and how.key not in names):
        raise InvalidInput(
            f"{pair.source} has columns sealed under {', '.join(names)}, without associated data: name one of these keys."
        )
    parquet.open_columns(pair.source, pair.target, how.keys, task=task)
    size = pair.target.stat().st_size if pair.target.is_file() else 0  # a pipe keeps nothing to measure
    return Opened(pair.target, ", ".join(names), size)


def _open_file(pair: Pair, how: _How, task: Task) -> Opened:
    header = read_header(pair.source)
    unseal_file(pair.source, pair.target, how.keys, how.key, associated=how.associated, task=task)
    return Opened(pair.target, header.key, header.plain_size)


def _refusal(
    error: HauberkError, source: Path, names: tuple[str, ...], keys: KeyService, refused: Refusal
) -> HauberkError:
    if names:
        return refused(error, next((name for name in names if name not in keys.names()), names[0]), None)
    with source.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    return refused(error, read_header(source).key, digest)
