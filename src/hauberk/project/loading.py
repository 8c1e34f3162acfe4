"""From the bytes of `hauberk.toml` to a `Project`, or to one error that lists every line that is wrong."""

from __future__ import annotations

import pathlib
import re
import tomllib
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Evasion
from hauberk.project import sections
from hauberk.project.data import read_data
from hauberk.project.lines import Path, lines_of
from hauberk.project.members import check_members
from hauberk.project.reading import Problems, Table
from hauberk.project.threats import read_threats
from hauberk.project.update import read_update
from hauberk.project.values import Declared, Project

FILE_NAME = "hauberk.toml"
_LARGEST = 1 << 20  # bytes; a project file is a page or two, and a mistaken path may be gigabytes
_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


def load(place: pathlib.Path | str) -> Project:
    """Read a project file, or the `hauberk.toml` of a folder.

    Raises InvalidInput naming file, line and fix: for a missing file, for a syntax error, and for all that is
    wrong with its keys and values at once, one line each.
    """
    data, path = _bytes(place)
    project = parse(data, path)
    check_members(project)
    return project


def load_threats(place: pathlib.Path | str) -> tuple[Declared, ...]:
    """Read the `[[threats]]` of a project file, or of a file that holds nothing else. Raises InvalidInput as `load`."""
    data, path = _bytes(place)
    values, lines = _toml(data, path.name)
    problems = Problems(path.name, lines)
    threats = read_threats(Table(values, (), "the file", problems), problems)
    problems.stop()
    return threats


def _bytes(place: pathlib.Path | str) -> tuple[bytes, pathlib.Path]:
    path = pathlib.Path(place).absolute()
    if path.is_dir():
        path = path / FILE_NAME
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise InvalidInput(
            f"there is no {path.name} in {path.parent}. Run `hauberk init` there to write one, or name its folder."
        ) from None
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}.") from error
    if len(data) > _LARGEST:
        raise InvalidInput(f"{path} is larger than 1 MiB, so it is no project file. Name the folder or the file.")
    return data, path


def parse(data: bytes, path: pathlib.Path) -> Project:
    """Return the project in `data`; `path` is where the file stands, and its folder where relative paths start."""
    values, lines = _toml(data, path.name)
    problems = Problems(path.name, lines)
    root = Table(values, (), "the file", problems)
    folder = path.parent
    name, seed = sections.read_project(root)
    spec, poison = read_data(root, folder)
    model = sections.read_model(root, folder)
    threats = read_threats(root, problems)
    training = sections.read_training(root)
    evaluation = sections.read_evaluation(root)
    if model is not None and training.minutes and model.way in ("train", "onnx"):
        whose = "the team's own function" if model.way == "train" else "an ONNX file, which is not trained"
        problems.add(("training", "minutes"), f"[training] minutes: this model is {whose}: leave it out.")
    if training.minutes and not any(isinstance(declared.threat, Evasion) for declared in threats):
        problems.add(
            ("training", "minutes"),
            "[training] minutes: they plan the hardening, and no evasion threat is declared: write epochs instead.",
        )
    checks = sections.read_checks(root)
    gate = sections.read_gate(root, problems)
    release, keys = sections.read_release(root), sections.read_keys(root, folder)
    update = read_update(root, folder)
    root.close()
    problems.stop()
    assert spec is not None, "no data without a noted problem"
    assert model is not None, "no model without a noted problem"
    return Project(
        file=path,
        source=canonical.sha256(data),
        name=name,
        seed=seed,
        data=spec,
        poison=poison,
        model=model,
        threats=threats,
        training=training,
        evaluation=evaluation,
        checks=checks,
        gate=gate,
        release=release,
        keys=keys,
        update=update,
        lines=problems.lines,
    )


def _toml(data: bytes, name: str) -> tuple[dict[str, Any], dict[Path, int]]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{name}:{line}: not UTF-8 text. Save the file as UTF-8.") from error
    text = text.replace("\r\n", "\n")
    try:
        return tomllib.loads(text), lines_of(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT.search(str(error))
        line = int(found[1]) if found and found[1] else text.count("\n") + 1
        column = f" at column {found[2]}" if found and found[2] else ""
        what = _AT.sub("", str(error))
        raise InvalidInput(
            f"{name}:{line}: not valid TOML{column}: {what}. Strings stand in quotes, and a key stands once."
        ) from error
    except RecursionError as error:
        raise InvalidInput(f"{name}: lists or tables are nested too deeply for a project file.") from error
