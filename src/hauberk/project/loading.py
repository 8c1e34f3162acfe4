"""Parse the bytes of `hauberk.toml` into a `Project`, or raise one error that lists every wrong line."""

from __future__ import annotations

import pathlib
import re
import tomllib
from typing import Any, TypeVar

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Evasion
from hauberk.project import settings
from hauberk.project.data import DataTable, data_of
from hauberk.project.lines import Path, lines_of
from hauberk.project.members import check_members
from hauberk.project.model import ModelTable, model_of
from hauberk.project.problems import Problems, suggestion
from hauberk.project.strict import Section, read
from hauberk.project.threats import read_threats
from hauberk.project.values import Declared, ModelSource, Project, ReleaseForm, Training

T = TypeVar("T")
S = TypeVar("S", bound=Section)

_SECTIONS = (
    "checks", "data", "evaluation", "gate", "keys", "model", "project", "release", "threats", "training", "update",
)  # fmt: skip
FILE_NAME = "hauberk.toml"
_LARGEST = 1 << 20  # bytes; a project file is a page or two, and a mistaken path may be gigabytes
_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


def load(place: pathlib.Path | str) -> Project:
    """Read a project file, or the `hauberk.toml` of a folder.

    Raises InvalidInput with file, line and fix: for a missing file, a syntax error, and for all wrong keys and
    values at once, one line each.
    """
    data, path = _bytes(place)
    project = parse(data, path)
    check_members(project)
    return project


def load_threats(place: pathlib.Path | str) -> tuple[Declared, ...]:
    """Read the `[[threats]]` of a project file, or of a file with nothing else. Raises InvalidInput as `load`."""
    data, path = _bytes(place)
    values, lines = _toml(data, path.name)
    problems = Problems(path.name, lines)
    threats = read_threats(values.get("threats", []), problems)
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
        raise InvalidInput(
            f"{path} is larger than 1 MiB, so it is not a project file. Name the folder or the file."
        )
    return data, path


def parse(data: bytes, path: pathlib.Path) -> Project:
    """Return the project in `data`; `path` is the path of the file; relative paths start in its folder."""
    values, lines = _toml(data, path.name)
    problems = Problems(path.name, lines)
    for key in values:
        if key not in _SECTIONS:
            problems.add((key,), f"the file has no key {key!r}; {suggestion(key, sorted(_SECTIONS))}")
    folder = path.parent

    def section(model: type[S], key: str) -> S | None:
        return read(model, values.get(key, {}), (key,), problems)

    about = section(settings.ProjectTable, "project")
    table = section(DataTable, "data")
    spec = None if table is None else data_of(table, folder, problems)
    source = section(ModelTable, "model")
    model = None if source is None else model_of(source, folder, problems)
    threats = read_threats(values.get("threats", []), problems)
    trained = section(settings.TrainingTable, "training")
    training = None if trained is None else settings.training_of(trained, problems)
    measured = section(settings.EvaluationTable, "evaluation")
    evaluation = None if measured is None else settings.evaluation_of(measured, problems)
    _check_minutes(training, model, threats, problems)
    checks = settings.read_checks(values.get("checks", {}), problems)
    gate = settings.read_gate(values.get("gate", {}), problems)
    release, held = section(settings.ReleaseTable, "release"), section(settings.KeysTable, "keys")
    keys = None if held is None else settings.keys_of(held, folder, problems)
    renewed = section(settings.UpdateTable, "update")
    update = None if renewed is None else settings.update_of(renewed, folder, problems)
    problems.stop()
    return Project(
        file=path,
        source=canonical.sha256(data),
        name=_sure(about).name,
        seed=_sure(about).seed,
        data=_sure(spec),
        poison=_sure(table).poison,
        model=_sure(model),
        threats=threats,
        training=_sure(training),
        evaluation=_sure(evaluation),
        checks=checks,
        gate=gate,
        release=ReleaseForm(_sure(release).seal),
        keys=_sure(keys),
        update=_sure(update),
        lines=problems.lines,
    )


def _check_minutes(
    training: Training | None, model: ModelSource | None, threats: tuple[Declared, ...], problems: Problems
) -> None:
    if training is None or not training.minutes:
        return
    if model is not None and model.way in ("train", "onnx"):
        whose = "the team's own function" if model.way == "train" else "an ONNX file, which is not trained"
        problems.wrong(("training", "minutes"), f"this model is {whose}: leave it out.")
    if not any(isinstance(declared.threat, Evasion) for declared in threats):
        problems.wrong(
            ("training", "minutes"),
            "they plan the hardening, and no evasion threat is declared: write epochs instead.",
        )


def _sure(value: T | None) -> T:
    """Return the value, which is None only together with a noted problem, and `Problems.stop` has raised then."""
    assert value is not None
    return value


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
            f"{name}:{line}: not valid TOML{column}: {what}. Write strings in quotes, and each key once."
        ) from error
    except RecursionError as error:
        raise InvalidInput(f"{name}: lists or tables are nested too deeply for a project file.") from error
