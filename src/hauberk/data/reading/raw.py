"""A reader's result: pictures or a frame as the file holds them, before conversion to numbers with a defined meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars

Locate = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of a reader.

    kind: "image" or "table". target, group: a column or an npz key; "" for the format's default. size: side in pixels to
    which pictures of a folder are resized; None: not resized. ceiling: largest size in bytes of one side's decoded data.
    sender: a column or an npz key with the sender of each row; "" for none.
    """

    kind: str
    target: str
    group: str
    size: int | None
    ceiling: int
    sender: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RawImages:
    """Pictures as read.

    x: (n, h, w), (n, h, w, c) or (n, c, h, w), integers in [0, 255] or floats in [0, 1]. labels, groups, senders: (n,).
    locate: maps a row number to words. name: of the source, for messages.
    """

    x: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    groups: npt.NDArray[Any] | None
    locate: Locate
    name: str
    senders: npt.NDArray[Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RawTable:
    """A table as read. target, group, sender: column names that the format itself defines, else ""."""

    frame: polars.DataFrame
    locate: Locate
    name: str
    target: str = ""
    group: str = ""
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """One side; or both, if the file holds a test side."""

    train: RawImages | RawTable
    test: RawImages | RawTable | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The files of one side. first: the first bytes of the first file; b"" for a folder."""

    paths: tuple[Path, ...]
    first: bytes

    @property
    def name(self) -> str:
        """The files' names, for messages."""
        return ", ".join(path.name for path in self.paths)

    def ends(self, *endings: str) -> bool:
        """Whether the first file's name, without "gz", has one of the endings."""
        return self.paths[0].name.lower().removesuffix(".gz").endswith(endings)


def row_of(name: str) -> Locate:
    """Return the `locate` function of a source that is one file."""
    return lambda row: f"{name}, row {row}"
