"""What a reader returns: pictures or a frame as the file holds them, before numbers are given their meaning."""

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
    """What the caller asks of a reader.

    kind: "image" or "table". target, group: a column or an npz key, "" for the format's own. size: side in pixels
    to which pictures of a folder are resized, None to leave them. ceiling: bytes of decoded data of one side.
    sender: a column or an npz key that says who sent each row, "" for none.
    """

    kind: str
    target: str
    group: str
    size: int | None
    ceiling: int
    sender: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RawImages:
    """x: (n, h, w), (n, h, w, c) or (n, c, h, w), integers 0 to 255 or floats 0 to 1. labels, groups, senders: (n,)."""

    x: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    groups: npt.NDArray[Any] | None
    locate: Locate
    name: str
    senders: npt.NDArray[Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RawTable:
    """frame: as the file holds it. target, group, sender: the names to take when the caller gave none."""

    frame: polars.DataFrame
    locate: Locate
    name: str
    target: str = ""
    group: str = ""
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """One side, or both when the file holds its own test side."""

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
        """Whether the first file's name ends so, "gz" left out."""
        return self.paths[0].name.lower().removesuffix(".gz").endswith(endings)


def row_of(name: str) -> Locate:
    """Return the locator of a source that is one file."""
    return lambda row: f"{name}, row {row}"
