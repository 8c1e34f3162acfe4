"""Builds a manifest of the files that are present now.

By default every byte is read and hashed; an earlier manifest then only gives the cuts of unchanged files, which saves
reading Parquet footers. The `fast` mode trusts the file system's metadata instead:

    file with unchanged size, change times and inode    its entry is reused without reading the file
    file that grew, other than Parquet                  its old last block is read again, to check that the file was
                                                        appended to; only the new bytes are hashed
    any other file                                      is hashed

So `fast` does not detect a change in the middle of a file that grew, nor a change that leaves no trace in the metadata, by
someone who can set the machine's clock or write to the disk directly. For a remote target it detects what the target's
metadata (ETag, checksum or time) shows.
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
    """A manifest, the number of bytes that were hashed, and the number reused on the word of the file system."""

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

    earlier: a manifest of the same set. fast: trust the file system's metadata, see the module; needs `earlier`. threads:
    None: one a core (remote: 16). Raises InvalidInput for a place that is absent or empty, and ChangedError for files that
    are written, added or removed meanwhile.
    """
    if fast and earlier is None:
        raise InvalidInput("the fast mode needs an earlier manifest and there is none: leave fast out.")
    items, reader = listed(places)
    before = {} if earlier is None else earlier.by_name
    plans = [_plan(item, before.get(item.name), reader, fast=fast) for item in items]
    task = task or Quiet()
    files = _files(plans, reader, threads, task)
    # A changed footer may place the row groups elsewhere, so these files are cut and hashed again by the new footer.
    moved = [at for at, plan in enumerate(plans) if _footer_moved(plan, files[at])]
    if moved:
        anew = [_fresh(plans[at].item, reader) for at in moved]
        for at, file, plan in zip(moved, _files(anew, reader, threads, task), anew, strict=True):
            # If the new footer is damaged, the earlier cuts locate the damage better than blocks would.
            files[at] = file if plan.form == PARQUET else files[at]
    _unchanged(items, listed(places)[0])
    hashed = sum(cut.end - cut.start for plan in plans for cut in plan.cuts)
    manifest = Manifest(tuple(files), tuple(places))
    return Built(manifest, hashed, manifest.size - hashed)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do with a file. kept: parts that are reused. cuts: ranges to hash after them. before: the earlier entry."""

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
    hashed = digests([(plan.item, plan.cuts) for plan in plans], reader, task=task, threads=threads)
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
        for plan, of_file in zip(plans, hashed, strict=True)
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
