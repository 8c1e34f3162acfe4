"""Paths as a project file writes them: relative to its folder, with `~` and environment variables."""

from __future__ import annotations

import os
import pathlib
import re

from hauberk.project.lines import Path
from hauberk.project.problems import Problems, named

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def _expand(text: str) -> tuple[str, list[str]]:
    """Return `text` with $NAME and ${NAME} replaced from the environment, and the names that are not set there."""
    missing: list[str] = []

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if not os.environ.get(name):
            missing.append(name)
        return os.environ.get(name, "")

    return _VARIABLE.sub(value, text), missing


def existing(problems: Problems, place: Path, text: str, folder: pathlib.Path) -> pathlib.Path | None:
    """Return the absolute path that the value at `place` names, or note why there is none."""
    name, missing = _expand(text)
    if missing:
        problems.wrong(
            place,
            f"{named(text)} needs the environment variable {missing[0]}, which is not set: "
            f"run `export {missing[0]}=FOLDER` first.",
        )
        return None
    path = (folder / pathlib.Path(name).expanduser()).absolute()
    if not path.exists():
        problems.wrong(place, f"there is no file {path}.")
        return None
    return path
