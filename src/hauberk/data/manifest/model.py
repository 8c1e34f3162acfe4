"""A manifest's content: files, their parts, and one Merkle root over all of it (RFC 6962 hashing throughout).

    part    the root over the part's bytes in blocks of 4 MiB, each block a leaf
    file    the root over its parts, each a leaf `NAME 0x00 DIGEST`
    set     the root over its files in the order of names, each a leaf `NAME 0x00 FORM 0x00 SIZE 0x00 DIGEST`

The root depends on names and bytes alone. It does not cover `places` (where the files were) and `state` (a file's metadata,
which only the fast mode trusts).

Answers: a changed, added, removed or renamed file or part. Does not answer: who changed it, or a manifest that was replaced
together with the files; the ledger, which records the root, answers both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.ledger.levels import root_of
from hauberk.custody.ledger.merkle import leaf_hash

TYPE = "https://hauberk.dev/data-manifest/v1"
BLOCK = 4 << 20  # bytes
PARQUET, BLOCKS = "parquet", "blocks"


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes [start, end) of a file. digest: 32 bytes. rows: number of rows in a row group; None for other parts."""

    name: str
    start: int
    end: int
    digest: bytes
    rows: int | None = None

    def leaf(self) -> bytes:
        """Return the part's leaf hash."""
        return leaf_hash(self.name.encode() + b"\0" + self.digest)


@dataclass(frozen=True, slots=True)
class File:
    """A file of the set. name: relative, with "/". form: how it was cut, PARQUET or BLOCKS. state: as in `Item`."""

    name: str
    form: str
    size: int
    parts: tuple[Part, ...]
    state: str = ""

    @property
    def digest(self) -> bytes:
        """The root over the file's parts, 32 bytes."""
        return root_of([part.leaf() for part in self.parts])

    @property
    def rows(self) -> int | None:
        """Number of rows of a Parquet file; None for other files."""
        counted = [part.rows for part in self.parts if part.rows is not None]
        return sum(counted) if self.form == PARQUET else None

    def leaf(self) -> bytes:
        """Return the file's leaf hash."""
        return leaf_hash(f"{self.name}\0{self.form}\0{self.size}\0".encode() + self.digest)


@dataclass(frozen=True)
class Manifest:
    """All files of a set, in the order of their names, and the places where they were listed."""

    files: tuple[File, ...]
    places: tuple[str, ...]

    @cached_property
    def root(self) -> str:
        """The set's identity: 64 hex digits."""
        return root_of([file.leaf() for file in self.files]).hex()

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(file.size for file in self.files)

    @cached_property
    def by_name(self) -> Mapping[str, File]:
        """The files by name."""
        return {file.name: file for file in self.files}

    def to_bytes(self) -> bytes:
        """Return the canonical JSON of the manifest. Raises InvalidInput for a file name that is not Unicode."""
        value = {
            "_type": TYPE,
            "block": BLOCK,
            "files": [_file_json(file) for file in self.files],
            "places": list(self.places),
            "root": self.root,
        }
        # Same bytes as RFC 8785, which differs from json.dumps only for floats and non-ASCII keys; there are none here.
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        try:
            return text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidInput(
                f"a file's name is not valid Unicode: {text[error.start - 40 : error.end]!r}. Rename it."
            ) from error

    @classmethod
    def read(cls, data: bytes, *, what: str = "the manifest") -> Manifest:
        """Read a manifest and check that its root follows from its parts.

        Raises InvalidInput for another form or version, NotProven when the root is another: somebody edited it.
        """
        value = canonical.decode(data, what=what)
        if not isinstance(value, dict) or value.get("_type") != TYPE:
            found = value.get("_type") if isinstance(value, dict) else type(value).__name__
            raise InvalidInput(f"{what} is no data manifest: expected _type {TYPE}, found {str(found)[:80]!r}.")
        try:
            if value["block"] != BLOCK:
                raise InvalidInput(f"{what} has blocks of {value['block']} bytes; this version knows {BLOCK}.")
            files = tuple(_read_file(item) for item in value["files"])
            manifest, claimed = cls(files, tuple(map(str, value["places"]))), str(value["root"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                f"{what} does not have the form of a data manifest: {type(error).__name__} {error}."
            ) from error
        if manifest.root != claimed:
            raise NotProven(f"{what} was edited: its parts give the root {manifest.root}, and it claims {claimed}.")
        return manifest


def _file_json(file: File) -> dict[str, Any]:
    head: dict[str, Any] = {"name": file.name, "size": file.size, "state": file.state}
    if file.form == BLOCKS and len(file.parts) == 1:  # a short form, because there may be a million pictures
        return head | {"digest": file.parts[0].digest.hex()}
    parts = [
        {"name": part.name, "start": part.start, "end": part.end, "digest": part.digest.hex()}
        | ({} if part.rows is None else {"rows": part.rows})
        for part in file.parts
    ]
    return head | {"form": file.form, "parts": parts}


def _read_file(item: Mapping[str, Any]) -> File:
    name, size, state = str(item["name"]), _whole(item["size"]), str(item["state"])
    if "digest" in item:
        return File(name, BLOCKS, size, (Part(block_name(0), 0, size, _digest(item["digest"])),), state)
    parts = tuple(
        Part(
            str(part["name"]),
            _whole(part["start"]),
            _whole(part["end"]),
            _digest(part["digest"]),
            _whole(part["rows"]) if "rows" in part else None,
        )
        for part in item["parts"]
    )
    _check_cover(parts, size)
    return File(name, str(item["form"]), size, parts, state)


def _check_cover(parts: Sequence[Part], size: int) -> None:
    # Bytes outside all parts could change without changing the root.
    ends = [0, *(part.end for part in parts)]
    if ends[-1] != size or any(part.start != end for part, end in zip(parts, ends, strict=False)):
        raise ValueError("the parts of a file do not cover it")


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a whole number, found {value!r}")
    return value


def _digest(value: object) -> bytes:
    digest = bytes.fromhex(str(value))
    if len(digest) != 32:
        raise ValueError("a digest is 64 hex digits")
    return digest


def block_name(number: int) -> str:
    """Return the name of the block that starts at byte number * BLOCK."""
    return f"block {number}"
