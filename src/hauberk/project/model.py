"""The `[model]` section: where the model comes from, in exactly one way."""

from __future__ import annotations

import importlib.util
import pathlib
import re

from hauberk.project.paths import existing
from hauberk.project.problems import Problems, named
from hauberk.project.strict import Section
from hauberk.project.values import ModelSource

_REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


class ModelTable(Section):
    """`[model]`."""

    build: str | None = None
    weights: str | None = None
    onnx: str | None = None
    train: str | None = None


def model_of(table: ModelTable, folder: pathlib.Path, problems: Problems) -> ModelSource | None:
    """Return the source of the model, or note the problem and return None. Modules are not imported."""
    build = _reference("build", table.build, folder, problems)
    train = _reference("train", table.train, folder, problems)
    weights = _file("weights", table.weights, ".safetensors", folder, problems)
    onnx = _file("onnx", table.onnx, ".onnx", folder, problems)
    match given := sorted(table.model_fields_set):
        case ["build"]:
            return ModelSource("build", build=build)
        case ["build", "weights"]:
            return ModelSource("weights", build=build, weights=weights)
        case ["onnx"]:
            return ModelSource("onnx", onnx=onnx)
        case ["train"] | ["build", "train"]:
            return ModelSource("train", build=build, train=train)
    found = f"it has {' and '.join(given)}" if given else "it names none of them"
    problems.add(
        ("model",),
        f"[model] comes in one of these ways, and {found}: "
        'build = "model:build"; build with weights = "model.safetensors"; onnx = "model.onnx"; '
        'train = "model:train" (with build if it needs one).',
    )
    return None


def _reference(key: str, text: str | None, folder: pathlib.Path, problems: Problems) -> str:
    """Return "module:function" if the module exists; it is not imported here, since that would run it."""
    if text is None:
        return ""
    if not text:
        problems.wrong(("model", key), f'is empty: write "module:function", such as "model:{key}".')
        return ""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        problems.wrong(
            ("model", key),
            f'{named(text)} is not "module:function", such as "model:{key}" for {key}() in model.py.',
        )
        return ""
    module = found[1]
    local = folder.joinpath(*module.split("."))
    if not (local.with_suffix(".py").is_file() or local.is_dir() or _installed(module.partition(".")[0])):
        problems.wrong(
            ("model", key),
            f"there is no module {module!r}: expected {local.name}.py in {local.parent}, or an installed package.",
        )
        return ""
    return text


def _installed(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _file(key: str, text: str | None, suffix: str, folder: pathlib.Path, problems: Problems) -> pathlib.Path | None:
    if text is None:
        return None
    if not text:
        problems.wrong(("model", key), f"is empty: name a {suffix} file.")
        return None
    if pathlib.PurePath(text).suffix != suffix:
        problems.wrong(
            ("model", key),
            f"{named(text)} is not a {suffix} file. Formats that can run code when they are read, such as .pt and "
            f".pkl, are never opened: export the model to {suffix}.",
        )
        return None
    return existing(problems, ("model", key), text, folder)
