"""Moves many sealed files to a key's current version, or to another key, without re-encrypting them.

Each file is replaced atomically, and a file under the right key is left alone. So a run that was interrupted, by a kill
or by a key service that became unreachable, continues when it is repeated, and every file opens under a key at any moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkError, Unavailable
from hauberk.core.progress import Quiet, Task
from hauberk.custody import sealing
from hauberk.custody.keys.port import KeyService


@dataclass(slots=True)
class Moved:
    """The outcome: each file is in one of the lists.

    rewrapped: moved. current: under the current version already. others: sealed under a key other than `only`. failed:
    unchanged, with the reason. left: not reached, because of `stopped`.
    """

    rewrapped: list[Path] = field(default_factory=list)
    current: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, HauberkError]] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)
    stopped: Unavailable | KeyboardInterrupt | None = None

    @property
    def complete(self) -> bool:
        """Whether every file was handled."""
        return not (self.failed or self.left)


def rewrap_all(  # noqa: PLR0913 - which files, from which key to which, and how
    paths: Sequence[Path],
    keys: KeyService,
    *,
    key_name: str | None = None,
    only: str | None = None,
    held_by: KeyService | None = None,
    task: Task | None = None,
    disk: Disk | None = None,
) -> Moved:
    """Move sealed files to the current version of `key_name`, held by `keys`.

    key_name: None keeps the key that each file names. only: skip files under other keys. held_by: the service that holds
    their present keys, if they move to another service. A file that fails is reported and the others are moved;
    a service that does not answer, or an interrupt, stops the run. Raises no errors of its own.
    """
    moved, task = Moved(), task or Quiet()
    for at, path in enumerate(paths):
        task.update(at / len(paths), text=f"{len(paths) - at} left")
        try:
            _move(path, keys, key_name, only, held_by, moved, disk)
        except (Unavailable, KeyboardInterrupt) as error:
            moved.stopped, moved.left = error, list(paths[at:])
            break
        except HauberkError as error:
            moved.failed.append((path, error))
    return moved


def _move(  # noqa: PLR0913, PLR0917 - as above
    path: Path,
    keys: KeyService,
    key_name: str | None,
    only: str | None,
    held_by: KeyService | None,
    moved: Moved,
    disk: Disk | None,
) -> None:
    header = sealing.read_header(path)
    target = key_name or header.key
    if only is not None and header.key != only:
        moved.others.append(path)
    elif header.key == target and keys.is_current(target, header.wrapped):
        moved.current.append(path)
    else:
        sealing.rewrap(path, keys, target, held_by=held_by, disk=disk)
        moved.rewrapped.append(path)
