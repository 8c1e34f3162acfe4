"""A manifest of what is there now.

By default every byte is read and hashed; an earlier manifest then only says where a file was cut, which saves reading
Parquet footers. With `fast`, what the file system says is believed instead, and that is all that it is worth:

    a file whose size, times of change and inode are as they were   is taken over unread
    a file that grew, other than Parquet                            its old last block is read again, to see that it
                                                                    was appended to; only what is new is hashed
    everything else                                                 is hashed

So `fast` does not see a change in the middle of a file that grew, nor one made behind the file system: by who can set
the machine's clock or write to the disk below it. Where a remote target tells only a time, it sees what that time tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.data.manifest.cutting import FOOTER, Cut, blocks, cut
from hauberk.data.manifest.hashing import digests
from hauberk.data.manifest.items import ChangedError, Item, Reader
from hauberk.data.manifest.model import BLOCKS, PARQUET, File, Manifest, Part
from hauberk.data.manifest.places import listed


@dataclass(frozen=True, slots=True)
class Built:
    """A manifest, how many bytes were hashed for it, and how many were taken over on the file system's word."""

    manifest: Manifest
    hashed: int
    believed: int


def build(
    places: Sequence[str],
    *,
    earlier: Manifest | None = None,
    fast: bool = False,
    threads: int | None = None,
    task: Task | None = None,
) -> Built:
    """Return the manifest of the files at `places`: paths of files and folders, or URLs of one fsspec target.

    earlier: of the same set. fast: believe the file system, as said above; needs `earlier`. threads: default one a
    core. Raises InvalidInput for a place that is absent or holds nothing, and ChangedError for files that are written
    to, added or removed while they are read.
    """
    if fast and earlier is None:
        raise InvalidInput("the fast mode compares with an earlier manifest, and there is none: leave fast out.")
    items, reader = listed(places)
    before = {} if earlier is None else earlier.by_name
    plans = [_plan(item, before.get(item.name), reader, fast=fast) for item in items]
    task = task or Quiet()
    files = _files(plans, reader, threads, task)
    # A footer that differs may place the groups elsewhere: the earlier cuts do not hold, so these files are cut anew.
    moved = [at for at, plan in enumerate(plans) if _footer_moved(plan, files[at])]
    if moved:
        anew = [_fresh(plans[at].item, reader) for at in moved]
        for at, file, plan in zip(moved, _files(anew, reader, threads, task), anew, strict=True):
            # Damage to the footer itself is located better by the earlier cuts than by blocks.
            files[at] = file if plan.form == PARQUET else files[at]
    _unchanged(items, listed(places)[0])
    hashed = sum(cut.end - cut.start for plan in plans for cut in plan.cuts)
    manifest = Manifest(tuple(files), tuple(places))
    return Built(manifest, hashed, manifest.size - hashed)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do with a file: parts taken over as they were, cuts to hash after them."""

    item: Item
    form: str
    kept: tuple[Part, ...]
    cuts: tuple[Cut, ...]
    before: File | None = None


def _plan(item: Item, before: File | None, reader: Reader, *, fast: bool) -> _Plan:
    if before is None:
        return _fresh(item, reader)
    if fast and before.state == item.state and item.state:
        return _Plan(item, before.form, before.parts, ())
    if fast and before.form == BLOCKS and item.size > before.size and _appended(item, before, reader):
        kept = before.parts[:-1]
        return _Plan(item, BLOCKS, kept, blocks(item.size)[len(kept) :])
    if before.size == item.size:
        cuts = tuple(Cut(part.name, part.start, part.end, part.rows) for part in before.parts)
        return _Plan(item, before.form, (), cuts, before)
    return _fresh(item, reader)


def _fresh(item: Item, reader: Reader) -> _Plan:
    form, cuts = cut(item, reader)
    return _Plan(item, form, (), cuts)


def _appended(item: Item, before: File, reader: Reader) -> bool:
    last = before.parts[-1]
    return sha256(b"\x00" + reader.read(item, last.start, last.end)).digest() == last.digest


def _files(plans: Sequence[_Plan], reader: Reader, threads: int | None, task: Task) -> list[File]:
    found = digests([(plan.item, plan.cuts) for plan in plans], reader, task=task, threads=threads)
    return [
        File(
            plan.item.name,
            plan.form,
            plan.item.size,
            plan.kept
            + tuple(
                Part(cut.name, cut.start, cut.end, digest, cut.rows)
                for cut, digest in zip(plan.cuts, of_file, strict=True)
            ),
            plan.item.state,
        )
        for plan, of_file in zip(plans, found, strict=True)
    ]


def _footer_moved(plan: _Plan, file: File) -> bool:
    before = plan.before
    if before is None or before.form != PARQUET:
        return False
    return before.parts[-1].name == FOOTER and before.parts[-1].digest != file.parts[-1].digest


def _unchanged(before: Sequence[Item], after: Sequence[Item]) -> None:
    if list(before) == list(after):
        return
    was, now = ({item.name: item for item in items} for items in (before, after))
    name = min(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    how = "was added" if name not in was else "was removed" if name not in now else "changed"
    raise ChangedError(
        f"{name} {how} while the set was being read. Wait until its writer is done, then run the same command again."
    )
