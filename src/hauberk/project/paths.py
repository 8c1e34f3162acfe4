"""Paths as a project file writes them: relative to its folder, with `~` and environment variables."""

from __future__ import annotations

import os
import pathlib
import re

from hauberk.project.lines import Path
from hauberk.project.reading import Table, named

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def expand(text: str) -> tuple[str, list[str]]:
    """Return `text` with $NAME and ${NAME} replaced from the environment, and the names that are not set there."""
    missing: list[str] = []

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if not os.environ.get(name):
            missing.append(name)
        return os.environ.get(name, "")

    return _VARIABLE.sub(value, text), missing


def existing(
    table: Table, key: str, text: str, folder: pathlib.Path, *, index: int | None = None
) -> pathlib.Path | None:
    """Return the absolute path that `text` names, or note why there is none. `index`: its place in a list."""
    place: Path = (*table.path, key) if index is None else (*table.path, key, index)
    name, missing = expand(text)
    if missing:
        table.problems.add(
            place,
            f"{table.title} {key}: {named(text)} needs the environment variable {missing[0]}, which is not set: "
            f"run `export {missing[0]}=FOLDER` first.",
        )
        return None
    path = (folder / pathlib.Path(name).expanduser()).absolute()
    if not path.exists():
        table.problems.add(place, f"{table.title} {key}: there is no file {path}.")
        return None
    return path
