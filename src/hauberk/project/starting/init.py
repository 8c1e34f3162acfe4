"""`hauberk init`: look at the data, propose a project, and write it without replacing existing files.

`propose` reads data and returns texts; `write` puts them into a folder. The texts are in `text`, the starter
models in `models`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hauberk.core import outputs
from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput
from hauberk.project import FILE_NAME
from hauberk.project.data import BUILT_IN
from hauberk.project.settings import slug
from hauberk.project.starting.look import look
from hauberk.project.starting.models import model_file
from hauberk.project.starting.text import Seen, project_file

_DATA_FILES = (".parquet", ".csv", ".npz")
_IGNORED = (
    "# Keys (encrypted), ledger and artifacts of this project; keep a copy of them in a safe place.\n.hauberk/\n"
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A project for the inspected data: its name, and text by file name."""

    name: str
    seen: Seen
    files: Mapping[str, str]


def propose(  # noqa: PLR0913 - the overrides of what is guessed
    folder: Path,
    *,
    files: Sequence[str] = (),
    test_files: Sequence[str] = (),
    target: str | None = None,
    kind: str | None = None,
    name: str | None = None,
) -> Proposal:
    """Return a project for `folder` from a look at the data. Nothing is written.

    files, test_files: paths, or sets that ship with scikit-learn ("sklearn:digits"); with none, the data files
    in `folder` are used. target, kind, name: override the guess. Raises InvalidInput when there are no data, when
    they cannot be read, or when the target is neither given nor evident.
    """
    if name is not None and slug(name) != name:
        raise InvalidInput(
            f"{name!r} is not a valid name: use lower-case letters, digits and hyphens, such as {slug(name)!r}."
        )
    if not files:
        files, test_files = _find(folder)
    seen = look(files, test_files, folder=folder, target=target, kind=kind)
    chosen = name or _name(folder, files)
    return Proposal(
        chosen,
        seen,
        {FILE_NAME: project_file(seen, name=chosen), "model.py": model_file(seen), ".gitignore": _IGNORED},
    )


def write(folder: Path, proposal: Proposal, *, force: bool = False, disk: Disk | None = None) -> list[Path]:
    """Write the files of the proposal that do not exist yet and return their paths.

    An existing model.py or .gitignore is never replaced. An existing project file is replaced only with `force`;
    without it InvalidInput is raised before anything is written.
    """
    if (folder / FILE_NAME).exists() and not force:
        raise InvalidInput(
            f"{folder / FILE_NAME} exists already and is not replaced. Edit it, or use --force to replace it."
        )
    written: list[Path] = []
    # The project file comes last: it makes the folder a project, so a run that was killed before can be repeated.
    for name in sorted(proposal.files, key=lambda name: name == FILE_NAME):
        path = folder / name
        if name == FILE_NAME or not path.exists():
            outputs.write(path, proposal.files[name].encode("utf-8"), disk=disk)
            written.append(path)
    return written


def _find(folder: Path) -> tuple[list[str], list[str]]:
    """Return the data files in a folder: one, or one for training and one for testing."""
    found = sorted(path for path in folder.glob("*") if path.suffix in _DATA_FILES and path.is_file())
    tests = [path for path in found if "test" in path.stem.lower()]
    trains = [path for path in found if path not in tests]
    if len(trains) == 1 and len(tests) <= 1:
        return [str(trains[0])], [str(path) for path in tests]
    listed = ", ".join(path.name for path in found[:10]) or "none"
    raise InvalidInput(
        f"which data? {folder} has these data files: {listed}. Name them: `hauberk init --data FILE`, or "
        "`--data sklearn:digits` for a set to try."
    )


def _name(folder: Path, files: Sequence[str]) -> str:
    own = folder.absolute().name
    return slug(own) if own else slug(Path(files[0].removeprefix(BUILT_IN)).stem)
