"""Compares two manifests of a data set: which parts of which files were added, removed or changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hauberk.data.manifest.cutting import FOOTER
from hauberk.data.manifest.model import BLOCKS, PARQUET, File, Manifest, Part

How = Literal["added", "removed", "changed", "renamed"]
_PICTURES = (".png", ".jpg", ".jpeg", ".ppm", ".pgm")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    part: "" for a whole file. start, end: byte range in the present file (in the earlier file, if removed). rows: number of
    rows in the part, None if unknown. before: earlier name of a renamed file, else "".
    """

    how: How
    file: str
    part: str
    start: int
    end: int
    rows: int | None = None
    before: str = ""

    def __str__(self) -> str:
        """Return a sentence such as "row group 17 of part-3.parquet changed"."""
        what = "image" if self.file.lower().endswith(_PICTURES) else "file"
        if self.how == "renamed":
            return f"{what} {self.before} is now called {self.file}"
        if not self.part:
            return f"{what} {self.file} {'was ' if self.how != 'changed' else ''}{self.how}"
        where = f" (bytes {self.start:,} to {self.end:,})" if self.part.startswith("block") else ""
        rows = f" ({self.rows:,} rows)" if self.rows is not None else ""
        return f"{self.part} of {self.file}{where}{rows} {'was ' if self.how != 'changed' else ''}{self.how}"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, including the sentence under "says"."""
        return asdict(self) | {"says": str(self)}


def compare(before: Manifest, after: Manifest) -> tuple[Change, ...]:
    """Return the differences in the order of file names; () if the roots are equal."""
    if before.root == after.root:
        return ()
    was, now = before.by_name, after.by_name
    gone = {name: file for name, file in was.items() if name not in now}
    changes: list[Change] = []
    for file in after.files:
        old = was.get(file.name)
        if old is None:
            changes.append(_new(file, gone))
        elif old.leaf() != file.leaf():
            changes += _inside(old, file)
    changes += [Change("removed", file.name, "", 0, file.size, file.rows) for file in gone.values()]
    return tuple(sorted(changes, key=lambda change: (change.file, change.start)))


def _new(file: File, gone: dict[str, File]) -> Change:
    for name, old in gone.items():
        if file.size and (old.form, old.size, old.digest) == (file.form, file.size, file.digest):
            del gone[name]
            return Change("renamed", file.name, "", 0, file.size, file.rows, before=name)
    return Change("added", file.name, "", 0, file.size, file.rows)


def _inside(old: File, new: File) -> Iterator[Change]:
    whole = Change("changed", new.name, "", 0, new.size, new.rows)
    single = new.form == BLOCKS and len(old.parts) == len(new.parts) == 1
    if old.form != new.form or single:
        yield whole
        return
    was, now = ([part for part in file.parts if part.name != FOOTER] for file in (old, new))
    changes = list(_between(was, now, new.name))
    if not changes and new.form == PARQUET:
        changes = [_part("changed", new.name, new.parts[-1])]
    yield from changes or [whole]


def _between(old: Sequence[Part], new: Sequence[Part], file: str) -> Iterator[Change]:
    """Yield the changes of the parts between the common beginning and the common end of both files."""
    most = min(len(old), len(new))
    head = next((at for at in range(most) if old[at].digest != new[at].digest), most)
    tail = next((at for at in range(most - head) if old[-1 - at].digest != new[-1 - at].digest), most - head)
    middle_old, middle_new = old[head : len(old) - tail], new[head : len(new) - tail]
    for one, other in zip(middle_old, middle_new, strict=False):
        if one.digest != other.digest:
            yield _part("changed", file, other)
    both = min(len(middle_old), len(middle_new))
    yield from (_part("added", file, part) for part in middle_new[both:])
    yield from (_part("removed", file, part) for part in middle_old[both:])


def _part(how: How, file: str, part: Part) -> Change:
    return Change(how, file, part.name, part.start, part.end, part.rows)
