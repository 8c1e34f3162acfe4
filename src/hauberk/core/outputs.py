"""Write to a path that a user named: replace a regular file in one step, write through everything else.

    the name is                                   what happens
    a new name or a regular file                  written beside it, synced, renamed over it
    a symbolic link to one of these, or dangling  the same at the link's target; the link stays
    a pipe, a character device                    opened and written to; never replaced, never removed
    /dev/stdout, /dev/fd/N, /proc/self/fd/N       written to the open descriptor, at its position
    a folder, a socket, a block device            InvalidInput

Hauberk's own files (ledger, keyring, store) go through `Disk.write`, which replaces whatever has the name: a link
planted there must not lead a write elsewhere. A user's name is followed, as the shell's `>` follows it.

Answers: `--output /dev/null` as root, which would replace the machine's null device by a file. Does not answer: a name
that an attacker exchanges between the check and the write: do not name files in folders that others can write.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hauberk.core.disk import Disk, explain
from hauberk.core.errors import InvalidInput

_MOST_LINKS = 40  # as many as Linux follows
_DESCRIPTORS = re.compile(r"/proc/(\d+|self|thread-self)(?:/task/\d+)?/fd|/dev/fd")
_CHUNK = 1 << 20
_REFUSED = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device, which is a whole disk"),
)


@dataclass(frozen=True, slots=True)
class Output:
    """Where a named path leads: to a regular file (`file`) or to a stream (`stream`), one of the two.

    named: the path as given. file: the file to make or replace, all links followed. stream: a descriptor of this
    process, or the path of a pipe or character device. mode: permission bits of the existing file, if any.
    """

    named: Path
    file: Path | None = None
    stream: int | Path | None = None
    mode: int | None = None


def resolve(path: Path) -> Output:
    """Follow the links of a path and return what it leads to. Nothing is opened or changed.

    Raises InvalidInput for a folder, a socket, a block device, or links that lead round in a circle.
    """
    place = path
    for _ in range(_MOST_LINKS):
        folder = Path(os.path.realpath(place.parent))
        place = folder / place.name
        process = _DESCRIPTORS.fullmatch(str(folder))
        if process is not None:
            # A link here reads "pipe:[4711]" and leads nowhere by name: only the system can follow it.
            if place.name.isdecimal() and process[1] in (None, "self", "thread-self", str(os.getpid())):
                return Output(path, stream=int(place.name))
            break
        if not place.is_symlink():
            break
        place = folder / place.readlink()
    else:
        raise InvalidInput(f"{path} is a link that leads back to itself. Name another file.")
    try:
        mode = place.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Output(path, file=place)
    except OSError as error:
        raise explain(error, path) from error
    _refuse(path, mode)
    if stat.S_ISREG(mode):
        return Output(path, file=place.resolve(), mode=stat.S_IMODE(mode))
    return Output(path, stream=place)


def write(path: Path, data: bytes, *, mode: int = 0o644, disk: Disk | None = None) -> None:
    """Write `data` to a path that a user named; missing folders are made.

    mode: permission bits of a new file. A file that is replaced never becomes more open than it was. Raises InvalidInput
    for a path that cannot be written, Unavailable for a full disk or a reader that went away.
    """
    disk, output = disk or Disk(), resolve(path)
    if output.file is not None:
        disk.write(output.file, data, mode=narrowed(mode, output))
        return
    try:
        with _opened(output) as stream:
            disk.store(stream, data)
    except OSError as error:
        raise explain(error, path) from error


def pour(source: int | Path, output: Output, *, disk: Disk) -> None:
    """Copy a whole file, named by path or open descriptor, into a stream. Raises InvalidInput or Unavailable."""
    try:
        with open(source, "rb", closefd=not isinstance(source, int)) as data, _opened(output) as stream:
            data.seek(0)
            while chunk := data.read(_CHUNK):
                disk.store(stream, chunk)
    except OSError as error:
        raise explain(error, output.named) from error


@contextmanager
def drafts(paths: Sequence[Path], *, mode: int = 0o644, disk: Disk | None = None) -> Iterator[tuple[Path, ...]]:
    """Yield a temporary file for each path, to be filled; deliver all, in order, when the block ends without an error.

    The draft of a file is in the same folder, that of a stream in the folder for temporary files; both keep the suffix.
    When the block raises, nothing is delivered. When a delivery fails, earlier ones that made a new file are removed;
    a file that was replaced stays replaced. No draft is left in either case. Raises as `write`.
    """
    disk, outputs = disk or Disk(), [resolve(path) for path in paths]
    with ExitStack() as stack:
        made: list[Path] = []
        for output in outputs:
            made.append(_draft(output, disk))
            stack.callback(_remove, made[-1])
        yield tuple(made)
        with ExitStack() as undo:
            for output, draft in zip(outputs, made, strict=True):
                _deliver(draft, output, mode, disk)
                if output.file is not None and output.mode is None:
                    undo.callback(_remove, output.file)
            undo.pop_all()


def narrowed(mode: int, output: Output) -> int:
    """Return permission bits for a file that replaces another: never more open than that was."""
    return mode if output.mode is None else mode & output.mode


def _deliver(draft: Path, output: Output, mode: int, disk: Disk) -> None:
    if output.file is None:
        pour(draft, output, disk=disk)
        return
    try:
        draft.chmod(narrowed(mode, output))
        disk.sync_file(draft)
        disk.rename(draft, output.file)
        disk.sync_folder(output.file.parent)
    except OSError as error:
        raise explain(error, output.named) from error


def _draft(output: Output, disk: Disk) -> Path:
    folder, name = (None, output.named) if output.file is None else (output.file.parent, output.file)
    try:
        if folder is not None:
            disk.make_folder(folder)
        handle, draft = tempfile.mkstemp(
            dir=folder, prefix=f".{name.stem[:40]}.", suffix=output.named.suffix.lower()
        )
    except OSError as error:
        raise explain(error, output.named) from error
    os.close(handle)
    return Path(draft)


def _remove(draft: Path) -> None:
    with suppress(OSError):
        draft.unlink(missing_ok=True)


def _refuse(path: Path, mode: int) -> None:
    for is_kind, kind in _REFUSED:
        if is_kind(mode):
            raise InvalidInput(
                f"{path} is {kind}: expected a file to write. Name a new file, a pipe or /dev/stdout."
            )


@contextmanager
def _opened(output: Output) -> Iterator[int]:
    """Open a stream for writing and yield its descriptor."""
    if isinstance(output.stream, int):
        # Duplicated: opened anew, standard output that was redirected to a file would be written from its start.
        descriptor = os.dup(output.stream)
    else:
        assert output.stream is not None, "a file is not opened as a stream"
        # Neither made nor emptied, so that a file that has taken the name meanwhile stays as it is.
        descriptor = os.open(output.stream, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if isinstance(output.stream, Path) and not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
            raise InvalidInput(f"{output.named} was exchanged while it was being written. Run the command again.")
        yield descriptor
    finally:
        os.close(descriptor)
